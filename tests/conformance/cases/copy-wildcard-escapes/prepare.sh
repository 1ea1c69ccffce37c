mkdir -p dir/sub; echo a >a.txt; echo b >b.txt; echo c >dir/c.txt; echo d >dir/sub/d.txt
echo 1 >'arr[0].txt'; echo 2 >'q?.txt'; echo 3 >qq.txt
