mkdir dir; touch 1; tar --owner=0 --group=0 -cf dir/z.tar 1
