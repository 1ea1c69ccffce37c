"""What CI systems read in a log: GitHub's workflow commands, and the sections of GitHub and GitLab that fold. Pure.

GitHub (docs: workflow commands): ``::group::title`` to ``::endgroup::``, ``::error file=…,line=…,title=…::text``. GitLab (docs: job
logs): ``section_start:UNIX:name`` to ``section_end:UNIX:name``, each followed by a carriage return and an erased line.
"""

from __future__ import annotations

from typing import Literal

from gazami import events
from gazami.errors import GazamiError, SeveralErrors
from gazami.foreign import printable_lines
from gazami.values import fast_dataclass

CI = Literal["", "github", "gitlab"]
_ERASE = "\x1b[0K"


def command(name: str, text: str, **properties: str) -> str:
    """A line that is a command: ``::name key=value::text``."""
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name}{' ' if listed else ''}{listed}::{_data(text)}\n"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("##[", "## [")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def section_start(ci: CI, name: str, title: str, now: float) -> str:
    """``name`` of letters, digits and ``_``; ``now`` in seconds since 1970."""
    if ci == "github":
        return command("group", title)
    return f"{_ERASE}section_start:{int(now)}:{name}[collapsed=true]\r{_ERASE}{title}\n"


def section_end(ci: CI, name: str, now: float) -> str:
    if ci == "github":
        return command("endgroup", "")
    return f"{_ERASE}section_end:{int(now)}:{name}\r{_ERASE}\n"


@fast_dataclass(frozen=True, slots=True)
class Files:
    """How the texts that errors point into are called in the repository: GitHub shows an annotation at such a path."""

    named: tuple[tuple[str, str], ...] = ()

    @property
    def dockerfile(self) -> str:
        return self.named[0][1] if self.named else "Dockerfile"

    def path(self, name: str) -> str:
        return dict(self.named).get(name, name)


def annotation(error: GazamiError, files: Files) -> str:
    """An error as the command that puts it beside the lines of a commit; of several, one each."""
    from gazami.report.causes import causes

    if isinstance(error, SeveralErrors):
        return "".join(annotation(each, files) for each in error.errors)
    told = [error.message, *(f"caused by: {cause}" for cause in causes(error)), *([f"hint: {error.hint}"] if error.hint else [])]
    text = printable_lines("\n".join(told))
    if error.source is None or error.span is None:
        return command("error", text, title="gazami")
    lines = error.source.text.splitlines()
    title = lines[error.span.start - 1].strip()[:80] if 0 < error.span.start <= len(lines) else "gazami"
    span = error.span
    return command("error", text, file=files.path(error.source.name), line=str(span.start), endLine=str(span.end), title=title)


def warning(event: events.Warned | events.Message, files: Files) -> str:
    """A warning as the command that puts it beside the lines that it is about, if it is about any."""
    if isinstance(event, events.Message):
        return command("warning", event.text, title="gazami")
    text = event.text + (f"\nhint: {event.hint}" if event.hint else "")
    title = event.rule or "gazami"
    if event.span is None:
        return command("warning", text, title=title)
    return command("warning", text, file=files.dockerfile, line=str(event.span.start), endLine=str(event.span.end), title=title)
