touch a.txt ab.txt b.log e.log xz yz
cat >.dockerignore <<'X'
?.txt
[b-d].log
[^x]z
X
