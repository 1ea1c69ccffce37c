mkdir -p a; touch foo xfoo a/foo a/bfoo foob a/foob
cat >.dockerignore <<'X'
**foo
X
