cat >h <<'X'
a ab z $A \ "a" 'a' []
joi
ned
X
