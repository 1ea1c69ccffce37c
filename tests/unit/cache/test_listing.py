"""Which files changed since an entry was stored, told from what fits into the entry."""

from __future__ import annotations

import base64
import os
import zlib

import pytest

from gazami.cache.keys import differences
from gazami.cache.listing import MAX_BYTES, MAX_FILES, FileChanges, bounded, changes, decode_listing, encode_listing
from gazami.cache.reasons import in_words


def digest() -> str:
    return os.urandom(4).hex()


def test_a_listing_comes_back() -> None:
    files = {"src/a b.c": "0123abcd", "ümlaut": "89abcdef", "bad\udcff": "00000000"}
    assert decode_listing(encode_listing(files)) == files
    assert encode_listing({}) == ""


@pytest.mark.parametrize("count", [3000, 60_000])
def test_many_files_become_folders_that_fit(count: int) -> None:
    files = {f"pkg{number % 40}/deep{number % 400}/file{number}.js": digest() for number in range(count)}
    few, word = bounded(files), encode_listing(files)
    assert 0 < len(few) <= MAX_FILES and 0 < len(word) <= MAX_BYTES
    other = dict(files) | {"pkg3/deep3/file3.js": digest()}
    told = changes(decode_listing(word), decode_listing(encode_listing(other)))
    assert told.changed == ("pkg3/deep3/",) and not told.new and not told.gone


def test_a_listing_that_was_folded_and_one_that_was_not_are_compared() -> None:
    files = {f"a/{number}": digest() for number in range(MAX_FILES + 1)} | {"b": "0" * 8}
    fewer = {path: value for path, value in files.items() if path != "a/0"}
    assert changes(bounded(files), bounded(fewer)) == FileChanges(("a/",), (), ())


@pytest.mark.parametrize(
    "word", ["no base64!", "AAAA", base64.b64encode(zlib.compress(b"x" * (8 << 20))).decode(), "A" * (4 * MAX_BYTES)]
)
def test_what_is_no_listing_is_empty(word: str) -> None:
    assert decode_listing(word) == {}


def test_files_in_words() -> None:
    assert FileChanges(("src/server.sh",), ("src/new.c",)).in_words() == "src/server.sh changed, src/new.c is new"
    many = FileChanges(tuple(f"f{number}" for number in range(9)), (), ("g",))
    assert many.in_words() == "f0 changed, f1 changed, f2 changed and 7 more"
    assert many.in_words(all_of_them=True).endswith("g is gone")


FILES = FileChanges(("a.txt",))


@pytest.mark.parametrize(
    "old, new, files, said",
    [
        ({"content of src/": "sha256:1"}, {"content of src/": "sha256:2"}, FILES, "a.txt changed"),
        ({"content of src/": "sha256:1"}, {"content of src/": "sha256:2"}, FileChanges(), "content of src/ changed"),
        ({"stage build": "1" * 64}, {"stage build": "2" * 64}, FILES, "a.txt changed (from stage build)"),
        ({"stage build": "1"}, {"stage build": "2"}, FileChanges(), "stage build changed, from which it takes files"),
        ({"command": "a"}, {"command": "b", "variable V": "…1"}, FileChanges(), "the command changed, variable V is new"),
        ({"the steps before": "1", "user": ""}, {"the steps before": "2", "user": "x"}, FileChanges(), "USER changed"),
        ({"the steps before": "1"}, {"the steps before": "2"}, FileChanges(), "an earlier step changed"),
        ({"the layers below": "1"}, {"the layers below": "2"}, FileChanges(), "the base image changed"),
        ({"mount /c": "x"}, {}, FileChanges(), "mount /c is gone"),
    ],
)
def test_reasons(old: dict[str, str], new: dict[str, str], files: FileChanges, said: str) -> None:
    assert ", ".join(in_words(differences(tuple(old.items()), tuple(new.items())), files)) == said


def test_reasons_in_full_have_the_texts_but_no_digests_and_no_variables() -> None:
    old = (("command", '["/bin/sh", "-c", "make"]'), ("content of a", f"sha256:{'1' * 64}"), ("variable V", "…123456"))
    new = (("command", '["make", "all"]'), ("content of a", f"sha256:{'2' * 64}"), ("variable V", "…654321"))
    assert in_words(differences(old, new), FileChanges(), fully=True) == (
        "the command changed: make → make all",
        "content of a changed",
        "variable V changed",
    )
