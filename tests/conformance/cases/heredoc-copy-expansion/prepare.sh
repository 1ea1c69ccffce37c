cat >h <<'X'
a ab z $A \ "a" 'a' []
joined
X
