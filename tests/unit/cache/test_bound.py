"""This machine's own cache stays within its bound, and the least recently used goes first."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gazami.cache import bound
from gazami.cache.bound import has_room, keep_within, size_of
from gazami.cache.directory import DirectoryStore
from gazami.cache.entry import CacheEntry
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER, Descriptor
from gazami.image.model import LocalFile


def put(store: DirectoryStore, tag: str, size: int, used: float) -> None:
    data = tag.encode() * (size // len(tag))
    descriptor = Descriptor(OCI_LAYER, digest_of(data), len(data))
    entry = CacheEntry(datetime.now(UTC), descriptor, descriptor.digest, tag)
    store.put((tag,), entry, ((descriptor, lambda: io.BytesIO(data), LocalFile("")),))
    for each in store.entries():
        if each.tag == tag:
            manifest = next(entry.digest for entry in store._layout.named(tag))
            os.utime(store._layout.path(manifest), (used, used))


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for number, tag in enumerate(("aaaa", "bbbb", "cccc", "dddd")):
        put(store, tag, 100_000, 1_000_000_000 + number)
    assert 400_000 <= size_of(tmp_path) < 410_000
    assert keep_within(store, 500_000) == 0
    assert store.get("aaaa") is not None  # used now
    assert keep_within(store, 300_000) == 2
    assert {each.tag for each in store.entries()} == {"aaaa", "dddd"}
    assert size_of(tmp_path) < 210_000


def test_a_cache_that_is_not_there_is_small(tmp_path: Path) -> None:
    assert size_of(tmp_path / "none") == 0 and keep_within(DirectoryStore(tmp_path / "none"), 1) == 0


def test_the_disk_keeps_a_reserve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_room(tmp_path / "not" / "yet")
    monkeypatch.setattr(bound, "RESERVE", 1 << 60)
    assert not has_room(tmp_path)


def test_it_takes_a_part_of_its_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    put(store, "aaaa", 100_000, 1_000_000_000)
    assert keep_within(store, 1 << 60) == 0
    monkeypatch.setattr(bound, "_part", lambda folder: 50_000)
    assert keep_within(store, 1 << 60) == 1


def test_a_long_list_of_entries_gets_shorter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    for number in range(8):
        put(store, f"tag{number}", 100, 1_000_000_000 + number)
    assert keep_within(store, 1 << 60) == 0
    monkeypatch.setattr(bound, "MOST_INDEX", 500)
    assert keep_within(store, 1 << 60) == 2
    assert {each.tag for each in store.entries()} == {f"tag{number}" for number in range(2, 8)}
