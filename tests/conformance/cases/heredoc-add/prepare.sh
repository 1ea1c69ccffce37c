echo added >EOF
