"""The streams of a log. One that is closed or full must not end a build: what cannot be written is dropped."""

from __future__ import annotations

import contextlib
from typing import BinaryIO

from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Streams:
    """``commands`` is where a CI system reads commands of gazami's own, if it is another stream than ``stderr``: one that no
    output of a RUN reaches."""

    stdout: BinaryIO
    stderr: BinaryIO
    commands: BinaryIO | None = None


class LogStreams:
    """Our own lines, and bytes of a RUN; ours are never written onto the end of a line that a RUN has begun."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._open: BinaryIO | None = None

    def own(self, text: str) -> None:
        if self._open is not None:
            _write(self._open, b"\n")
            self._open = None
        _write(self._streams.stderr, text.encode("utf-8", "replace"))

    def command(self, text: str) -> None:
        """A line for the CI system itself."""
        self.own("")
        _write(self._streams.commands or self._streams.stderr, text.encode("utf-8", "replace"))

    def foreign(self, stream: str, data: bytes) -> None:
        """Bytes as they are."""
        if data:
            target = self._streams.stdout if stream == "stdout" else self._streams.stderr
            _write(target, data)
            self._open = None if data.endswith(b"\n") else target


def _write(stream: BinaryIO, data: bytes) -> None:
    if data:
        with contextlib.suppress(OSError, ValueError):
            stream.write(data)
            stream.flush()
