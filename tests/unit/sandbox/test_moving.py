from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gazami.sandbox.inside.moving import move
from gazami.sandbox.kernel.mountinfo import mount_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "from"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/file").write_text("x")
    (folder / "deep/link").symlink_to("er/file")
    os.mkfifo(folder / "deep/fifo")
    (folder / "deep/er/file").chmod(0o640)
    (folder / "last").write_text("last")
    for path in ("deep/er/file", "deep/er", "deep", "."):
        os.utime(folder / path, ns=(1_000_000_001, 2_000_000_002))
    return folder


def state(folder: Path) -> dict[str, tuple[int, int, int]]:
    paths = [folder, *folder.rglob("*")]
    return {str(path.relative_to(folder)): (path.lstat().st_mode, path.lstat().st_uid, path.lstat().st_mtime_ns) for path in paths}


def between_mounts(monkeypatch: pytest.MonkeyPatch, busy: str = "") -> None:
    def rename(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if busy and Path(source).name == busy:
            raise OSError(errno.EBUSY, "busy", source)
        raise OSError(errno.EXDEV, "cross-device", source)

    monkeypatch.setattr(os, "rename", rename)


def test_what_cannot_be_renamed_is_made_anew(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(folder)
    between_mounts(monkeypatch)
    move(str(folder), str(tmp_path / "to"))
    assert state(tmp_path / "to") == before
    assert not folder.exists()


def test_a_move_that_fails_moves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point in the middle: a volume, or /etc/resolv.conf."""
    before = state(folder)
    between_mounts(monkeypatch, busy="last")
    with pytest.raises(OSError, match="busy"):
        move(str(folder), str(tmp_path / "to"))
    assert state(folder) == before
    assert not (tmp_path / "to").exists()


def test_the_mount_of_a_path() -> None:
    points = ["/", "/proc", "/state", "/state/deep"]
    assert mount_of("/kaniko/tmp", points) == "/"
    assert mount_of("/state", points) == "/state"
    assert mount_of("/statement", points) == "/"
    assert mount_of("/state/deep/x", points) == "/state/deep"
