mkdir -p t/s; echo 1 >t/one; echo 2 >t/s/two; ln -s one t/link; chmod 700 t/s; tar --owner=3 --group=4 -czf z.tar.gz -C t .; rm -r t
