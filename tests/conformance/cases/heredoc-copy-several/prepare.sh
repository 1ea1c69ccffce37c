mkdir d; echo 1 >d/one; echo 2 >d/two.txt
