touch k k2 a
cat >.dockerignore <<'X'
!k
*
!k2
X
