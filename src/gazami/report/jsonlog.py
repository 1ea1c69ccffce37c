"""RUN output as JSON log lines: bytes in, whole lines out, so that a log collector never sees half an object."""

from __future__ import annotations

from gazami.events import StepId, StepOutput
from gazami.report.line import Line

_LONGEST = 64 * 1024


class OutputLines:
    """Collects the bytes of each step and stream until a line is whole, or 64 KiB long."""

    def __init__(self) -> None:
        self._held: dict[tuple[StepId, str], bytes] = {}

    def feed(self, event: StepOutput) -> list[Line]:
        key = (event.id, event.stream)
        *whole, rest = (self._held.pop(key, b"") + event.data).split(b"\n")
        while len(rest) > _LONGEST:
            whole.append(rest[:_LONGEST])
            rest = rest[_LONGEST:]
        if rest:
            self._held[key] = rest
        return [_line(key, data) for data in whole]

    def end(self, step: StepId) -> list[Line]:
        """What a step left without a newline at its end."""
        keys = [key for key in self._held if key[0] == step]
        return [_line(key, self._held.pop(key)) for key in keys]


def _line(key: tuple[StepId, str], data: bytes) -> Line:
    step, stream = key
    text = data.rstrip(b"\r").decode("utf-8", "replace")
    return Line("info", text, {"stream": stream, "stage": step.stage, "step": step.step})
