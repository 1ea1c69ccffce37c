mkdir -p t/s; echo 1 >t/one; echo 2 >t/s/two; tar --owner=0 --group=0 -cf z.tar -C t .; rm -r t
