tar -cf z.tar -T /dev/null
