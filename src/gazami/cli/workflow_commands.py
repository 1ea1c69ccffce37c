"""GitHub's workflow commands: our own are written safely, and nobody else's reach the runner.

The runner takes a line for a command that begins with ``::`` after white space, or that has ``##[name]`` in it (actions/runner,
ActionCommand.cs), on either stream of a step. So what a RUN prints, and what a registry says, passes through :class:`Barred` on its
way there: a line that looks like a command begins with a bar, and ``##[`` is taken apart. ``::stop-commands::`` would do the same
until something ends before it could say that commands are wanted again.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Iterator
from typing import BinaryIO, TextIO, cast

from gazami.report.workflow import command

_LOOKS_LIKE = re.compile(rb"[^\x21-\x7e\r\n]*::")
_UNDECIDED = re.compile(rb"[^\x21-\x7e\r\n]*:?\Z")
_LONGEST = 1024
"""Bytes at the start of a line that are held back until it is known what they begin."""


def masks(secret: str) -> str:
    """Commands that hide a secret in every log of the job: one for each line of it, since logs are hidden by line."""
    return "".join(command("add-mask", line) for line in secret.splitlines() if line.strip())


@contextlib.contextmanager
def no_commands(*, stdout: bool = True) -> Iterator[BinaryIO]:
    """Nothing that is written to the streams meanwhile is a command to the runner; without ``stdout``, to standard error alone.

    A line that is still open is ended, so that the next one may be a command of ours. Yields the stream for commands of our own:
    standard error without bars.
    """
    before = sys.stdout, sys.stderr
    errors = Barred(sys.stderr)
    barred = [errors]
    sys.stderr = _text(errors)
    if stdout:
        barred.append(Barred(sys.stdout))
        sys.stdout = _text(barred[-1])
    try:
        yield cast(BinaryIO, _Unbarred(errors))
    finally:
        for stream, bars in zip((sys.stderr, sys.stdout), barred, strict=False):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
                bars.end()
        sys.stdout, sys.stderr = before


class Barred(io.BufferedIOBase):
    """Bytes on their way to a stream; a line that the runner could take for a command gets ``| `` before it."""

    def __init__(self, below: TextIO) -> None:
        self._below = below
        self._start = True
        self._held = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        given = bytes(data)  # type: ignore[call-overload]
        pieces = re.findall(rb"[^\r\n]*[\r\n]|[^\r\n]+\Z", self._held + given)
        self._held = b""
        self._pass(b"".join(self._harmless(piece) for piece in pieces))
        return len(given)

    def _harmless(self, piece: bytes) -> bytes:
        """A line, or the part of one that has come; what cannot be decided yet is held back."""
        whole = piece[-1:] in (b"\r", b"\n")
        if not whole:
            if self._start and len(piece) < _LONGEST and _UNDECIDED.match(piece):
                self._held = piece
                return b""
            piece, self._held = _split(piece)
        suspect = _LOOKS_LIKE.match(piece) or (not whole and piece and _UNDECIDED.match(piece))
        bar = b"| " if self._start and suspect else b""
        self._start = whole or (self._start and not piece)
        return bar + piece.replace(b"##[", b"## [")

    def flush(self) -> None:
        self._below.flush()

    def pass_by(self, data: bytes) -> None:
        """Write a line of our own as it is, after the end of one that was left open; through other bars below, too."""
        self.end()
        below = getattr(self._below, "buffer", None)
        if isinstance(below, Barred):
            below.pass_by(data)
        else:
            self._pass(data)

    def end(self) -> None:
        """Write what was held back, and the end of a line that was left open."""
        held, self._held = self._held, b""
        self._pass(held + (b"" if self._start and not held else b"\n"))
        self._start = True
        self.flush()

    def _pass(self, data: bytes) -> None:
        if not data:
            return
        buffer = getattr(self._below, "buffer", None)
        if buffer is None:  # a stream of a test
            self._below.write(data.decode("utf-8", "replace"))
        else:
            self._below.flush()
            buffer.write(data)
            buffer.flush()


class _Unbarred(io.BufferedIOBase):
    """A stream whose lines pass by the bars."""

    def __init__(self, bars: Barred) -> None:
        self._bars = bars

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        given = bytes(data)  # type: ignore[call-overload]
        self._bars.pass_by(given)
        return len(given)

    def flush(self) -> None:
        self._bars.flush()


def _split(piece: bytes) -> tuple[bytes, bytes]:
    """What may be written of an open line, and what may yet become ``##[``."""
    kept = min(len(piece) - len(piece.rstrip(b"#")), 2)
    return piece[: len(piece) - kept], piece[len(piece) - kept :]


def _text(bars: Barred) -> TextIO:
    return io.TextIOWrapper(cast(BinaryIO, bars), encoding="utf-8", errors="replace", write_through=True, newline="")
