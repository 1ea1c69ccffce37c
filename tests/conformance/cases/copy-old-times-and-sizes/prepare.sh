touch -d 1999-01-01 old; truncate -s 3M sparse; head -c 70000 /dev/zero >zeros; touch -d 2035-05-05 future
