mkdir t; mkfifo t/p; mknod t/c c 1 3; mknod t/b b 7 9; echo 1 >t/s; chmod 6755 t/s; mkdir -m 3777 t/d; tar --owner=0 --group=0 -cf z.tar -C t p c b s d; rm -r t
