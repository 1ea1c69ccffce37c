"""Where a layer's table of contents is, and what counts as one."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile

import pytest
from tests.estargz import estargz, rows_of

from gazami.errors import ArchiveError, RegistryError
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.layer.contents_table import MAX_TABLE, ContentsTable, read_table, table_members, table_of
from gazami.layer.tar_reader import TarReader

DIGEST = digest_of(b"table")
CHUNKED = "io.github.containers.zstd-chunked."


def a_tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for number, (name, kind, link) in enumerate(
            (
                ("./", tarfile.DIRTYPE, ""),
                ("bin", tarfile.SYMTYPE, "usr/bin"),
                ("usr/bin/", tarfile.DIRTYPE, ""),
                ("usr/bin/a", tarfile.REGTYPE, ""),
                ("usr/bin/b", tarfile.LNKTYPE, "usr/bin/a"),
                ("usr/bin/.wh.c", tarfile.REGTYPE, ""),
                ("dev/null", tarfile.CHRTYPE, ""),
                ("run/é", tarfile.FIFOTYPE, ""),
            )
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.mode, info.uid, info.gid = kind, link, 0o4755, number, 70_000 + number
            info.mtime, info.size = 1_700_000_000 + number, 5 if kind == tarfile.REGTYPE else 0
            info.devmajor, info.devminor = (1, 3) if kind == tarfile.CHRTYPE else (0, 0)
            archive.addfile(info, io.BytesIO(b"12345"))
    return out.getvalue()


def layer(size: int, **notes: str) -> Descriptor:
    return Descriptor(OCI_LAYER_GZIP, DIGEST, size, tuple((name.replace("__", "."), value) for name, value in notes.items()))


def test_an_estargz_has_the_members_of_its_tar() -> None:
    tar = a_tar()
    blob, _, notes = estargz(tar, rows_of(tar))
    descriptor = Descriptor(OCI_LAYER_GZIP, DIGEST, len(blob), tuple(notes.items()))
    table = table_of(descriptor)
    assert table is not None and table.is_estargz
    asked: list[int] = []

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return blob[offset : offset + length]

    found = list(table_members(read_table(table, descriptor, read)))
    assert found == list(TarReader(iter((tar,))))
    assert len(asked) == 1


def test_a_large_table_is_a_second_request() -> None:
    rows = [{"name": hashlib.sha256(str(number).encode()).hexdigest(), "type": "reg"} for number in range(20_000)]
    blob, _, notes = estargz(a_tar(), rows)
    descriptor = Descriptor(OCI_LAYER_GZIP, DIGEST, len(blob), tuple(notes.items()))
    table, asked = table_of(descriptor), []
    assert table is not None

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return blob[offset : offset + length]

    assert len(list(table_members(read_table(table, descriptor, read)))) == 20_000
    assert len(asked) == 2


@pytest.mark.parametrize("prefix", [CHUNKED, "io.containers.zstd-chunked."])
def test_the_place_of_a_zstd_chunked_table(prefix: str) -> None:
    notes = ((prefix + "manifest-checksum", DIGEST), (prefix + "manifest-position", "700:200:4000:1"))
    assert table_of(Descriptor(OCI_LAYER_GZIP, DIGEST, 900, notes)) == ContentsTable(DIGEST, 700, 200)


@pytest.mark.parametrize(
    ("place", "digest"),
    [
        ("700:201:4000:1", DIGEST),
        ("700:0:4000:1", DIGEST),
        ("-700:200:4000:1", DIGEST),
        ("700:200:4000:2", DIGEST),
        ("700:200:4000", DIGEST),
        ("٧٠٠:200:4000:1", DIGEST),
        ("9" * 5000 + ":200:4000:1", DIGEST),
        ("", DIGEST),
        ("700:200:4000:1", "sha256:12"),
        ("700:200:4000:1", ""),
    ],
)
def test_a_place_that_is_none(place: str, digest: str) -> None:
    notes = ((CHUNKED + "manifest-checksum", digest), (CHUNKED + "manifest-position", place))
    assert table_of(Descriptor(OCI_LAYER_GZIP, DIGEST, 900, notes)) is None


def test_a_layer_without_annotations_or_with_a_digest_that_is_none() -> None:
    assert table_of(layer(900)) is None
    assert table_of(Descriptor(OCI_LAYER_GZIP, DIGEST, 900, (("containerd.io/snapshot/stargz/toc.digest", "x"),))) is None


@pytest.mark.parametrize(
    "blob",
    [b"", b"x" * 51, b"x" * 32 + b"STARGZ" + b"x" * 13, (b"x" * 16 + b"f" * 16 + b"STARGZ" + b"x" * 13), b"x" * 400_000],
    ids=["empty", "no footer", "no number", "a place beyond the end", "large"],
)
def test_what_is_no_estargz(blob: bytes) -> None:
    with pytest.raises(ArchiveError):
        read_table(ContentsTable(DIGEST), layer(len(blob)), lambda offset, length: blob[offset : offset + length])


def test_a_table_of_another_digest() -> None:
    blob, _, _ = estargz(a_tar(), rows_of(a_tar()))
    with pytest.raises(RegistryError, match="does not have its digest"):
        read_table(ContentsTable(DIGEST), layer(len(blob)), lambda offset, length: blob[offset : offset + length])


def test_a_table_that_inflates_without_end_is_refused() -> None:
    from gazami.layer.compression import compressor

    pack = compressor("zstd", 3)
    bomb = b"".join(pack.compress(bytes(1 << 20)) for _ in range((MAX_TABLE >> 20) + 2)) + pack.flush()
    table = ContentsTable(digest_of(bomb), 0, len(bomb))
    assert len(bomb) < 100_000
    with pytest.raises(ArchiveError, match="too large"):
        read_table(table, layer(len(bomb)), lambda offset, length: bomb)


def test_a_table_of_deep_json_is_refused() -> None:
    with pytest.raises(ArchiveError):
        list(table_members(b'{"entries": ' + b"[" * 5000 + b"]" * 5000 + b"}"))


def test_chunks_and_the_order_of_attributes() -> None:
    rows = [
        {"name": "a", "type": "reg", "size": 3, "mode": 0o100644, "xattrs": {"user.b": "Yg==", "user.a": "YQ=="}},
        {"name": "a", "type": "chunk", "offset": 3},
        {"name": "b", "type": "dir", "mode": 0o755, "modtime": "2023-11-14T22:13:20.999999999+01:00"},
    ]
    one, two = table_members(json.dumps({"entries": rows}).encode())
    assert one.xattrs == (("user.a", b"a"), ("user.b", b"b")) and one.mode == 0o644
    assert two.mtime == 1_699_996_400


@pytest.mark.parametrize(
    "row",
    [
        {"name": "a", "type": "symlink"},
        {"name": "a", "type": "symlink", "linkName": ["etc"]},
        {"name": "a", "type": "symlink", "linkName": {"etc": 1}},
        {"name": "a", "type": "symlink", "linkName": "e\0tc"},
        {"name": "a", "type": "symlink", "linkName": "x" * 70_000},
        {"name": "a" * 70_000, "type": "dir"},
        {"name": "a", "type": "dir", "xattrs": {"user.a=b": "Yg=="}},
        {"name": "a", "type": "dir", "xattrs": {"user.a\0b": "Yg=="}},
        {"name": "a", "type": "dir", "xattrs": {"": "Yg=="}},
    ],
    ids=lambda row: str(row)[:60],
)
def test_what_no_tar_can_say_is_in_no_table(row: dict[str, object]) -> None:
    with pytest.raises(ArchiveError, match="is damaged"):
        list(table_members(json.dumps({"entries": [row]}).encode()))
