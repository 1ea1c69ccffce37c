mkdir -p d d/e d/h; touch d/a d/e/f d/e/g d/h/i o
cat >.dockerignore <<'X'
d
!d/e/f
X
