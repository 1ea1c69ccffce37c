mkdir -p d d/e; touch a b d/x d/e/y
cat >.dockerignore <<'X'
**
!a
!d/*
X
