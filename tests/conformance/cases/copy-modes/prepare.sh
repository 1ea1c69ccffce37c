chmod 0600 a.txt; chmod 0755 b.txt; chmod 0711 dir; chmod 4755 dir/c.txt; chmod 1777 dir/sub
