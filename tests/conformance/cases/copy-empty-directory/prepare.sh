mkdir dir/empty
