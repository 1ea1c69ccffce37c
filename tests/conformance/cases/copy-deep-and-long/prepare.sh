n=$(printf 'n%.0s' $(seq 200)); mkdir -p $n/$n/$n; echo x >$n/$n/$n/f; ln -s $n/$n/$n/f l; echo y >$(printf 'm%.0s' $(seq 255))
