from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazami.sandbox.inside.paths import FileType, PathFd, read_text, walk


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/passwd").write_text("outside")
    fd = os.open(tmp_path / "root", os.O_PATH | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def place(root: int, path: str, make: FileType | None = None) -> tuple[str, ...]:
    found = walk(root, path, make)
    os.close(found.fd)
    return found.names


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/etc", "/link/passwd"),
        ("../../../../etc", "/link/passwd"),
        ("./etc/../etc", "link/passwd"),
        ("/../etc/./", "/../link/passwd"),
    ],
)
def test_links_stay_inside(tmp_path: Path, root: int, target: str, path: str) -> None:
    (tmp_path / "root/link").symlink_to(target)
    assert place(root, path) == ("etc", "passwd")
    assert read_text(root, path, 100) == "inside"


@pytest.mark.parametrize("target", ["../outside", "{tmp}/outside", "/proc/self/root/{tmp}/outside"])
def test_nothing_outside_is_found(tmp_path: Path, root: int, target: str) -> None:
    (tmp_path / "root/link").symlink_to(target.format(tmp=tmp_path))
    assert read_text(root, "/link/passwd", 100) is None


def test_missing_targets_are_made_inside_even_through_dangling_links(tmp_path: Path, root: int) -> None:
    (tmp_path / "root/etc/resolv.conf").symlink_to("../run/stub/resolv.conf")
    made: list[tuple[tuple[str, ...], str, str]] = []

    def note(parent: PathFd, name: str, kind: FileType) -> None:
        made.append((parent.names, name, kind))

    found = walk(root, "/etc/resolv.conf", "file", note)
    os.close(found.fd)
    assert found.names == ("run", "stub", "resolv.conf")
    assert made == [((), "run", "directory"), (("run",), "stub", "directory"), (("run", "stub"), "resolv.conf", "file")]
    assert (tmp_path / "root/run/stub/resolv.conf").is_file()
    assert not (tmp_path / "run").exists()


def test_the_root_is_its_own_parent(root: int) -> None:
    assert place(root, "/") == () == place(root, "/../..")


def test_circles_end(tmp_path: Path, root: int) -> None:
    (tmp_path / "root/a").symlink_to("b")
    (tmp_path / "root/b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic"):
        walk(root, "/a/b")


def test_a_file_is_no_directory(root: int) -> None:
    with pytest.raises(NotADirectoryError):
        walk(root, "/etc/passwd/more", "directory")


def test_only_small_regular_files_are_read(tmp_path: Path, root: int) -> None:
    os.mkfifo(tmp_path / "root/fifo")
    assert read_text(root, "/fifo", 100) is None
    assert read_text(root, "/etc", 100) is None
    assert read_text(root, "/none", 100) is None
    with pytest.raises(OSError, match="too large"):
        read_text(root, "/etc/passwd", 3)
