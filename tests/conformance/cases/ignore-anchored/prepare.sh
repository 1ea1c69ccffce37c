mkdir -p sub sub/sub; touch a.txt sub/a.txt sub/b sub/sub/b b
cat >.dockerignore <<'X'
a.txt
sub/b
X
