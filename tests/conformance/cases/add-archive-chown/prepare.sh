mkdir -p t/s; echo 1 >t/one; echo 2 >t/s/two; ln -s one t/l; tar --owner=3 --group=4 -cf z.tar -C t .
