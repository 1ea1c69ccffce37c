mkdir dir; ln -s t dir/c.txt
