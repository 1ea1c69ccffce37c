"""Which display a build gets: the live view on a terminal, else lines."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, Protocol

from gazami.errors import GazamiError
from gazami.events import Event
from gazami.report.line import Settings
from gazami.report.log_streams import Streams
from gazami.report.plain import PlainSink


class Reporter(Protocol):
    """A sink of events that may be called from any thread. ``fail`` writes the error that ended the build."""

    def emit(self, event: Event) -> None: ...

    def paused(self) -> AbstractContextManager[None]:
        """A context in which nothing is shown, and whoever emits an event waits."""
        ...

    def fail(self, error: GazamiError) -> None: ...

    def close(self) -> None: ...


def open_reporter(
    settings: Settings, streams: Streams, *, progress: Literal["auto", "plain", "raw", "tty"], terminal: bool
) -> Reporter:
    """``terminal``: standard error understands cursor movements.

    ``auto`` takes the live view there; ``tty`` asks for it anywhere. JSON and quiet give lines; the format ``events``
    gives records.
    """
    if settings.format == "events":
        from gazami.report.record_sink import RecordSink

        return RecordSink(streams.stderr)
    live = progress == "tty" or (progress == "auto" and terminal)
    if live and settings.format != "json" and not settings.quiet:
        from gazami.report.tty import TtySink

        return TtySink(settings, streams)
    return PlainSink(settings, streams)
