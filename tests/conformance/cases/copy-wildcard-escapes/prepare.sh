mkdir p; echo 1 >'arr[0].txt'; cp arr* p; echo 2 >'q?.txt'; echo 3 >qq.txt
