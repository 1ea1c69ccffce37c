from __future__ import annotations

from tests.integration.commandline.conftest import busybox, context, host

__all__ = ["busybox", "context", "host"]
