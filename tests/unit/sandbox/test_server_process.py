"""The sandbox's server before anybody has asked it anything: whatever becomes of it meanwhile, nothing is lost and nothing left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazami.errors import SandboxError
from gazami.sandbox.select import choose
from gazami.sandbox.server_process import ServerProcess, Standby


@pytest.fixture
def nothing_left() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def asked(server: ServerProcess, place: Path) -> None:
    """Have it answer; that no mode works on this machine is an answer."""
    try:
        choose(None, place, server=server)
    except SandboxError as error:
        if "cannot be isolated here" not in error.message:
            raise


@pytest.mark.usefixtures("nothing_left")
def test_one_that_nobody_takes_ends() -> None:
    with Standby() as standby:
        standby.begin()
        waiting = standby._waiting
        assert waiting is not None
    assert waiting.process.returncode == 0


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("dies", [False, True])
def test_one_that_died_before_it_was_needed_is_replaced(tmp_path: Path, dies: bool) -> None:
    with Standby() as standby:
        standby.begin()
        waiting = standby._waiting
        assert waiting is not None
        if dies:
            waiting.process.kill()
            waiting.process.wait()
        server = standby.take()
        assert (server is waiting) is not dies
        asked(server, tmp_path)
        server.close()


@pytest.mark.usefixtures("nothing_left")
def test_one_that_dies_when_it_is_asked_says_so(tmp_path: Path) -> None:
    server = ServerProcess.begin()
    server.process.kill()
    with pytest.raises(SandboxError, match="the sandbox server ended with status -9"):
        asked(server, tmp_path)
    server.close()


@pytest.mark.usefixtures("nothing_left")
def test_one_that_cannot_begin_is_tried_again_by_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with Standby() as standby:
        with monkeypatch.context() as patched:
            patched.setattr(subprocess, "Popen", refused)
            standby.begin()
            with pytest.raises(SandboxError, match="cannot start the sandbox server: Resource temporarily unavailable"):
                standby.take()
        standby.take().close()
