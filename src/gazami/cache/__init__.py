"""Layers by key: the keys, the entries, and the places that keep them."""
