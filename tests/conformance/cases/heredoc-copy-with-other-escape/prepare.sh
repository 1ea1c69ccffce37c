echo '$A a `' >h
