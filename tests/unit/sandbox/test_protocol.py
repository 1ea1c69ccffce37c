from __future__ import annotations

import errno
import os
import socket
import threading

import pytest

from gazami.errors import ArchiveError, CommandFailed, HostError, SandboxError, SpaceError, UserError
from gazami.sandbox.protocol import (
    describe_error,
    rebuild_error,
    receive_message,
    send_message,
    spec_from_json,
    spec_to_json,
)
from gazami.sandbox.spec import BindMount, FileMount, OverlayRoot, PlainRoot, RunSpec, TmpfsMount


def test_a_large_message_and_descriptors_arrive() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    message = {"text": "ä" * 500_000, "odd": "\udcff"}
    sender = threading.Thread(target=send_message, args=(ours, message, [write]))
    sender.start()
    received = receive_message(theirs)
    sender.join()
    assert received is not None and received[0] == message
    (passed,) = received[1]
    assert not os.get_inheritable(passed)
    os.write(passed, b"x")
    assert os.read(read, 1) == b"x"
    for fd in (read, write, passed):
        os.close(fd)
    ours.close()
    theirs.close()


@pytest.mark.parametrize("data", [b"", b"\0\0\0", (10).to_bytes(8, "big") + b"{}", b"\xff" * 20])
def test_a_torn_message_is_the_end(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(data)
        ours.close()
        assert receive_message(theirs) is None


@pytest.mark.parametrize("root", [PlainRoot("/r"), OverlayRoot(("/b", "/a"), "/u", "/w")])
def test_a_spec_survives_the_way(root: PlainRoot | OverlayRoot) -> None:
    spec = RunSpec(
        root,
        ("sh", "-c", "x"),
        (("A", "1"), ("B", "")),
        "/w",
        "u:g",
        "host",
        (BindMount("/s", "/t", False), TmpfsMount("/tmp", 5, 0o700), FileMount("/f", "eA==", 0o440, 1, 2)),
        "none",
        (("1.2.3.4", "name"),),
        1.5,
    )
    assert spec_from_json(spec_to_json(spec)) == spec


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ArchiveError("bad", hint="do"), ArchiveError, "bad"),
        (SandboxError("no"), SandboxError, "no"),
        (UserError("who"), UserError, "who"),
        (CommandFailed("cmd", exit_code=7), CommandFailed, "cmd"),
        (OSError(errno.ENOSPC, "No space left on device", "/f"), SpaceError, "/f: No space left"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), SpaceError, "quota"),
        (PermissionError(errno.EPERM, "Operation not permitted", "/f"), HostError, "/f: Operation"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/f"), FileNotFoundError, "/f"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), BrokenPipeError, "pipe"),
        (ValueError("bug"), RuntimeError, "ValueError: bug"),
    ],
)
def test_errors_are_raised_again_as_what_they_were(error: Exception, kind: type[Exception], text: str) -> None:
    again = rebuild_error(describe_error(error))
    assert type(again) is kind and text in str(again)
    assert getattr(again, "exit_code", None) == getattr(error, "exit_code", getattr(again, "exit_code", None))
