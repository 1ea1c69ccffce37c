"""CREDENTIALS WITHOUT A PROGRAM: environment variables, GitLab, Amazon, Google and Azure, each in a module of its own."""
