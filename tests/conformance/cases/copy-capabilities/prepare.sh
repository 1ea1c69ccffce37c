mkdir t; echo x >t/cap; setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 t/cap; tar --xattrs --xattrs-include='*' --owner=0 --group=0 -cf z.tar -C t cap; rm -r t
