"""Layouts and archives of images: every digest algorithm that is accepted is checked, and nothing is followed for ever."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.layout_images import resolve_layout
from gazami.builder.outputs.publish import load
from gazami.errors import GazamiError, IntegrityError, RegistryError
from gazami.image.digest import matches
from gazami.image.manifest import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from gazami.image.platform import Platform
from gazami.plan.steps import ImageBase

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PLATFORM = Platform("linux", "amd64")


def tar_of(text: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return out.getvalue()


class Layout:
    """A layout whose blobs have digests of one algorithm."""

    def __init__(self, folder: Path, algorithm: str) -> None:
        self.folder, self.algorithm = folder, algorithm
        (folder / "blobs" / algorithm).mkdir(parents=True)
        layer = gzip.compress(tar_of(b"text"))
        self.config = self.put({
            "os": "linux", "architecture": "amd64", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar_of(b'text')).hexdigest()}"]},
        })  # fmt: skip
        self.layer = self.put(layer)
        self.manifest = self.put({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": self.descriptor(self.config, OCI_CONFIG),
            "layers": [self.descriptor(self.layer, LAYER)],
        })  # fmt: skip
        self.top(self.manifest, OCI_MANIFEST)

    def put(self, data: bytes | dict[str, object]) -> str:
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = hashlib.new(self.algorithm, raw).hexdigest()
        (self.folder / "blobs" / self.algorithm / digest).write_bytes(raw)
        return f"{self.algorithm}:{digest}"

    def path(self, digest: str) -> Path:
        return self.folder / "blobs" / digest.replace(":", "/")

    def descriptor(self, digest: str, kind: str) -> dict[str, object]:
        return {"mediaType": kind, "digest": digest, "size": self.path(digest).stat().st_size}

    def top(self, digest: str, kind: str) -> None:
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [self.descriptor(digest, kind)]}))

    def damage(self, digest: str) -> None:
        """Another blob of the same length that is a document too."""
        path = self.path(digest)
        path.write_bytes(path.read_bytes().replace(b"linux", b"Linux").replace(b"schemaVersion", b"SchemaVersion"))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("part", ["manifest", "config"])
def test_a_base_in_a_layout_is_checked(algorithm: str, part: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image", algorithm)
    base = ImageBase(f"oci-layout://{tmp_path / 'image'}", PLATFORM)
    assert resolve_layout(base).config.platform == PLATFORM, "the control: undamaged it is taken"
    layout.damage(getattr(layout, part))
    with pytest.raises(IntegrityError, match="damaged"):
        resolve_layout(base)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_what_is_pushed_from_a_layout_is_checked(algorithm: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image", algorithm)
    with Workspace(str(tmp_path / "state")) as workspace:
        found = load(tmp_path / "image", "", workspace)
        assert found.file(found.top.config.digest).exists()  # type: ignore[union-attr]
        layout.damage(layout.manifest)
        with pytest.raises(IntegrityError, match="damaged"):
            load(tmp_path / "image", "", workspace)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("damaged", [False, True])
def test_what_is_pushed_from_an_archive_of_a_layout_is_checked(algorithm: str, damaged: bool, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image", algorithm)
    if damaged:
        layout.path(layout.layer).write_bytes(gzip.compress(tar_of(b"evil")))
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        archive.add(tmp_path / "image", ".")
    with Workspace(str(tmp_path / "state")) as workspace:
        if damaged:
            with pytest.raises(IntegrityError, match="damaged"):
                load(tmp_path / "image.tar", "", workspace)
        else:
            assert load(tmp_path / "image.tar", "", workspace).top.raw == layout.path(layout.manifest).read_bytes()


def test_an_index_that_is_in_itself_ends(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image", "sha512")
    name = "0" * 128
    loop = {"mediaType": OCI_INDEX, "digest": f"sha512:{name}", "size": 1, "platform": {"os": "linux", "architecture": "amd64"}}
    layout.path(f"sha512:{name}").write_text(json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [loop]}))
    layout.top(f"sha512:{name}", OCI_INDEX)
    with pytest.raises(IntegrityError):
        resolve_layout(ImageBase(f"oci-layout://{tmp_path / 'image'}", PLATFORM))
    with Workspace(str(tmp_path / "state")) as workspace, pytest.raises(IntegrityError):
        load(tmp_path / "image", "", workspace)


def test_indexes_in_each_other_are_bounded(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image", "sha256")
    digest, kind = layout.manifest, OCI_MANIFEST
    for depth in range(6):
        entry = {**layout.descriptor(digest, kind), "platform": {"os": "linux", "architecture": "amd64"}}
        digest, kind = (layout.put({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry], "n": depth}), OCI_INDEX)
        layout.top(digest, kind)
        base = ImageBase(f"oci-layout://{tmp_path / 'image'}", PLATFORM)
        if depth < 3:
            assert resolve_layout(base).config.platform == PLATFORM
        if depth > 3:
            with pytest.raises(RegistryError, match="index of indexes"):
                resolve_layout(base)


@pytest.mark.parametrize("digest", ["sha512:../../../etc/passwd", "md5:00", "../x", "", "sha256:" + "A" * 64])
def test_a_name_that_is_no_digest_is_refused(digest: str, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "image", "sha256")
    (layout.folder / "index.json").write_text(json.dumps({"manifests": [{"digest": digest, "mediaType": OCI_MANIFEST}]}))
    with pytest.raises(GazamiError):
        resolve_layout(ImageBase(f"oci-layout://{tmp_path / 'image'}", PLATFORM))
    with Workspace(str(tmp_path / "state")) as workspace, pytest.raises(GazamiError):
        load(layout.folder, "", workspace)


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("honest", [True, False])
def test_the_layers_of_a_docker_archive_are_compared_with_the_config(compress, honest: bool, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    tar, promised = tar_of(b"evil"), tar_of(b"evil" if honest else b"good")
    config = json.dumps({
        "os": "linux", "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(promised).hexdigest()}"]},
    }).encode()  # fmt: skip
    members = {
        "manifest.json": json.dumps([{"Config": "c.json", "RepoTags": [], "Layers": ["layer.tar"]}]).encode(),
        "c.json": config, "layer.tar": compress(tar),
    }  # fmt: skip
    with tarfile.open(tmp_path / "image.tar", "w") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with Workspace(str(tmp_path / "state")) as workspace:
        if honest:
            load(tmp_path / "image.tar", "", workspace)
        else:
            with pytest.raises(IntegrityError, match="diff id"):
                load(tmp_path / "image.tar", "", workspace)


def test_an_unknown_algorithm_matches_nothing() -> None:
    data = b"x"
    assert matches(data, f"sha512:{hashlib.sha512(data).hexdigest()}")
    assert not matches(data, f"md5:{hashlib.md5(data).hexdigest()}")
    assert not matches(data, f"sha256:{hashlib.sha512(data).hexdigest()}")
