"""A base with tables of contents, as skopeo pushes it (zstd:chunked): a copy onto it reads the tables and nothing else of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.registry.faults import DropRequestHeader, FaultyRegistry, faulty
from tests.programs import gazami
from tests.services import Registry, docker_registry

from gazami.builder.files.layer_files import WORTH_A_PROCESS
from gazami.image.digest import digest_of
from gazami.image.manifest import Manifest, parse_manifest
from gazami.layer.compression import decompressed
from gazami.layer.contents_table import read_table, table_members, table_of
from gazami.layer.tar_reader import TarReader

pytestmark = pytest.mark.service


@pytest.fixture(scope="module")
def chunked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry with the image ``base``, of two large layers and a small one."""
    place = tmp_path_factory.mktemp("chunked")
    context = place / "context"
    for folder in ("one", "two", "three"):
        (context / folder / "sub").mkdir(parents=True)
        for number in range(200 if folder != "three" else 2):
            (context / folder / "sub" / f"{number:03}").write_bytes(bytes([number]) * 9)
    for folder in ("one", "two"):
        with (context / folder / "large").open("wb") as file, open("/dev/urandom", "rb") as random:
            file.write(random.read(5 << 20))
        (context / folder / "ä link").symlink_to("/one")
    (context / "Dockerfile").write_text(
        "FROM scratch\nCOPY one /srv/app/\nCOPY --chown=7:8 --chmod=2750 two /srv/two/\nCOPY three /srv/three/\n"
    )
    with docker_registry(place / "registry") as registry:
        done = gazami("build", str(context), "-d", f"{registry.host}/plain", "--insecure", f"--state-dir={place / 'state'}")
        assert done.returncode == 0, done.stderr
        subprocess.run(
            ["skopeo", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false", "--format=oci",
             "--dest-compress-format=zstd:chunked", f"docker://{registry.host}/plain", f"docker://{registry.host}/base"],
            check=True, capture_output=True,
        )  # fmt: skip
        yield registry


def blob(registry: Registry, digest: str) -> bytes:
    name = digest.partition(":")[2]
    return (registry.root / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data").read_bytes()


def manifest(registry: Registry, repository: str) -> Manifest:
    link = registry.root / "docker/registry/v2/repositories" / repository / "_manifests/tags/latest/current/link"
    found = parse_manifest(blob(registry, link.read_text()))
    assert isinstance(found, Manifest)
    return found


def test_the_tables_list_what_is_in_the_layers(chunked: Registry) -> None:
    layers = manifest(chunked, "base").layers
    assert len(layers) == 3
    for layer in layers:
        table, data = table_of(layer), blob(chunked, layer.digest)
        assert table is not None and digest_of(data) == layer.digest
        listed = list(table_members(read_table(table, layer, lambda offset, length, data=data: data[offset : offset + length])))  # type: ignore[misc]
        assert listed == list(TarReader(decompressed(iter((data,)))))


DOCKERFILE = "FROM {host}/base\nCOPY file /srv/app/sub/\nCOPY file /srv/two/new/\nWORKDIR /srv/app/ä\\ link/x\n"


def built(registry: Registry, proxy: FaultyRegistry, place: Path) -> tuple[str, int]:
    """The digest of the image, and how many of the base's large blobs were read whole."""
    place.mkdir()
    (place / "file").write_text("x")
    (place / "Dockerfile").write_text(DOCKERFILE.format(host=proxy.host))
    before = len(proxy.seen)
    done = gazami(
        "build", str(place), "-d", f"{proxy.host}/made", "--insecure", "--insecure-pull", "--reproducible",
        f"--state-dir={place / 'state'}", f"--digest-file={place / 'digest'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = [each for each in proxy.seen[before:] if each.method == "GET" and "/blobs/" in each.target]
    large = {layer.digest for layer in manifest(registry, "base").layers if layer.size > WORTH_A_PROCESS}
    whole = sum(each.target.rpartition("/")[2] in large and "Range" not in each.headers for each in asked)
    return (place / "digest").read_text(), whole


def test_a_copy_reads_the_tables_alone_and_makes_the_same_image(chunked: Registry, tmp_path: Path) -> None:
    with faulty(chunked.host) as proxy:
        quick, read = built(chunked, proxy, tmp_path / "tables")
        assert read == 0
        for _ in range(20):
            proxy.add("GET", "/blobs/", DropRequestHeader("Range"))  # a registry that knows no ranges
        plain, read = built(chunked, proxy, tmp_path / "plain")
        assert read == 2
    assert quick == plain


def test_the_image_keeps_where_its_tables_are(chunked: Registry, tmp_path: Path) -> None:
    """What pulls the image lazily goes on doing so."""
    with faulty(chunked.host) as proxy:
        built(chunked, proxy, tmp_path / "build")
    made, base = manifest(chunked, "made"), manifest(chunked, "base")
    assert [each.annotations for each in made.layers[:3]] == [each.annotations for each in base.layers]
    assert all(not each.annotations for each in made.layers[3:])
