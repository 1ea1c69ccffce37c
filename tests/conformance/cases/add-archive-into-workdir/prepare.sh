mkdir t; touch t/1; tar --owner=0 --group=0 -cf z.tar -C t 1; rm -r t
