"""Dockerfile text to an AST with spans. Pure: text in, values out, nothing but :class:`DockerfileError` raised."""
