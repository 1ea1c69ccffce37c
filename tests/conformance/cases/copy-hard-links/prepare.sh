ln dir/c.txt dir/hard
