"""Bytes of a layer: tar, compression, whiteouts, blob files, and the archives that images are stored in."""
