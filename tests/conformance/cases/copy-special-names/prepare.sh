touch -- 'a b' 'c"d' "e'f" '$g' 'h\i' '-j' '#k' 'l=m' "$(printf 'n\to')" '[p]' '*'; mkdir '...' ' '; touch '.../q' ' /r'
