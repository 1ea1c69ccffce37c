"""Events as lines of JSON and back, without loss, to follow a build that runs elsewhere.

``--log-format=json`` is for people's log collectors: sentences. This form is for gazami itself (``gazami submit`` reads it): one
object a line with the name of the event's kind and its fields, numbered so that a reader can skip repetitions. The kinds are those
of the union ``events.Event``; :data:`_CODECS` converts the fields that JSON has no form for. A line that cannot be read is not an
event, and no error: a log has other lines too, and a newer gazami other kinds.
"""

from __future__ import annotations

import base64
import binascii
import json
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, cast

from gazami import errors, events
from gazami.errors import CommandFailed, GazamiError, RegistryError, SeveralErrors, Source, Span
from gazami.foreign import read_json
from gazami.report.causes import causes
from gazami.values import fast_dataclass, fields

VERSION = 1
_MARK = "gazami"
_FAILURE = "Failure"
_MAX_SOURCE = 256 * 1024
"""Characters of a Dockerfile that travel with an error, for the excerpt."""

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in typing.get_args(events.Event)}


@fast_dataclass(frozen=True, slots=True)
class Failure:
    """The error that ended a build."""

    error: GazamiError


@fast_dataclass(frozen=True, slots=True)
class Numbered:
    """What one line says; ``number`` counts the records of a build from 1."""

    number: int
    record: events.Event | Failure


def encode(event: events.Event, number: int) -> str:
    """One line, ASCII, without its newline."""
    values = {each.name: getattr(event, each.name) for each in fields(event)}
    members = {name: _CODECS[name][0](value) if name in _CODECS else value for name, value in values.items()}
    return _line(type(event).__name__, number, members)


def encode_failure(error: GazamiError, number: int) -> str:
    """One line with what an error shows to people: its message, lines, causes and hint; of several, those of each."""
    members = _failure_members(error)
    if isinstance(error, SeveralErrors):
        members["errors"] = [_failure_members(each) for each in error.errors]
    return _line(_FAILURE, number, members)


def _failure_members(error: GazamiError) -> dict[str, Any]:
    source = error.source if error.source and len(error.source.text) <= _MAX_SOURCE else None
    return {
        "error": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "span": _encode_span(error.span),
        "source": [source.name, _printable(source.text)] if source else None,
        "causes": causes(error),
        "exit_code": error.exit_code,
        **{name: getattr(error, name) for name in ("url", "status") if isinstance(error, RegistryError)},
    }


def decode(line: str) -> Numbered | None:
    """What a line says, None for one that is no record of a kind that is known here."""
    if not line.startswith(f'{{"{_MARK}":'):
        return None
    try:
        document = read_json(line)
        if not isinstance(document, dict) or document.pop(_MARK) != VERSION:
            return None
        number, kind = document.pop("n"), document.pop("event")
        if not isinstance(number, int):
            return None
        return Numbered(number, Failure(_failure(document)) if kind == _FAILURE else _event(_KINDS[kind], document))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError):
        return None


def _line(kind: str, number: int, members: dict[str, Any]) -> str:
    return json.dumps({_MARK: VERSION, "n": number, "event": kind, **members}, separators=(",", ":"))


# -- fields ------------------------------------------------------------------------------------------------------------


def _encode_bytes(data: bytes) -> Any:
    """Text where it is text, which is nearly always, so that the log can be read."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _decode_bytes(value: Any) -> bytes:
    try:
        return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"], validate=True)
    except binascii.Error as cause:
        raise ValueError(str(cause)) from None


def _encode_span(span: Span | None) -> list[int] | None:
    return None if span is None else [span.start, span.end]


def _decode_span(value: Any) -> Span | None:
    return None if value is None else Span(int(value[0]), int(value[1]))


_CODECS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "step": (lambda step: step and [step.stage, step.step], lambda value: value and events.StepId(int(value[0]), int(value[1]))),
    "id": (lambda step: [step.stage, step.step], lambda value: events.StepId(int(value[0]), int(value[1]))),
    "span": (_encode_span, _decode_span),
    "data": (_encode_bytes, _decode_bytes),
    "destinations": (list, tuple),
    "numbers": (list, tuple),
    "reasons": (list, tuple),
    "digests": (list, tuple),
    "sizes": (list, tuple),
    "stages": (
        lambda stages: [[index, name, list(texts)] for index, name, texts in stages],
        lambda value: tuple((index, name, tuple(texts)) for index, name, texts in value),
    ),
}
"""By the name of a field: to JSON, and back."""


# -- back --------------------------------------------------------------------------------------------------------------


def _event(kind: type[Any], members: dict[str, Any]) -> events.Event:
    hints = _hints(kind)
    values = {name: members[name] for name in hints if name in members}  # a newer gazami may say more
    values = {name: _CODECS[name][1](value) if name in _CODECS else value for name, value in values.items()}
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise TypeError(name)
    return cast("events.Event", kind(**values))


def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type, of those that events have."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return value in arguments
    if origin is types.UnionType or origin is typing.Union:
        return any(_fits(value, each) for each in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(_fits(each, arguments[0]) for each in value)
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _failure(members: dict[str, Any]) -> GazamiError:
    found = getattr(errors, str(members["error"]), GazamiError)
    kind = found if isinstance(found, type) and issubclass(found, GazamiError) else GazamiError
    message, hint = str(members["message"]), members.get("hint")
    error: GazamiError
    if issubclass(kind, CommandFailed):
        error = kind(message, exit_code=int(members["exit_code"]), hint=hint)
    elif issubclass(kind, SeveralErrors):
        error = SeveralErrors(tuple(_failure(each) for each in members.get("errors") or ()))
    elif issubclass(kind, RegistryError):
        error = kind(message, url=members.get("url"), status=members.get("status"), hint=hint)
    else:
        error = kind(message, hint=hint)
    error.exit_code = int(members["exit_code"])
    error.span = _decode_span(members.get("span"))
    if source := members.get("source"):
        error.source = Source(str(source[0]), str(source[1]))
    cause: BaseException = error
    for text in members.get("causes") or ():
        cause.__cause__ = Exception(str(text))
        cause = cause.__cause__
    return error


def _printable(text: str) -> str:
    """Bytes that are no UTF-8 have no form in JSON that every reader takes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
