"""The layer cache of a build: keys, look-ups, stores, cache mounts."""
