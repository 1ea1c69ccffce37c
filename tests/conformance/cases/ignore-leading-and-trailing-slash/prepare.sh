mkdir -p d f sub; touch a sub/a d/x e f/x g
cat >.dockerignore <<'X'
/a
d/
./e
f/../g
X
