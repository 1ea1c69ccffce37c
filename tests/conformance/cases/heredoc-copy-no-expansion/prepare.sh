cat >x <<'X'
$A \$A \
x
X
echo '$A' >y
