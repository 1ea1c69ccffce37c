"""The files of ``gazami build --report DIR``, written when the build has ended, well or not."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.errors import GazamiError, HostError
from gazami.report.written.build_summary import document
from gazami.report.written.page import page
from gazami.report.written.timeline import Timeline, listening

if TYPE_CHECKING:
    from gazami.events import Emit


def check_place(folder: str) -> None:
    """Whether the directory can be made, before the build begins. It is made afterwards: it may lie in the context, which has other
    files then. Raises :class:`HostError`."""
    place = Path(os.path.abspath(folder))
    with _told(folder):
        while True:
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISDIR(place.stat().st_mode):
                    raise NotADirectoryError(errno.ENOTDIR, f"{place} is not a directory")
                if not os.access(place, os.W_OK | os.X_OK):
                    raise PermissionError(errno.EACCES, f"no permission to write to {place}")
                return
            place = place.parent


@contextlib.contextmanager
def reporting(
    folder: str, emit: Emit, note_error: Callable[[GazamiError], None]
) -> Iterator[tuple[Emit, Callable[[GazamiError], None]]]:
    """What to call with each event and with the error of the build. Raises :class:`HostError` for files that cannot be
    written; where the build failed too, its error is the one that counts."""
    timeline, errors = Timeline(), list[GazamiError]()
    started = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    yield listening(timeline, errors, emit, note_error)
    try:
        with _told(folder):
            Path(folder).mkdir(parents=True, exist_ok=True)
            _write(Path(folder), timeline, started, errors[0] if errors else None)
    except HostError as error:
        if not errors:
            raise
        sys.stderr.write(f"warning: {error.message}\n")


def _write(place: Path, timeline: Timeline, started: str, error: GazamiError | None) -> None:
    from gazami.layer.output_file import write_output

    known = document(timeline, started, error)
    for name, text in (
        ("summary.json", json.dumps(known, indent=2, ensure_ascii=False) + "\n"),
        ("summary.md", timeline.summary.text(error) or "Nothing was built.\n"),
        ("report.html", page(known)),
    ):
        write_output(place / name, text.encode("utf-8", "replace"))


@contextlib.contextmanager
def _told(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise HostError(
            f"cannot write the report {folder}: {cause.strerror}", hint="name another directory: --report DIR"
        ) from cause
