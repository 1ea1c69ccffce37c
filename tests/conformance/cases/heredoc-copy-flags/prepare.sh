echo body >h; echo body >y; chmod 755 y; chmod 600 h
