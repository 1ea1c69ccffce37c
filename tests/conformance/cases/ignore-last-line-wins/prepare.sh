touch a.md RA.md README.md b
cat >.dockerignore <<'X'
*.md
!R*.md
README.md
X
