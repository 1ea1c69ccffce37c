"""What is said of a failed step's files: commands that can be pasted, without values of build arguments."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from tests.unit.builder.plans import plan_of

from gazami.builder.files.blob_files import BlobFiles
from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.files.workspace import Workspace
from gazami.builder.outputs.failed_root import FailedRoot, how_to_look
from gazami.builder.request import FileExport
from gazami.cancel import Cancel
from gazami.events import Event, Message
from gazami.plan.steps import RunStep

TAR, FOLDER = FileExport("tar", "/a b/x.tar"), FileExport("local", "/f")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TEXT = "FROM scratch\nARG TOKEN=hidden\nENV A='b c'\nUSER u\nWORKDIR /w\n"


def step_of(run: str, text: str = TEXT) -> RunStep:
    *_, step = plan_of(text + run).stages[-1].steps
    assert isinstance(step, RunStep)
    return step


def test_a_tar() -> None:
    enter = f"podman run --rm -it --workdir=/w --env={PATH} --env='A=b c' --env=TOKEN --user=u failed-step"
    assert how_to_look(step_of('RUN echo "$TOKEN"'), TAR, is_root=True).split("\n") == [
        "the files of the failed step are in /a b/x.tar; to look at them:",
        "  podman import '/a b/x.tar' failed-step",
        f"  {enter} /bin/sh",
        "to repeat the step:",
        f"  {enter} /bin/sh -c 'echo \"$TOKEN\"'",
        "(first export its build arguments: TOKEN)",
    ]


@pytest.mark.parametrize("is_root, mapped", [(True, ""), (False, " --map-root-user")])
def test_a_folder(is_root: bool, mapped: str) -> None:
    enter = f'env -i {PATH} \'A=b c\' TOKEN="$TOKEN" "$(command -v unshare)"{mapped} --mount --root=/f --wd=/w'
    assert how_to_look(step_of('RUN ["a", "b c"]'), FOLDER, is_root=is_root).split("\n") == [
        "the files of the failed step are in /f; to look at them:",
        f"  {enter} /bin/sh",
        "to repeat the step:",
        f"  {enter} a 'b c'",
        "(first export its build arguments: TOKEN)",
        "(as root; the step's user is u)",
    ]


def test_what_is_not_there_is_said() -> None:
    told = how_to_look(step_of("RUN --mount=type=secret,id=x a", "FROM scratch\n"), TAR, is_root=True)
    assert told.endswith("\n(without its --mount)") and "build arguments" not in told
    script = how_to_look(step_of("RUN <<E\n#!/bin/sh\na\nE\n", "FROM scratch\n"), TAR, is_root=True)
    assert "repeat" not in script and "hidden" not in script


def test_of_steps_that_fail_at_once_the_first_is_kept(tmp_path: Path) -> None:
    events: list[Event] = []
    with Workspace(str(tmp_path / "state")) as workspace:
        files = LayerFiles(workspace, cast(BlobFiles, None), events.append, Cancel())
        failed = FailedRoot(FileExport("tar", str(tmp_path / "x.tar")), files, events.append)
        failed.keep(step_of("RUN first"), ())
        failed.keep(step_of("RUN second"), ())
    [said] = [event.text for event in events if isinstance(event, Message)]
    assert "-c first" in said and (tmp_path / "x.tar").exists()
