echo body >h
