mkdir t; echo 1 >t/f; tar --owner=0 --group=0 -cf z.tar -C t f; echo second >t/f; chmod 600 t/f; tar --owner=0 --group=0 -rf z.tar -C t f; rm -r t
