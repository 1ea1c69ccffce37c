"""A layout or a directory of bases in which something lies in the place of a file: no build waits for it, reads it without
end, or ends as a bug."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.security.test_lying_images import COPY, GOOD, built, layout

from gazami.builder.inputs.base_cache import BaseCache
from gazami.layer.blobs import open_file

pytestmark = pytest.mark.timeout(60)

KINDS: dict[str, Callable[[Path], None]] = {
    "a directory": Path.mkdir,
    "a FIFO": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
}


def file_of(image: Path, what: str) -> Path:
    by_size = sorted((image / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    manifest = next(each for each in by_size if b"schemaVersion" in each.read_bytes()[:300])
    return {"the index": image / "index.json", "the manifest": manifest, "the layer": by_size[-1]}[what]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["the index", "the manifest", "the layer"])
def test_in_a_layout(what: str, kind: str, tmp_path: Path) -> None:
    image = layout(tmp_path / "good", GOOD, GOOD)
    assert built(tmp_path, f"FROM good\n{COPY}").returncode == 0, "the control"
    path = file_of(image, what)
    path.unlink()
    KINDS[kind](path)
    done = built(tmp_path, f"FROM good\n{COPY}", f"--state-dir={tmp_path / 'other'}")
    assert done.returncode == 1
    assert "Not a regular file" in done.stderr and "bug in gazami" not in done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_list_of_a_warmed_base(kind: str, tmp_path: Path) -> None:
    (tmp_path / ".trees").mkdir()
    path = tmp_path / ".trees/index-1"
    path.write_bytes(b"tree")
    assert BaseCache(tmp_path, 0).read_tree("index-1") == b"tree"  # the control
    path.unlink()
    KINDS[kind](path)
    assert BaseCache(tmp_path, 0).read_tree("index-1") is None


@pytest.mark.parametrize("kind", KINDS)
def test_no_descriptor_is_left(kind: str, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / "strange")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Not a regular file"):
        open_file(tmp_path / "strange")
    assert len(os.listdir("/proc/self/fd")) == before
