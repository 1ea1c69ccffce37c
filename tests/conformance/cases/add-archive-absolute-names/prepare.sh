mkdir -p t/s; echo 1 >t/s/one; tar --owner=0 --group=0 -P --transform='s,^t/,/abs/,' -cf z.tar t/s; rm -r t
