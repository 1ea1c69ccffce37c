mkdir t; touch t/f; tar --owner=:3000000 --group=:2999999 -cf z.tar -C t f; rm -r t
