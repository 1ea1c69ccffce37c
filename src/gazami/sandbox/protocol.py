"""What crosses the sockets between gazami and its fork server.

A message is an 8-byte big-endian length and that many bytes of JSON; descriptors ride on the length. Each request has
a socket pair of its own, whose far end is handed to the server through the control socket: closing it is how a request is
cancelled, its end is how a death is noticed, and no two requests can be confused.

The JSON is one frozen dataclass of gazami's: an object with the name of its class, tuples as lists. Standard library only.
"""

from __future__ import annotations

import base64
import errno
import importlib
import json
import socket
import traceback
from array import array
from collections.abc import Sequence
from typing import Any

from gazami import errors
from gazami.errors import GazamiError, HostError, SpaceError
from gazami.values import fast_dataclass

_LENGTH = 8
_MOST_BYTES = 1 << 30
_MOST_DESCRIPTORS = 8
_PACKAGES = ("gazami.sandbox.", "gazami.rootfs.")
"""Where the classes are that cross."""
_CLASS = "class"


def send_message(channel: socket.socket, message: object, descriptors: Sequence[int] = ()) -> None:
    body = encode(message).encode()
    socket.send_fds(channel, [len(body).to_bytes(_LENGTH, "big")], list(descriptors))
    channel.sendall(body)


def receive_message(channel: socket.socket) -> tuple[object, list[int]] | None:
    """The next message and its descriptors (closed on exec); None when the other side is gone."""
    try:
        head, descriptors = receive_descriptors(channel, _LENGTH)
        rest = _receive(channel, _LENGTH - len(head)) if head else b""
        length = int.from_bytes(head + rest, "big")
        if len(head) + len(rest) < _LENGTH or length > _MOST_BYTES:
            return None
        body = _receive(channel, length)
    except ConnectionError:
        return None
    return (decode(body), descriptors) if len(body) == length else None


def receive_descriptors(channel: socket.socket, length: int) -> tuple[bytes, list[int]]:
    """Up to ``length`` bytes and the descriptors that come with them, closed on exec (socket.recv_fds drops that flag)."""
    numbers = array("i")
    space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * numbers.itemsize)
    data, ancillary, _, _ = channel.recvmsg(length, space, socket.MSG_CMSG_CLOEXEC)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
    return data, numbers.tolist()


def _receive(channel: socket.socket, length: int) -> bytes:
    """``length`` bytes, fewer when the other side is gone."""
    data = bytearray()
    while len(data) < length:
        chunk = channel.recv(min(length - len(data), 1 << 20))
        if not chunk:
            break
        data += chunk
    return bytes(data)


# -- values -----------------------------------------------------------------------------------------------------------


def encode(value: object) -> str:
    """A value as one line of JSON text: text, a number, bytes, None, or a tuple or a dataclass of such values."""
    return json.dumps(value, default=_object, separators=(",", ":"))


def decode(text: str | bytes) -> Any:
    """The value that :func:`encode` encoded. Raises ValueError for any other text."""
    try:
        return _tuples(json.loads(text, object_hook=_value))
    except (ImportError, AttributeError, TypeError, KeyError, RecursionError) as cause:
        raise ValueError(f"not a value of gazami's: {cause}") from cause


def _object(value: Any) -> dict[str, Any]:
    kind = type(value)
    if kind is bytes:
        return {_CLASS: "bytes", "base64": base64.b64encode(value).decode()}
    names = {name: getattr(value, name) for name in kind.__match_args__}  # fields() is slow at first, in each new process
    return {_CLASS: f"{kind.__module__}:{kind.__qualname__}", **names}


def _value(found: dict[str, Any]) -> object:
    name = found.pop(_CLASS, "")
    if name == "bytes":
        return base64.b64decode(found["base64"])
    module, _, qualified = name.partition(":")
    if not module.startswith(_PACKAGES):
        raise ValueError(f"{name!r} is no class of gazami's")
    kind: Any = getattr(importlib.import_module(module), qualified)
    if "__dataclass_fields__" not in vars(kind):
        raise ValueError(f"{name} is no dataclass")
    return kind(**{key: _tuples(item) for key, item in found.items()})


def _tuples(item: Any) -> Any:
    return tuple(map(_tuples, item)) if isinstance(item, list) else item


# -- errors -----------------------------------------------------------------------------------------------------------


@fast_dataclass(frozen=True, slots=True)
class Failure:
    """An exception on its way to the other side. ``kind`` is the class's name, empty for a bug of ours, whose traceback is the
    ``message``. ``number`` and ``paths`` are an OSError's."""

    kind: str
    message: str
    hint: str | None = None
    exit_code: int = 1
    number: int | None = None
    paths: tuple[str, ...] = ()


def describe_error(error: BaseException) -> Failure:
    """An exception as a value; :func:`rebuild_error` makes it an exception again on the other side."""
    match error:
        case GazamiError():
            return Failure(type(error).__name__, error.message, error.hint, error.exit_code)
        case OSError():
            paths = tuple(str(name) for name in (error.filename, error.filename2) if name is not None)
            return Failure("OSError", error.strerror or str(error), number=error.errno, paths=paths)
        case _:
            return Failure("", "".join(traceback.format_exception(error)))


def rebuild_error(failure: Failure) -> Exception:
    """The exception that :func:`describe_error` described: full file systems become SpaceError, refusals HostError.

    One that is neither a GazamiError nor an OSError becomes a RuntimeError with its traceback as the text: a bug of ours.
    """
    if failure.kind == "OSError":
        return _os_error(failure)
    kind = getattr(errors, failure.kind, None) if failure.kind else None
    if not (isinstance(kind, type) and issubclass(kind, GazamiError)):
        return RuntimeError(failure.message)
    if issubclass(kind, errors.CommandFailed):
        return kind(failure.message, exit_code=failure.exit_code, hint=failure.hint)
    return kind(failure.message, hint=failure.hint)


def _os_error(failure: Failure) -> Exception:
    text = ": ".join([*failure.paths[:1], failure.message])
    if failure.number in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(text, hint="Free some space, or name a larger place with --state-dir.")
    if failure.number in (errno.EPERM, errno.EACCES):
        return HostError(text)
    return OSError(failure.number, failure.message, *failure.paths[:1])
