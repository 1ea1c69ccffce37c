mkdir t; echo 1 >t/one; ln t/one t/two; tar --owner=0 --group=0 -cf z.tar -C t one two; rm -r t
