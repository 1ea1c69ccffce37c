mkfifo p; touch f
