"""Unpacking the layer of a difference over the old files gives the new files, in every way that roots are kept."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazami.rootfs.requests import ScanRequest, UnpackRequest

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="sets owners")]

name = st.sampled_from(["a", "b", "c", "d"])
path = st.lists(name, min_size=1, max_size=3).map("/".join)
leaf = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=10), st.sampled_from([0o644, 0o755, 0o4711]), st.integers(0, 3)),
    st.tuples(st.just("link"), st.sampled_from(["a", "/etc", "../.."])),
    st.tuples(st.just("dir"), st.sampled_from([0o755, 0o1777])),
)
files = st.dictionaries(path, leaf, max_size=8)


@given(files, files)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scan_and_unpack(tmp_path: Path, before: dict[str, Any], after: dict[str, Any]) -> None:
    root, copy = tmp_path / "root", tmp_path / "copy"
    for folder in (root, copy):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    request = ScanRequest(str(root), str(tmp_path / "list"))
    make(root, before)
    (tmp_path / "list").unlink(missing_ok=True)
    apply(tmp_path, request, copy)
    assert seen(root) == seen(copy)
    clear(root)
    make(root, after)
    apply(tmp_path, request, copy)
    assert seen(root) == seen(copy)


def apply(tmp_path: Path, request: ScanRequest, copy: Path) -> None:
    with (tmp_path / "layer.tar").open("wb") as out:
        in_child(lambda: request.run(None, out.fileno()))
    with (tmp_path / "layer.tar").open("rb") as layer:
        in_child(lambda: UnpackRequest(str(copy)).run(layer.fileno(), None))


def in_child(work: Callable[[], object]) -> None:
    """In a process of its own, as the fork server has it: the work makes the directory its root."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def make(root: Path, wanted: dict[str, Any]) -> None:
    for where in sorted(wanted):
        place = root / where
        if any(parent.is_symlink() or parent.is_file() for parent in place.parents):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        kind, *rest = wanted[where]
        if place.exists() or place.is_symlink():
            continue
        if kind == "file":
            place.write_bytes(rest[0])
            place.chmod(rest[1])
            os.chown(place, rest[2], 0)
            place.chmod(rest[1])
        elif kind == "link":
            place.symlink_to(rest[0])
        else:
            place.mkdir()
            place.chmod(rest[0])


def clear(root: Path) -> None:
    for child in root.iterdir():
        shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()


def seen(root: Path) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for folder, folders, names in os.walk(root):
        for each in [*folders, *names]:
            place = Path(folder) / each
            info = place.lstat()
            content = place.readlink() if place.is_symlink() else place.read_bytes() if stat.S_ISREG(info.st_mode) else None
            out[str(place.relative_to(root))] = (info.st_mode, info.st_uid, info.st_gid, content)
    return out
