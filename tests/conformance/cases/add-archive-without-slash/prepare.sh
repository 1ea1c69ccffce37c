mkdir t; echo 1 >t/one; tar --owner=0 --group=0 -cf z.tar -C t one; rm -r t
