"""Credentials without a program: environment variables, GitLab, Amazon, Google and Azure, each in a module of its own."""
