"""gazami builds container images from Dockerfiles without a daemon and without privileges."""

__version__ = "0.1.0"
