"""What an image is: digests, references, manifests, configs and layers as values. Pure: no I/O here."""
