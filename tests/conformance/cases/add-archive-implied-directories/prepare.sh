mkdir -p t/a/b; echo 1 >t/a/b/f; tar --owner=3 --group=4 -cf z.tar -C t a/b/f; rm -r t
