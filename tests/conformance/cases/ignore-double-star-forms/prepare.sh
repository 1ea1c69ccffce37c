mkdir -p d d/b d/keep/k s s/t s/tmp tmp; touch a.o s/a.o s/t/a.o tmp/x s/tmp/x d/a d/b/c d/keep/k/l
cat >.dockerignore <<'X'
**/*.o
**/tmp
d/**
!d/keep/**
X
