"""Bring the build context's files here, and know which of them count."""
