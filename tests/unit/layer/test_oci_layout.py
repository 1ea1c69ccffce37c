"""A layout on disk: what is listed, what is verified, what stays and what goes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from gazami.cancel import Cancel
from gazami.errors import ArchiveError, Cancelled, ContextError, HostError, IntegrityError, NotFoundError, RegistryError
from gazami.image.digest import Digest, digest_of
from gazami.image.manifest import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, Manifest, encode_manifest
from gazami.layer.oci_layout import NewBlob, OciLayout, blob_data, blob_of


def image(text: bytes) -> tuple[Manifest, bytes, tuple[NewBlob, ...]]:
    config = b"{}" + text
    layer = Descriptor(OCI_LAYER_GZIP, digest_of(text), len(text))
    manifest = encode_manifest(OCI_MANIFEST, Descriptor(OCI_CONFIG, digest_of(config), len(config)), (layer,))
    return manifest, config, (blob_data(layer, text),)


def listed(layout: OciLayout, text: bytes, *names: str) -> Manifest:
    manifest, config, layers = image(text)
    layout.store((*layers, blob_data(manifest.config, config), blob_of(manifest)))
    layout.add(manifest, names)
    return manifest


def test_a_written_layout_has_its_one_image_whatever_was_there(tmp_path: Path) -> None:
    layout = OciLayout(tmp_path / "out")
    for text in (b"one", b"two"):
        manifest, config, layers = image(text)
        layout.write(manifest, config, layers, "name")
        assert [(each.digest, each.name) for each in layout.entries()] == [(manifest.digest, "name")]
        assert layout.manifest(manifest.digest) == manifest
        assert layout.blob(manifest.layers[0].digest) == text
    assert json.loads((tmp_path / "out/oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}


def test_entries_are_found_by_name_and_by_digest(tmp_path: Path) -> None:
    layout = OciLayout(tmp_path)
    one, two = listed(layout, b"one", "a", "b"), listed(layout, b"two", "b")
    assert [each.name for each in layout.named("")] == ["a", "b"]
    assert [each.digest for each in layout.named("b")] == [two.digest]
    assert [each.name for each in layout.named(one.digest)] == ["a"]
    assert layout.named("c") == ()


def test_what_is_not_listed_any_more_is_collected(tmp_path: Path) -> None:
    layout = OciLayout(tmp_path)
    one, two = listed(layout, b"one", "a"), listed(layout, b"two", "b")
    layout.forget(["a", "unknown"])
    assert layout.blob(one.digest), "nothing goes before it is collected"
    layout.collect()
    left = {f"sha256:{path.name}" for path in (tmp_path / "blobs/sha256").iterdir()}
    assert left == {two.digest, two.config.digest, two.layers[0].digest}


@pytest.mark.parametrize("index", [None, "", "[]", "{}", '{"manifests": 3}'])
def test_what_is_no_layout_says_so(index: str | None, tmp_path: Path) -> None:
    if index is not None:
        (tmp_path / "index.json").write_text(index)
    with pytest.raises(ContextError, match="not an OCI layout"):
        OciLayout(tmp_path).entries()


def test_a_blob_is_verified(tmp_path: Path) -> None:
    layout = OciLayout(tmp_path)
    manifest = listed(layout, b"one", "a")
    layer = manifest.layers[0].digest
    with pytest.raises(RegistryError, match="more than 2 bytes"):
        layout.blob(layer, 2)
    layout.path(layer).write_bytes(b"two")
    with pytest.raises(IntegrityError, match="damaged"):
        layout.blob(layer)
    layout.path(layer).unlink()
    with pytest.raises(NotFoundError, match="has no blob"):
        layout.blob(layer)


@pytest.mark.parametrize("digest", ["", "None", "sha256:../../etc/passwd", "md5:0"])
def test_what_is_no_digest_is_no_path(digest: str, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="not a digest"):
        OciLayout(tmp_path).blob(digest)


def test_a_damaged_blob_is_replaced_when_it_is_stored_again_unless_it_is_believed(tmp_path: Path) -> None:
    layout = OciLayout(tmp_path)
    manifest, _, layers = image(b"one")
    path = layout.path(manifest.layers[0].digest)
    layout.store(layers)
    path.write_bytes(b"bad")
    layout.store(layers, reads_again=False)
    assert path.read_bytes() == b"bad"
    layout.store(layers)
    assert path.read_bytes() == b"one"


def test_a_blob_that_breaks_off_is_not_there(tmp_path: Path) -> None:
    def broken() -> list[bytes]:
        raise RegistryError("cut")

    layout = OciLayout(tmp_path)
    with pytest.raises(RegistryError, match="cut"):
        layout.store([(Descriptor(OCI_LAYER_GZIP, digest_of(b"x"), 1), broken)])
    assert list((tmp_path / "blobs/sha256").iterdir()) == []


def test_a_copy_ends_when_the_build_does(tmp_path: Path) -> None:
    cancel = Cancel()
    cancel.set("enough")
    with pytest.raises(Cancelled):
        OciLayout(tmp_path, cancel=cancel).store(image(b"one")[2])


def test_the_blobs_of_a_shared_layout_can_be_read_by_everybody(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        for is_shared, mode in ((True, 0o644), (False, 0o600)):
            layout = OciLayout(tmp_path / str(mode), is_shared=is_shared)
            listed(layout, b"one", "a")
            assert {path.stat().st_mode & 0o777 for path in layout.blobs.glob("sha256/*")} == {mode}
    finally:
        os.umask(before)


def test_a_layout_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    manifest, config, layers = image(b"one")
    with pytest.raises(HostError, match="cannot write"):
        OciLayout(tmp_path / "file").write(manifest, config, layers)


def test_blobs_of_every_algorithm_have_their_folder(tmp_path: Path) -> None:
    digest = Digest("sha512:" + "0" * 128)
    OciLayout(tmp_path).store([blob_data(Descriptor("", digest, 1), b"x")])
    assert (tmp_path / "blobs/sha512" / ("0" * 128)).read_bytes() == b"x"
