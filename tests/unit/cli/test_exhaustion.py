"""Errors of the system in words: the role of a path, and the advice that goes with it."""

from __future__ import annotations

import errno
import os

import pytest

from gazami.cli.bug import as_gazami_error
from gazami.cli.exhaustion import Places, exhausted, host_error
from gazami.errors import ContextError, HostError, SpaceError, TransportError

PLACES = Places(
    (("secret", "/w/secret"), ("output", "/w/out/o.tar"), ("cache", "/w/cache"), ("state", "/w/state"), ("context", "/w")),
    "/w/state",
)


def error(number: int, path: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    "path, message, hint",
    [
        ("/w/secret", "the secret: /w/secret: Permission denied", "env="),
        ("/w/out/o.tar", "the output: /w/out/o.tar", "write to"),
        ("/w/cache/blobs/x", "the cache: /w/cache/blobs/x", "another directory"),
        ("/w/state/build-1/x", "the state directory: /w/state/build-1/x", "--state-dir"),
        ("/w/f", "the build context: /w/f", ".dockerignore"),
        ("/elsewhere", "Permission denied: /elsewhere", "owner and the mode"),
    ],
)
def test_roles(path: str, message: str, hint: str) -> None:
    found = host_error(error(errno.EACCES, path), PLACES)
    assert found is not None
    assert found.message.startswith(message)
    assert hint in (found.hint or "")
    assert ("--state-dir" in (found.hint or "")) == ("state" in path)
    assert isinstance(found, ContextError) == (path == "/w/f")


def test_a_read_only_file_system_is_named() -> None:
    found = host_error(error(errno.EROFS, "/w/cache/x"), PLACES)
    assert found is not None and "read-only" in (found.hint or "")


@pytest.mark.parametrize(
    "cause, kind, text",
    [
        (error(errno.ENOSPC), SpaceError, "No space left on device: the state directory /w/state ("),
        (error(errno.EDQUOT, "/w/out/o.tar"), SpaceError, "Disk quota exceeded: the output /w/out/o.tar"),
        (error(errno.EFBIG), SpaceError, "File too large: the state directory"),
        (error(errno.EMFILE), HostError, "out of file descriptors"),
        (error(errno.ENFILE), HostError, "the machine has no more open files"),
        (error(errno.ENOMEM), HostError, "out of memory"),
        (MemoryError(), HostError, "out of memory"),
        (ImportError("libx.so: failed to map segment from shared object"), HostError, "out of memory"),
        (error(errno.EAGAIN), HostError, "cannot start a process"),
        (RuntimeError("can't start new thread"), HostError, "cannot start a thread"),
    ],
)
def test_resources(cause: Exception, kind: type[HostError], text: str) -> None:
    found = as_gazami_error(cause, verbose=False, places=PLACES)
    assert isinstance(found, kind)
    assert text in found.message
    assert found.hint


@pytest.mark.parametrize("cause", [error(errno.ENOENT), error(errno.EINVAL), RuntimeError("else"), ValueError()])
def test_others_are_bugs(cause: Exception) -> None:
    assert host_error(cause, PLACES) is None
    assert "this is a bug" in as_gazami_error(cause, verbose=False).message


def test_what_is_behind_an_error_of_a_registry() -> None:
    told = TransportError("https://r: cannot be reached")
    told.__cause__ = ConnectionError("no socket")
    told.__cause__.__context__ = error(errno.EMFILE)
    assert "out of file descriptors" in exhausted(told, PLACES).message
    other = TransportError("https://r: cannot be reached")
    other.__cause__ = error(errno.ECONNREFUSED)
    assert exhausted(other, PLACES) is other


def test_a_full_disk_that_was_told_gets_its_numbers() -> None:
    told = HostError("cannot write /o: No space left on device")
    told.__cause__ = error(errno.ENOSPC)
    found = exhausted(told, PLACES)
    assert "free now" in found.message
    assert found.hint
