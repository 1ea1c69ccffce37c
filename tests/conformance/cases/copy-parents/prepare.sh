mkdir -p dir/sub; echo a >a.txt; echo b >b.txt; echo c >dir/c.txt; echo d >dir/sub/d.txt
chmod 711 dir; chmod 700 dir/sub; mkdir -p peer/dir/sub; chmod 711 peer/dir; chmod 700 peer/dir/sub; cp dir/sub/d.txt peer/dir/sub; cp a.txt peer
