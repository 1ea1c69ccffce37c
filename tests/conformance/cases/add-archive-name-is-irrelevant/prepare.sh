mkdir t; echo 1 >t/one; tar --owner=0 --group=0 -czf picture.png -C t one; rm -r t; echo no >text.tar
