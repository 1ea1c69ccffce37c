from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tarbytes import END, header

from gazami.errors import ArchiveError
from gazami.layer.entry import BytesContent, Entry, Kind
from gazami.layer.tar_reader import TarReader
from gazami.layer.tar_writer import write_members

names = st.lists(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=120).filter(
        lambda part: part not in (".", "..")
    ),
    min_size=1,
    max_size=4,
).map("/".join)
xattrs = st.dictionaries(st.sampled_from(["user.a", "security.capability"]), st.binary(max_size=30), max_size=2).map(
    lambda found: tuple(sorted(found.items()))
)


@st.composite
def members(draw: st.DrawFn) -> tuple[Entry, BytesContent | None]:
    kind = draw(st.sampled_from([Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.CHARACTER, Kind.FIFO]))
    data = draw(st.binary(max_size=2000)) if kind is Kind.FILE else b""
    entry = Entry(
        draw(names),
        kind,
        draw(st.integers(0, 0o7777)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(-(2**40), 2**40)),
        len(data),
        draw(names) if kind is Kind.SYMLINK else "",
        (draw(st.integers(0, 2**20)), draw(st.integers(0, 2**20))) if kind is Kind.CHARACTER else (0, 0),
        draw(xattrs),
    )
    return entry, BytesContent(data) if kind is Kind.FILE else None


def sliced(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


@given(st.lists(members(), max_size=6), st.integers(1, 1500))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read_back(written: list[tuple[Entry, BytesContent | None]], chunk: int) -> None:
    data = b"".join(write_members(written))
    reader = TarReader(sliced(data, chunk))
    read = [(entry, b"".join(reader.content())) for entry in reader]
    assert read == [(entry, content.data if content else b"") for entry, content in written]


@given(st.lists(members(), max_size=4))
@settings(max_examples=60, deadline=None)
def test_python_s_tarfile_reads_the_same(written: list[tuple[Entry, BytesContent | None]]) -> None:
    data = b"".join(write_members(written))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [(m.name, m.mode, m.uid, m.gid, m.size, m.linkname) for m in archive]
    assert found == [(e.path, e.mode, e.uid, e.gid, e.size, e.link) for e, _ in written]


@given(st.binary(max_size=3000))
@settings(max_examples=200, deadline=None)
def test_garbage_raises_nothing_but_an_archive_error(data: bytes) -> None:
    try:
        for _ in TarReader([data]):
            pass
    except ArchiveError:
        pass


@given(st.lists(members(), min_size=1, max_size=4), st.integers(1, 200), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_flipped_bytes_raise_nothing_but_an_archive_error(
    written: list[tuple[Entry, BytesContent | None]], where: int, value: int
) -> None:
    data = bytearray(b"".join(write_members(written)))
    data[where * 7 % len(data)] = value
    try:
        reader = TarReader([bytes(data)])
        for _ in reader:
            for _ in reader.content():
                pass
    except ArchiveError:
        pass


@pytest.mark.parametrize("cut", [1, 511, 513, 1023])
def test_a_truncated_archive_says_so(cut: int) -> None:
    data = b"".join(write_members([(Entry("f", Kind.FILE, 0o644, size=600), BytesContent(b"x" * 600))]))
    reader = TarReader([data[:cut]])
    with pytest.raises(ArchiveError):
        for _ in reader:
            for _ in reader.content():
                pass


@pytest.mark.parametrize("name", ["../x", "a/../../x", ".."])
def test_names_that_leave_the_root_are_refused(name: str) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(ArchiveError, match="leave its root"):
        list(TarReader([buffer.getvalue()]))


def test_absolute_names_are_taken_from_the_root() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("//etc/./passwd"))
    assert [entry.path for entry in TarReader([buffer.getvalue()])] == ["etc/passwd"]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_long_names(form: int) -> None:
    name = "d" * 60 + "/" + "n" * 90
    info = tarfile.TarInfo(name)
    info.uid = 12345
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        archive.addfile(info)
    (entry,) = TarReader([buffer.getvalue()])
    assert (entry.path, entry.uid) == (name, 12345)


def test_an_extended_header_of_a_gigabyte_is_refused() -> None:
    info = tarfile.TarInfo("x")
    info.type = tarfile.XHDTYPE
    info.size = 1 << 30
    with pytest.raises(ArchiveError, match="refused"):
        list(TarReader([info.tobuf(tarfile.USTAR_FORMAT)]))


@pytest.mark.parametrize("off", [-65521, -1, 1, 65521])
def test_a_checksum_that_is_wrong_by_any_number_is_refused(off: int) -> None:
    """Also by the modulus of the sum that is taken first; the bytes here add up to more than that."""
    block = bytearray(
        header(b"\xff" * 100, link=b"\xff" * 100, magic=b"ustar  \0", patches=((265, b"\xff" * 64), (345, b"\xff" * 100)))
    )
    right = int(block[148:154], 8)
    assert right > 65521 and [entry.size for entry in TarReader([bytes(block) + END])] == [0]
    block[148:156] = b"%07o\0" % (right + off)
    with pytest.raises(ArchiveError, match="bad header checksum"):
        list(TarReader([bytes(block) + END]))
