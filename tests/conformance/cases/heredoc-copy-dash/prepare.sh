printf 'a\n b\n\n' >h
