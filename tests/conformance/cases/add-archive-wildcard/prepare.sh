mkdir t; touch t/1 t/2; tar --owner=0 --group=0 -cf a.tar -C t 1; tar --owner=0 --group=0 -cf b.tar -C t 2; rm -r t; echo f >f1
