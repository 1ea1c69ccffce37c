mkdir -p d; touch a d/x b
cat >.dockerignore <<'X'
a
d/
X
