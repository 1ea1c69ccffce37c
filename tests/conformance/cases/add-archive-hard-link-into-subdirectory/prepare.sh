mkdir -p t/a t/b; echo 1 >t/a/f; ln t/a/f t/b/g; ln -s ../a/f t/b/s; tar --owner=0 --group=0 -cf z.tar -C t .; rm -r t
