"""The OCI distribution protocol: pulling, pushing and mounting blobs and manifests. ``client`` is the way in."""
