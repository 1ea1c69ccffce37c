n=$(printf "n%.0s" $(seq 120)); mkdir -p $n/$n; echo x >$n/$n/$n
