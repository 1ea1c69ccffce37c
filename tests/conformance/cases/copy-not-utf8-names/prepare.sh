touch "$(printf 'a\377b')"; ln -s "$(printf 'a\377b')" link
