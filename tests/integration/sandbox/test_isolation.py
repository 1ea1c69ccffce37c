"""The end of a build's sandbox: removing its roots is announced to a cancelled build, and it closes in any case."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gazami.builder.files.workspace import Workspace
from gazami.builder.request import SandboxOptions
from gazami.builder.stages.isolation import Isolation, IsolationInputs
from gazami.cancel import Cancel
from gazami.errors import Cancelled
from gazami.events import Event, Message, discard
from gazami.rootfs.requests import UnpackReport

pytestmark = [pytest.mark.sandbox, pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")]


@pytest.mark.parametrize("told", [False, True])
def test_the_removal_of_roots_is_announced_where_the_build_was_told_to_end(tmp_path: Path, told: bool) -> None:
    announced: list[bool] = []
    build = Cancel()
    build.when_cleaning(lambda: announced.append(True))
    options = SandboxOptions(str(tmp_path / "state"), memory=False, isolation="chroot")
    with Workspace(options.state_dir) as workspace:
        with Isolation(options, IsolationInputs(), workspace, discard, build.part(), build) as isolation:
            directory = Path(isolation.new_directory("root"))
            if told:
                build.set("told to")
        assert not directory.exists()
    assert announced == [True] * told


def test_the_sandbox_is_closed_where_the_log_cannot_be_written(tmp_path: Path) -> None:
    def emit(event: Event) -> None:
        if isinstance(event, Message) and event.level == "warning":
            raise OSError(28, "No space left on device")

    build = Cancel()
    options = SandboxOptions(str(tmp_path / "state"), memory=False, isolation="chroot")
    with Workspace(options.state_dir) as workspace:
        isolation = Isolation(options, IsolationInputs(), workspace, emit, build, build)
        with pytest.raises(OSError, match="No space left"), isolation:
            server = isolation.sandbox.server_pid
            isolation._unpacked.append(UnpackReport(owners=3))
    assert not Path(f"/proc/{server}").exists()


def test_a_build_that_was_told_to_end_starts_no_sandbox(tmp_path: Path) -> None:
    build = Cancel()
    build.set("told to")
    options = SandboxOptions(str(tmp_path / "state"), memory=False, isolation="chroot")
    with (
        Workspace(options.state_dir) as workspace,
        Isolation(options, IsolationInputs(), workspace, discard, build, build) as isolation,
        pytest.raises(Cancelled),
    ):
        isolation.new_directory("root")
