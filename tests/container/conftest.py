"""Names of ``tests.podman``, whose fixtures ``tests/integrations`` has too: one set of images for both folders."""

from tests.podman import LIMITS, ROOT, Executor, Podman

__all__ = ["LIMITS", "ROOT", "Executor", "Podman"]
