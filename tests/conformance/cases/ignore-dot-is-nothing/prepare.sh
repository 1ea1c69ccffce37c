mkdir -p d; touch a d/b
cat >.dockerignore <<'X'
.
X
