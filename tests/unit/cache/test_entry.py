"""Entries survive the way into a manifest and back, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gazami.cache.entry import CONFIG, FILES, SMALL_MEMBERS, SMALL_TREE, CacheEntry, FileList, decode_entry, encode_entry
from gazami.errors import RegistryError
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, OCI_MANIFEST, Descriptor, Manifest, encode_manifest, parse_manifest

LAYER = Descriptor(OCI_LAYER_GZIP, digest_of(b"layer"), 5)
WHEN = datetime(2026, 5, 4, 3, 2, 1, 123456, UTC)
ENTRY = CacheEntry(WHEN, LAYER, digest_of(b"tar"), "RUN make", (("instruction", "RUN"), ("command", '["make"]')))


def again(entry: CacheEntry) -> CacheEntry:
    found = parse_manifest(encode_entry(entry).raw)
    assert isinstance(found, Manifest)
    return decode_entry(found)


def test_an_entry_comes_back_as_it_was() -> None:
    assert again(ENTRY) == ENTRY
    assert again(replace(ENTRY, listing="eJw=")) == replace(ENTRY, listing="eJw=")
    for files in (FileList(Descriptor(FILES, digest_of(b"index"), 5)), FileList.of(b"index")):
        assert again(ENTRY.with_files(files)) == ENTRY.with_files(files)
        assert again(CacheEntry(WHEN, files=files)) == CacheEntry(WHEN, files=files)


def test_a_small_list_of_files_is_in_the_entry_and_a_large_one_a_blob() -> None:
    for entry, most in ((ENTRY, SMALL_MEMBERS), (CacheEntry(WHEN), SMALL_TREE)):
        small, large = entry.with_files(FileList.of(b"x" * most)), entry.with_files(FileList.of(b"x" * (most + 1)))
        own = 0 if entry.layer is None else 1
        assert (small.file_blob, len(encode_entry(small).layers)) == (None, own)
        assert (large.file_blob, len(encode_entry(large).layers)) == (large.files, own + 1)
        assert large.files is not None
        assert again(large).files == FileList(large.files.descriptor), "its bytes are to be read"


def test_variables_are_recorded_by_a_few_digits_only() -> None:
    raw = encode_entry(replace(ENTRY, inputs=(("variable TOKEN", "hunter2"), ("heredoc x", "y" * 5000)))).raw
    assert b"hunter2" not in raw
    assert b"yyyy" not in raw
    assert b"variable TOKEN" in raw


def test_inputs_without_end_do_not_make_a_manifest_that_registries_refuse() -> None:
    many = tuple((f"content of {number}", "x" * 100) for number in range(10_000))
    assert len(encode_entry(replace(ENTRY, inputs=many)).raw) < 100_000


@pytest.mark.parametrize(
    "manifest",
    [
        encode_manifest(OCI_MANIFEST, Descriptor("application/vnd.oci.image.config.v1+json", LAYER.digest, 5), (LAYER,)),
        encode_manifest(OCI_MANIFEST, CONFIG, (LAYER,)),
        encode_manifest(OCI_MANIFEST, CONFIG, (LAYER, LAYER), encode_entry(ENTRY).annotations),
        encode_manifest(OCI_MANIFEST, CONFIG, (), encode_entry(ENTRY).annotations),
        encode_manifest(OCI_MANIFEST, CONFIG, (LAYER,), (*encode_entry(ENTRY).annotations, ("dev.gazami.cache.files", "a=b"))),
    ],
    ids=["an image", "no annotations", "two layers", "no layer", "a list of files that is no base64"],
)
def test_other_manifests_are_refused(manifest: Manifest) -> None:
    with pytest.raises(RegistryError):
        decode_entry(manifest)
