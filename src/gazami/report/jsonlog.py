"""RUN output as whole lines, so that a log collector never sees half an object and a line never has two authors; and the lines as
JSON, all that come at once in one piece: a command may print a million of them."""

from __future__ import annotations

import json.encoder
from typing import Literal

from gazami.events import StepId, StepOutput
from gazami.foreign import printable

LONGEST = 64 * 1024
"""Bytes after which a line without an end is cut."""

Stream = Literal["stdout", "stderr"]
_quoted = json.encoder.encode_basestring


class WholeLines:
    """Collects the bytes of each step and stream until a line is whole, or 64 KiB long."""

    def __init__(self) -> None:
        self._held: dict[tuple[StepId, Stream], bytes] = {}

    def feed(self, event: StepOutput) -> list[bytes]:
        """The lines that are whole now, without their newlines."""
        key = (event.id, event.stream)
        *whole, rest = (self._held.pop(key, b"") + event.data).split(b"\n")
        while len(rest) > LONGEST:
            whole.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        if rest:
            self._held[key] = rest
        return whole

    def end(self, step: StepId) -> list[tuple[Stream, bytes]]:
        """What a step left without a newline at its end."""
        keys = [key for key in self._held if key[0] == step]
        return [(key[1], self._held.pop(key)) for key in keys]


def output_as_json(lines: list[bytes], step: StepId, stream: Stream, clock: str) -> str:
    """One object a line, each as :func:`gazami.report.line.written` writes it."""
    head = '{"level": "info", "msg": '
    tail = f', "time": {_quoted(clock)}, "stream": "{stream}", "stage": {step.stage}, "step": {step.step}}}\n'
    texts = b"\n".join(lines).decode("utf-8", "replace").split("\n")
    between = tail + head
    body = between.join([_quoted(text if text.isprintable() else printable(text.rstrip("\r"))) for text in texts])
    return f"{head}{body}{tail}" if lines else ""
