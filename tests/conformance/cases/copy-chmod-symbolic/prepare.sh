mkdir -p dir/sub; echo a >a.txt; echo b >b.txt; echo c >dir/c.txt; echo d >dir/sub/d.txt
chmod 600 dir/c.txt; chmod 700 dir/sub; chmod 640 b.txt
mkdir -p peer/x/sub; cp dir/c.txt peer/x; cp dir/sub/d.txt peer/x/sub; chmod 644 peer/x/c.txt peer/x/sub/d.txt; chmod 755 peer/x/sub peer/x; cp b.txt peer/q; chmod 660 peer/q; cp b.txt peer/r; chmod 4440 peer/r; cp a.txt peer/p; chmod 755 peer/p
