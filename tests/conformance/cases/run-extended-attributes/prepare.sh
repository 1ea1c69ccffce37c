echo 1 >f; setfattr -n user.note -v hello f; tar --xattrs --owner=0 --group=0 -cf z.tar f; rm f
