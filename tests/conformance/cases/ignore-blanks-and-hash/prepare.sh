touch a '#b' b c '#d' e
cat >.dockerignore <<'X'
  a  
 #b
# c
\#d
!  e
X
