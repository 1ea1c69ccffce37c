ln -s c.txt dir/link; ln -s /nowhere dir/dangling; ln -s sub dir/dirlink
