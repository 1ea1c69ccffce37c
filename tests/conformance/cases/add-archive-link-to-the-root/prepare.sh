mkdir -p t u/l; ln -s / t/l; echo 1 >u/l/f; tar --owner=0 --group=0 -cf z.tar -C t l -C ../u l/f; rm -r t u
