"""When a build's files may lie in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazami.builder.files import memory
from gazami.builder.files.workspace import Workspace
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor


def layer(name: bytes, size: int) -> Descriptor:
    return Descriptor(OCI_LAYER_GZIP, digest_of(name), size)


def test_a_layer_counts_once() -> None:
    assert memory.estimate([layer(b"a", 10), layer(b"b", 5), layer(b"a", 10)]) == 15 * memory.GROWTH


def test_a_place_that_is_no_tmpfs_is_not_used(tmp_path: Path) -> None:
    assert not memory.fits(0, str(tmp_path))
    assert not memory.fits(0, "/nowhere")


def test_more_than_there_is_does_not_fit() -> None:
    assert not memory.fits(1 << 60)
    assert memory.room("/nowhere") == 0


def test_files_go_to_the_disk_when_memory_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shm = tmp_path / "shm"
    shm.mkdir()
    monkeypatch.setattr(memory, "PLACE", str(shm))
    monkeypatch.setattr(memory, "RESERVE", 0)
    with Workspace(str(tmp_path / "state")) as workspace:
        assert workspace.new_path("a").startswith(str(tmp_path / "state"))
        assert not workspace.leave_memory(), "there is nothing to leave"
    with Workspace(str(tmp_path / "state")) as workspace:
        workspace.use_memory()
        assert workspace.new_path("a").startswith(str(shm))
        assert workspace.files.startswith(str(shm))
        assert workspace.leave_memory()
        assert not workspace.leave_memory()
        assert workspace.new_path("a").startswith(str(tmp_path / "state"))
    assert list(shm.iterdir()) == []
    assert not list((tmp_path / "state").glob("build-*"))


def test_what_a_killed_build_left_in_memory_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shm = tmp_path / "shm"
    shm.mkdir()
    monkeypatch.setattr(memory, "PLACE", str(shm))
    first, second = Workspace(str(tmp_path / "one")), Workspace(str(tmp_path / "two"))
    with first:
        first.use_memory()
        [left] = shm.iterdir()
        with second:
            second.use_memory()
            assert left.exists(), "its build is alive"
    dead = shm / left.name
    dead.mkdir()
    (dead / "lock").touch()
    with second:
        second.use_memory()
        assert not dead.exists()
