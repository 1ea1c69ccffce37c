from __future__ import annotations

import errno
import os
import socket
import threading

import pytest

from gazami.errors import ArchiveError, CommandFailed, HostError, SandboxError, SpaceError, UserError
from gazami.rootfs.directories import MakeDirectories
from gazami.rootfs.requests import Owners, ScanRequest, UnpackReport
from gazami.sandbox.inside.plain_root import MovedIn, ReplacedText, UndoRecord
from gazami.sandbox.inside.reports import CommandEnd, Prepared, StepReport, collect
from gazami.sandbox.inside.targets import TargetRecord, Touched
from gazami.sandbox.protocol import Failure, decode, describe_error, encode, rebuild_error, receive_message, send_message
from gazami.sandbox.spec import (
    BindMount,
    Call,
    CallResult,
    Choice,
    FileMount,
    OverlayRoot,
    PlainRoot,
    ProbeRequest,
    ProbeResult,
    RunResult,
    RunSpec,
    ServerStart,
    TmpfsMount,
)


def test_a_large_message_and_descriptors_arrive() -> None:
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    message = FileMount("ä" * 500_000 + "\udcff", bytes(range(256)) * 1000)
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


SPEC = RunSpec(
    OverlayRoot(("/b", "/a"), "/u", "/w"),
    ("sh", "-c", "x"),
    (("A", "1"), ("B", "")),
    "/w",
    "u:g",
    "host",
    (BindMount("/s", "/t", False), TmpfsMount("/tmp", 5, 0o700), FileMount("/f", b"x\0\xff", 0o440, 1, 2)),
    "none",
    (("1.2.3.4", "name"),),
    1.5,
    limits=(("nofile", 1, -1),),
)
CHOICE = Choice("inplace", "because", overlay=False, rejected=(("userns", "no"),), keep=("a",), own=("/o",))
TARGETS = TargetRecord((("etc", "directory"), ("etc/hosts", "file")), (Touched("", 5, False, "meta"),))
UNDO = UndoRecord((ReplacedText("f", b"\xff", b"", 3),), ("dev/null",), (MovedIn("a", "/x/0", "/s", (1, 2, 3)),))
VALUES = [
    SPEC,
    RunSpec(PlainRoot("/r"), ("true",)),
    RunResult(3, ("a",), owner=(1, 2), owners=(("a/b\n\udcff", 1, 2),), notes=("n",)),
    CHOICE,
    ServerStart(CHOICE, ("m",), ()),
    ProbeRequest("/s", ("chroot",), True, False, False, ("a",), "/l", ("/usr",)),
    (ProbeResult("chroot", None, "no"), ProbeResult("inplace", CHOICE, "yes")),
    Call(ScanRequest("/d", "/i", "redo", touched=("a",), owners=Owners((1, 2), (("l", 3, 4),), ("/low",))), False, True),
    Call(MakeDirectories(("/d",)), False, False),
    CallResult(UnpackReport(3, 4)),
    CallResult(),
    Prepared(TARGETS, UNDO, (("a", 1),)),
    CommandEnd(137, None, (5, 6), (("l", 1, 2),), (7,)),
    Failure("OSError", "m", None, 1, 28, ("/f",)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_survives_the_way(value: object) -> None:
    text = encode(value)
    assert text.isascii() and "\n" not in text
    assert decode(text) == value
    assert decode(text.encode()) == value


@pytest.mark.parametrize(
    "text", ["{}", '{"class":"os:system"}', '{"class":"gazami.errors:UserError"}', '{"class":"gazami.foreign:read_json"}', "{"]
)
def test_only_dataclasses_of_gazami_are_made(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)


def test_the_reports_of_a_step_are_collected() -> None:
    end, failure = CommandEnd(0), Failure("", "bug")
    lines = [encode(each).encode() for each in (Prepared(TARGETS), Prepared(TARGETS, UNDO), end, failure)]
    assert collect(b"\n".join(lines)) == StepReport(Prepared(TARGETS, UNDO), end, failure)
    assert collect(lines[0] + b"\n" + lines[2][:-5]) == StepReport(Prepared(TARGETS)), "cut off by a kill"
    assert collect(b"") == StepReport()


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
