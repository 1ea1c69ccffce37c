touch a Dockerfile
cat >.dockerignore <<'X'
.dockerignore
Dockerfile
X
