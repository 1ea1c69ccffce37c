"""Contexts in a registry: what ``gazami submit`` pushes is what a build reads, and hostile ones do no harm."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.commandline.images import directory, file, member, tar_of
from tests.programs import gazami
from tests.services import docker_registry

from gazami.builder.files.workspace import Workspace
from gazami.builder.outputs.send_context import pack_context, push_context
from gazami.cancel import Cancel
from gazami.context.artifact import CONFIG, EMPTY, encode_context
from gazami.context.ignore import parse_ignore
from gazami.events import discard
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import Layer
from gazami.image.reference import Reference, parse_reference
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain
from gazami.registry.options import RegistryOptions

pytestmark = [pytest.mark.service]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield parse_reference(f"localhost:{registry.port}/app/cache")


@pytest.fixture
def client() -> Iterator[RegistryClient]:
    with RegistryClient(RegistryOptions(), Keychain(), discard, Cancel()) as client:
        yield client


def packed(folder: Path, work: Path, ignored: str = "", needed: tuple[str, ...] = ()) -> tuple[Layer, Workspace]:
    workspace = Workspace(str(work))
    workspace.__enter__()
    return pack_context(folder, parse_ignore(ignored), frozenset(needed), workspace, discard, Cancel()), workspace


def names(layer: Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(layer.origin.path) as archive:  # type: ignore[union-attr]
        return {member.name: member for member in archive}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "deep/er").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (folder / "deep/er/file").write_text("x")
    (folder / "deep/er/left-out").write_text("x")
    (folder / "tool").write_text("#!/bin/sh\n")
    (folder / "tool").chmod(0o755)
    os.link(folder / "tool", folder / "zool")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    return folder


def test_equal_folders_are_equal_bytes(folder: Path, tmp_path: Path) -> None:
    one, first = packed(folder, tmp_path / "one")
    two, second = packed(folder, tmp_path / "two")
    (folder / "tool").write_text("other")
    three, third = packed(folder, tmp_path / "three")
    assert one.descriptor == two.descriptor != three.descriptor
    for workspace in (first, second, third):
        workspace.__exit__(None, None, None)


def test_what_is_sent(folder: Path, tmp_path: Path) -> None:
    layer, workspace = packed(folder, tmp_path / "w", "**/left-out\nDockerfile\ndeep\n", ("Dockerfile", "deep/er/file"))
    found = names(layer)
    workspace.__exit__(None, None, None)
    assert set(found) == {"Dockerfile", "tool", "zool", "link", "deep", "deep/er", "deep/er/file"}
    assert found["zool"].islnk() and found["zool"].linkname == "tool"
    assert found["link"].issym() and found["tool"].mode == 0o755
    assert {(each.uid, each.gid) for each in found.values()} == {(0, 0)}


def test_a_pushed_folder_is_built(folder: Path, tmp_path: Path, repository: Reference, client: RegistryClient) -> None:
    layer, workspace = packed(folder, tmp_path / "w")
    artifact = push_context(layer, repository, "test", client)
    workspace.__exit__(None, None, None)
    out = tmp_path / "out"
    done = gazami("build", f"registry://{artifact}", "--no-push", f"--output={out}", f"--state-dir={tmp_path / 's'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (out / "deep/er/file").read_text() == "x" and stat.S_IMODE((out / "zool").stat().st_mode) == 0o755
    assert (out / "link").is_symlink()


def pushed(tar: bytes, repository: Reference, client: RegistryClient, digest: str | None = None) -> Reference:
    """An artifact of any bytes; ``digest`` is what its manifest says of them, if that is to be a lie."""
    blob = gzip.compress(tar, mtime=0)
    real = Descriptor(OCI_LAYER_GZIP, digest_of(blob), len(blob))
    client.push_blob(repository, real, lambda: io.BytesIO(blob))
    client.push_blob(repository, CONFIG, lambda: io.BytesIO(EMPTY))
    manifest = encode_context(real, "hostile")
    client.push_manifest(repository.with_tag("hostile"), manifest.raw, manifest.media_type)
    return Reference(repository.registry, repository.repository, None, manifest.digest)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([file("../outside")], "would leave its root"),
        ([member("out", tarfile.SYMTYPE, "/tmp"), file("out/outside")], ""),
        ([member("hard", tarfile.LNKTYPE, "../../etc/passwd")], "would leave its root"),
        ([directory("d"), member("d/dev", tarfile.CHRTYPE)], "were skipped"),
    ],
)
def test_a_hostile_artifact_does_no_harm(
    members: list[object], said: str, tmp_path: Path, repository: Reference, client: RegistryClient
) -> None:
    tar = tar_of(file("Dockerfile", b"FROM scratch\nCOPY . /\n"), *members)  # type: ignore[arg-type]
    artifact = pushed(tar, repository, client)
    before = set(Path("/tmp").iterdir())
    done = gazami("build", f"registry://{artifact}", "--no-push", f"--state-dir={tmp_path / 's'}")
    assert said in done.stderr
    assert "this is a bug" not in done.stderr
    assert not (tmp_path / "outside").exists() and Path("/tmp/outside") not in set(Path("/tmp").iterdir()) - before


def test_bytes_that_were_exchanged_are_noticed(tmp_path: Path, client: RegistryClient) -> None:
    with docker_registry(tmp_path) as registry:
        repository = parse_reference(f"localhost:{registry.port}/app/cache")
        artifact = pushed(tar_of(file("Dockerfile", b"FROM scratch\nLABEL a=b\n")), repository, client)
        [blob] = [each for each in registry.root.rglob("data") if each.is_file() and each.read_bytes()[:2] == b"\x1f\x8b"]
        blob.write_bytes(gzip.compress(tar_of(file("Dockerfile", b"FROM scratch\nLABEL a=c\n")), mtime=0))
        done = gazami("build", f"registry://{artifact}", "--no-push", f"--state-dir={tmp_path / 's'}")
    assert done.returncode == 1
    assert "digest" in done.stderr or "bytes" in done.stderr


@pytest.mark.parametrize(
    ("rest", "said"),
    [("localhost:1/app", "has no digest"), ("localhost:1/app@sha256:1", "is not a digest"), ("", "invalid reference")],
)
def test_names_that_are_none(rest: str, said: str, tmp_path: Path) -> None:
    done = gazami("build", f"registry://{rest}", "--no-push", f"--state-dir={tmp_path / 's'}")
    assert done.returncode == 1 and said in done.stderr


def test_an_image_is_no_context(tmp_path: Path, repository: Reference) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c/Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    done = gazami("build", str(tmp_path / "c"), "-t", f"{repository.context}:image", f"--metadata-file={tmp_path / 'm'}",
                  f"--state-dir={tmp_path / 's'}")  # fmt: skip
    assert done.returncode == 0, done.stderr
    digest = json.loads((tmp_path / "m").read_text())["containerimage.digest"]
    done = gazami("build", f"registry://{repository.context}@{digest}", "--no-push", f"--state-dir={tmp_path / 's'}")
    assert done.returncode == 1 and "is not a build context" in done.stderr
