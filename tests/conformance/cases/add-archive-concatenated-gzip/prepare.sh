mkdir t; head -c 30000 /dev/urandom >t/f; tar --owner=0 --group=0 -cf z.tar -C t f; head -c 9000 z.tar | gzip -n >z.tgz; tail -c +9001 z.tar | gzip -n >>z.tgz; rm -r t z.tar
