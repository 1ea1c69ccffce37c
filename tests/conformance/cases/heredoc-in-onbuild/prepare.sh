echo hello >h
