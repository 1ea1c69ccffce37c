mkdir -p t/real u/l; ln -s real t/l; echo 1 >u/l/f; tar --owner=0 --group=0 -cf z.tar -C t real l -C ../u l/f; rm -r t u
