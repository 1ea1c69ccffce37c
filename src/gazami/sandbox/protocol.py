"""What crosses the sockets between gazami and its fork server.

A message is an 8-byte big-endian length and that many bytes of JSON; descriptors ride on the length. Each request has
a socket pair of its own, whose far end is handed to the server through the control socket: closing it is how a request is
cancelled, its end is how a death is noticed, and no two requests can be confused.
"""

from __future__ import annotations

import errno
import json
import socket
import traceback
from array import array
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gazami import errors
from gazami.errors import GazamiError, HostError, SpaceError
from gazami.sandbox.spec import BindMount, FileMount, OverlayRoot, PlainRoot, Root, RunSpec, StepMount, TmpfsMount

_LENGTH = 8
_MOST_BYTES = 1 << 30
_MOST_DESCRIPTORS = 8
_MOUNTS: dict[str, type[BindMount] | type[TmpfsMount] | type[FileMount]] = {
    "BindMount": BindMount,
    "TmpfsMount": TmpfsMount,
    "FileMount": FileMount,
}


def send_message(channel: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    body = json.dumps(message, separators=(",", ":")).encode()
    socket.send_fds(channel, [len(body).to_bytes(_LENGTH, "big")], list(descriptors))
    channel.sendall(body)


def receive_message(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
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
    return (json.loads(body), descriptors) if len(body) == length else None


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


def spec_to_json(spec: RunSpec) -> dict[str, Any]:
    """The spec as JSON; :func:`spec_from_json` reverses it."""
    return {**asdict(spec), "mounts": [{**asdict(mount), "type": type(mount).__name__} for mount in spec.mounts]}


def spec_from_json(value: dict[str, Any]) -> RunSpec:
    return RunSpec(
        root=_root(value["root"]),
        argv=tuple(value["argv"]),
        env=_pairs(value["env"]),
        cwd=value["cwd"],
        user=value["user"],
        hostname=value["hostname"],
        mounts=tuple(_mount(item) for item in value["mounts"]),
        network=value["network"],
        hosts=_pairs(value["hosts"]),
        timeout=value["timeout"],
        shm_size=value["shm_size"],
        limits=tuple((name, soft, hard) for name, soft, hard in value["limits"]),
    )


def _root(value: dict[str, Any]) -> Root:
    if "path" in value:
        return PlainRoot(value["path"])
    return OverlayRoot(tuple(value["lowers"]), value["upper"], value["work"])


def _mount(value: dict[str, Any]) -> StepMount:
    fields = {key: item for key, item in value.items() if key != "type"}
    return _MOUNTS[value["type"]](**fields)


def _pairs(values: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in values)


def describe_error(error: BaseException) -> dict[str, Any]:
    """An exception as JSON; :func:`rebuild_error` makes it an exception again on the other side."""
    match error:
        case GazamiError():
            return {
                "class": type(error).__name__,
                "message": error.message,
                "hint": error.hint,
                "exit_code": error.exit_code,
            }
        case OSError():
            where = [str(name) for name in (error.filename, error.filename2) if name is not None]
            return {"class": "OSError", "errno": error.errno, "message": error.strerror or str(error), "where": where}
        case _:
            return {"class": "", "message": "".join(traceback.format_exception(error))}


def rebuild_error(value: dict[str, Any]) -> Exception:
    """The exception that :func:`describe_error` described: full file systems become SpaceError, refusals HostError.

    One that is neither a GazamiError nor an OSError becomes a RuntimeError with its traceback as the text: a bug of ours.
    """
    message = value["message"]
    if value["class"] == "OSError":
        return _os_error(value["errno"], message, value["where"])
    kind = getattr(errors, value["class"], None) if value["class"] else None
    if not (isinstance(kind, type) and issubclass(kind, GazamiError)):
        return RuntimeError(message)
    error: GazamiError
    if kind is errors.CommandFailed:
        error = errors.CommandFailed(message, exit_code=value["exit_code"], hint=value["hint"])
    else:
        error = kind(message, hint=value["hint"])
    return error


def _os_error(number: int | None, message: str, where: list[str]) -> Exception:
    text = ": ".join([*where[:1], message])
    if number in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(text, hint="Free some space, or name a larger place with --state-dir.")
    if number in (errno.EPERM, errno.EACCES):
        return HostError(text)
    return OSError(number, message, *where[:1])
