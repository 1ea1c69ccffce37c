"""What a build starts from, up to the plan: contexts, the Dockerfile, named contexts, bases, and whether everything is there."""
