touch a+b aab '(c)' c d.e dxe '{f,g}' f 'h$' h
cat >.dockerignore <<'X'
a+b
(c)
d.e
{f,g}
h$
X
