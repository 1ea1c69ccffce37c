mkdir -p t/f t/l; echo new >t/d; echo in >t/l/in; tar --owner=0 --group=0 -cf z.tar -C t d f l; rm -r t
