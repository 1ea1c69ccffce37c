"""``gazami push`` of archives that were not made by an archiver."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest
from tests.tarbytes import BLOCK, END, base256, header, member

from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.image_archive import ImageArchive
from gazami.errors import ArchiveError, IntegrityError

LAYER = member(b"etc/motd", b"hello\n") + END


def saved(layer: bytes, diff_id: str, *extra: bytes, layers: int = 1) -> bytes:
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": [diff_id] * layers}}
    listed = [{"Config": "c.json", "Layers": [f"{number}/layer.tar" for number in range(layers)]}]
    members = [member(b"c.json", json.dumps(config).encode()), member(b"0/layer.tar", layer), *extra]
    return b"".join([*members, member(b"manifest.json", json.dumps(listed).encode()), END])


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def load(data: bytes, folder: Path) -> tuple[str, ...]:
    path = folder / "image.tar"
    path.write_bytes(data)
    with Workspace(folder / "state") as workspace:
        manifest = ImageArchive(path).docker_image(workspace)
        return tuple(each.digest for each in manifest.layers)


def test_layers_are_kept_as_they_are_when_they_are_compressed(tmp_path: Path) -> None:
    packed = gzip.compress(LAYER)
    assert load(saved(packed, sha256(LAYER)), tmp_path) == (sha256(packed),)


def test_equal_layers_that_are_links(tmp_path: Path) -> None:
    links = header(b"1/layer.tar", b"2", link=b"../0/layer.tar"), header(b"2/layer.tar", b"1", link=b"0/layer.tar")
    found = load(saved(LAYER, sha256(LAYER), *links, layers=3), tmp_path)
    assert len(found) == 3
    assert len(set(found)) == 1


@pytest.mark.parametrize("packed", [True, False])
def test_a_layer_with_other_bytes_than_its_config_says(packed: bool, tmp_path: Path) -> None:
    layer = gzip.compress(LAYER) if packed else LAYER
    with pytest.raises(IntegrityError, match="diff id"):
        load(saved(layer, sha256(b"something else")), tmp_path)


@pytest.mark.parametrize("size", [-BLOCK, -2 * BLOCK])
def test_a_negative_size_does_not_lead_back(size: int, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError):
        load(header(b"a", size=base256(size)) + END, tmp_path)


@pytest.mark.parametrize(
    "link", [b"0/layer.tar", b"../../../../etc/passwd", b"/etc/passwd", b"other"], ids=["itself", "up", "root", "none"]
)
def test_links_name_members_alone(link: bytes, tmp_path: Path) -> None:
    config = member(b"c.json", json.dumps({"rootfs": {"diff_ids": [sha256(b"")]}}).encode())
    listed = member(b"manifest.json", json.dumps([{"Config": "c.json", "Layers": ["0/layer.tar"]}]).encode())
    with pytest.raises(ArchiveError, match="no member"):
        load(config + header(b"0/layer.tar", b"2", link=link) + listed + END, tmp_path)
