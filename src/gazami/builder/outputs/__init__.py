"""Where an image goes: the gate before it, registries, archives, folders, digest files, an index of platforms."""
