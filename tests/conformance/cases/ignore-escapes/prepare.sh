touch '*' star 'q?' qq
cat >.dockerignore <<'X'
\*
q\?
X
