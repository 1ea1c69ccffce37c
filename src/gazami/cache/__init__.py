"""Layers by key: the keys, the entries, and the stores that keep them."""
