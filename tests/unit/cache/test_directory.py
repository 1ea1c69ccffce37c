"""A damaged entry of a cache directory is an error of its own, and can be stored again."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gazami.cache.directory import DirectoryStore
from gazami.cache.entry import CacheEntry
from gazami.errors import IntegrityError
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import LocalFile

DATA = b"layer"
LAYER = Descriptor(OCI_LAYER_GZIP, digest_of(DATA), len(DATA))
ENTRY = CacheEntry(datetime(2026, 1, 1, tzinfo=UTC), LAYER, digest_of(b"tar"), "RUN true")


def put(folder: Path) -> None:
    DirectoryStore(folder).put(("tag",), ENTRY, ((LAYER, lambda: io.BytesIO(DATA), LocalFile("")),))


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"schemaVersion":2}', b"x" * 100])
def test_a_damaged_entry_is_told_of_and_can_be_stored_again(tmp_path: Path, damage: bytes) -> None:
    put(tmp_path)
    assert DirectoryStore(tmp_path).get("tag") == ENTRY  # the control
    for path in (tmp_path / "blobs/sha256").iterdir():
        if path.name != LAYER.digest.partition(":")[2]:
            path.write_bytes(damage)
    with pytest.raises(IntegrityError, match="damaged"):
        DirectoryStore(tmp_path).get("tag")
    put(tmp_path)
    assert DirectoryStore(tmp_path).get("tag") == ENTRY
