touch a A.txt b.TXT c
cat >.dockerignore <<'X'
A
*.TXT
X
