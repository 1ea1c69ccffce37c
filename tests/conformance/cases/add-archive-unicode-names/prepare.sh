mkdir t; touch t/grüße t/日本; tar --format=pax --owner=0 --group=0 -cf a.tar -C t grüße; tar --format=gnu --owner=0 --group=0 -cf b.tar -C t 日本; rm -r t
