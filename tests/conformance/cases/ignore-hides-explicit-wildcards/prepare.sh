mkdir -p d; touch a.log b.txt d/a.log
cat >.dockerignore <<'X'
*.log
X
