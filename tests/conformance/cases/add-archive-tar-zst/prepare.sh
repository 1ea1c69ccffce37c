mkdir -p t/s; echo 1 >t/one; echo 2 >t/s/two; ln -s one t/link; tar --owner=3 --group=4 -cf - -C t . | zstd -q >z; rm -r t
