"""Archives of a few hundred bytes that claim the absurd: each is an ArchiveError, soon, and so is what Linux cannot hold."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.counting import lines_run
from tests.tarbytes import BLOCK, END, base256, header, member, padded, pax

from gazami.errors import ArchiveError, ContextError, SpaceError
from gazami.layer.beneath import remove_tree
from gazami.layer.entry import Entry, Kind
from gazami.layer.tar_fields import MAX_GLOBAL
from gazami.layer.tar_reader import TarReader
from gazami.layer.tar_sparse import HOLE, MAX_MAP
from gazami.rootfs.requests import UnpackRequest
from gazami.rootfs.spool import Spool
from gazami.rootfs.tree import LayerApplier, Tree
from gazami.rootfs.unpack import Unpacker

GNU = b"ustar  \0"


def read(data: bytes) -> list[tuple[Entry, bytes]]:
    reader = TarReader([data])
    return [(entry, b"".join(reader.content())) for entry in reader]


def sparse(real: int, *pairs: tuple[int, int]) -> bytes:
    """An old GNU header of a sparse file."""
    stored = sum(length for _, length in pairs)
    segments = b"".join(base256(offset) + base256(length) for offset, length in pairs)
    return header(b"s", b"S", size=stored, magic=GNU, patches=((386, segments), (483, base256(real))))


HOSTILE = {
    "negative size, octal": header(size=b"-0000000777"),
    "negative size, base 256": header(size=base256(-BLOCK)),
    "negative size of a directory": header(kind=b"5", size=base256(-BLOCK)),
    "negative size of a vendor's type": header(kind=b"Z", size=base256(-BLOCK)),
    "negative size of PAX records": header(kind=b"x", size=b"-0000001000"),
    "negative size of global records": header(kind=b"g", size=b"-0000001000"),
    "negative size of a long name": header(kind=b"L", size=base256(-BLOCK)),
    "negative size of a long link": header(kind=b"K", size=base256(-BLOCK)),
    "size beyond 63 bits": header(size=base256(1 << 70)),
    "size with an underscore": header(size=b"0000000_010"),
    "PAX size beyond 63 bits": pax((b"size", b"9" * 30)) + header(),
    "PAX size of a million digits": pax((b"size", b"9" * 1_000_000)) + header(),
    "negative PAX size": pax((b"size", b"-5")) + header(),
    "PAX length with a sign": member(b"p", b"+9 a=bcd\n", b"x") + header(),
    "NUL in a path": pax((b"path", b"a\0b")) + header(),
    "NUL in a link": pax((b"linkpath", b"a\0b")) + header(kind=b"2"),
    "NUL in a record's name": pax((b"SCHILY.xattr.user.\0", b"x")) + header(),
    "empty target of a symlink": header(kind=b"2"),
    "target of 70 kB": pax((b"linkpath", b"l" * 70_000)) + header(kind=b"2"),
    "path of 70 kB": pax((b"path", b"d/" * 35_000)) + header(),
    "mtime beyond 64 bits": pax((b"mtime", b"9" * 23)) + header(kind=b"5"),
    "mtime beyond 64 bits, base 256": header(mtime=base256(1 << 80)),
    "mtime that is no number": pax((b"mtime", b"nan")) + header(),
    "owner beyond 32 bits": pax((b"uid", b"4294967296")) + header(),
    "owner 10^20": pax((b"gid", b"1" + b"0" * 20)) + header(),
    "owner below -2^31": header(uid=base256(-(1 << 40), 8)),
    "negative device": header(kind=b"3", patches=((329, base256(-1, 8)),)),
    "extended headers of 9 MiB": header(kind=b"x", size=9 << 20),
    "many extended headers of one member": pax((b"comment", bytes(3 << 20))) * 3 + header(),
    "many global records": pax((b"comment", b"c" * (MAX_GLOBAL + 1)), kind=b"g") + header(),
    "sparse file of 4 EiB": sparse(1 << 62, (0, 0)),
    "sparse without the magic": header(b"s", b"S"),
    "sparse with a negative run": sparse(100, (0, -1)),
    "sparse beyond its end": sparse(100, (90, 20)),
    "sparse runs out of order": sparse(100, (50, 10), (0, 10)),
    "sparse directory": pax((b"GNU.sparse.map", b"0,0"), (b"GNU.sparse.size", b"9")) + header(kind=b"5"),
    "sparse map of an odd length": pax((b"GNU.sparse.map", b"0,0,4"), (b"GNU.sparse.size", b"9")) + header(),
    "sparse map 1.0 without end": pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
    + member(data=b"9999999\n" + b"1\n" * MAX_MAP),
    "sparse map 1.0 of one long line": pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"))
    + member(data=b"9" * MAX_MAP),
    "old sparse map without end": header(b"s", b"S", magic=GNU, patches=((482, b"\1"), (483, base256(9))))
    + (bytes(504) + b"\1" + bytes(7)) * (MAX_MAP // BLOCK + 1),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_an_error_about_the_archive(name: str) -> None:
    with pytest.raises(ArchiveError):
        read(HOSTILE[name] + END)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (header(uid=base256(-2, 8)), ("x", (1 << 32) - 2, 0)),
        (pax((b"uid", b"")) + header(uid=b"0000007"), ("x", 7, 0)),
        (pax((b"path", b""), (b"mtime", b"")) + header(mtime=b"00000000005"), ("x", 0, 5)),
        (pax((b"mtime", b"-0.5")) + header(), ("x", 0, -1)),
        (pax((b"uid", b"9"), kind=b"g") + pax((b"uid", b"")) + header(uid=b"0000003"), ("x", 3, 0)),
    ],
)
def test_what_is_odd_and_right(data: bytes, expected: tuple[str, int, int]) -> None:
    ((entry, _),) = read(data + END)
    assert (entry.path, entry.uid, entry.mtime) == expected


def test_a_hard_link_has_no_contents_whatever_its_size_says() -> None:
    data = member(b"f", b"abc") + header(b"l", b"1", size=3, link=b"f") + member(b"g", b"z") + END
    assert [(entry.path, entry.kind, content) for entry, content in read(data)] == [
        ("f", Kind.FILE, b"abc"), ("l", Kind.HARDLINK, b""), ("g", Kind.FILE, b"z"),
    ]  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:  # Python's reader and Go's say the same
        assert archive.getnames() == ["f", "l", "g"]


def test_a_hole_is_skipped_by_who_writes_files(tmp_path: Path) -> None:
    size = (5 << 30) + 3
    data = sparse(size, (size - 3, 3)) + padded(b"end") + END
    unpacker = Unpacker(UnpackRequest(str(tmp_path / "root"), devices=True), str(tmp_path / "root"))
    (tmp_path / "root").mkdir()
    reader = TarReader([data])
    for entry in reader:
        unpacker.add(entry, reader.content())
    found = (tmp_path / "root/s").stat()
    assert (found.st_size, found.st_blocks * 512 < 1 << 20) == (size, True)
    spool = Spool(tmp_path)
    reader = TarReader([data])
    for _ in reader:
        place = spool.add(reader.content())
        after = spool.add([b"next"])
    with Path(place.path).open("rb") as file:
        file.seek(place.offset + size - 3)
        assert file.read() == b"endnext"
    assert after.offset == place.offset + size
    assert Path(place.path).stat().st_blocks * 512 < 1 << 20
    spool.close()


def test_a_spool_takes_no_hole_that_its_disk_could_not_hold(tmp_path: Path) -> None:
    def holes() -> Iterator[bytes]:
        while True:
            yield HOLE

    spool = Spool(tmp_path)
    with pytest.raises(SpaceError):
        spool.add(holes())
    spool.close()


# -- depth -----------------------------------------------------------------------------------------------------------------


DEEP = "d/" * 1500 + "f"


def deep_tree() -> Tree:
    tree = Tree()
    applier = LayerApplier(tree, lambda _: None)
    for entry, _ in read(pax((b"path", DEEP.encode())) + member(b"l", b"x") + END):
        applier.add(entry)
    return tree


def test_deep_directories_are_indexed_copied_and_deleted() -> None:
    tree = deep_tree()
    assert tree.copy().get(DEEP) is not None
    applier = LayerApplier(tree, lambda _: None)
    applier.add(Entry(".wh.d", Kind.FILE, 0))
    assert tree.get("d") is None


def test_links_do_not_make_a_path_deeper_than_linux_knows() -> None:
    applier = LayerApplier(deep_tree(), lambda _: None)
    applier.add(Entry("up", Kind.SYMLINK, 0o777, link=DEEP[:-2]))
    with pytest.raises(ArchiveError, match="deep"):
        applier.add(Entry("up/" + "e/" * 1000 + "f", Kind.FILE, 0o644))
    with pytest.raises(ContextError, match="deep"):
        deep_tree().resolve("x/" * 3000)


def test_deep_directories_are_deleted_from_disk(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("x")
    unpacker = Unpacker(UnpackRequest(str(top), devices=True), str(top))
    reader = TarReader([pax((b"path", DEEP.encode())) + member(b"l", b"x") + END])
    for entry in reader:
        unpacker.add(entry, reader.content())
    (top / "d/link").symlink_to(tmp_path / "outside")
    remove_tree(str(top))
    assert not top.exists()
    assert (tmp_path / "outside/kept").exists()
    remove_tree(str(top))  # what is gone is gone
    (tmp_path / "to-outside").symlink_to(tmp_path / "outside")
    remove_tree(str(tmp_path / "to-outside"))
    assert not (tmp_path / "to-outside").is_symlink()
    assert (tmp_path / "outside/kept").exists()


# -- growth of work with input ---------------------------------------------------------------------------------------------


def with_globals(members: int) -> bytes:
    records = tuple((b"SCHILY.xattr.user.%d" % number, b"v") for number in range(members))
    return pax(*records, kind=b"g") + b"".join(pax((b"uid", b"5")) + header(b"f%d" % n) for n in range(300)) + END


def whiteouts(count: int) -> bytes:
    files = b"".join(header(b"d/f%d" % number) for number in range(count))
    return files + header(b"d/.wh..wh..opq") * count + header(b".wh.d") * count + END


def indexed(data: bytes) -> None:
    applier = LayerApplier(Tree(), lambda _: None)
    for entry in TarReader([data]):
        applier.add(entry)


@pytest.mark.parametrize("make", [with_globals, whiteouts])
def test_twice_the_input_is_less_than_three_times_the_work(make: Callable[[int], bytes]) -> None:
    small, large = make(150), make(300)
    assert lines_run(lambda: indexed(large)) < 3 * lines_run(lambda: indexed(small))
