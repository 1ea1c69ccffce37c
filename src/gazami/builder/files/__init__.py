"""Where a build keeps bytes while it runs: the workspace, layers' bytes, kept trees, room in memory and on disk."""
