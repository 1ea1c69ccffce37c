mkdir t; echo 1 >t/f; setfattr -n user.note -v hello t/f; setfattr -n user.dir -v d t; tar --xattrs --owner=0 --group=0 -cf z.tar -C t .; rm -r t
