ln -s a.txt link; ln -s dir dirlink
