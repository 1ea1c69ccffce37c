mkdir -p a a/b; touch t1 a/t1 a/b/t1 a/u
cat >.dockerignore <<'X'
*/t*
X
