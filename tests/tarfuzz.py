"""Archives for a differential run of our tar reader against Python's: valid ones of every form, mutated ones, hostile ones.

``python -m tests.tarfuzz COUNT [SEED]`` compares so many archives and prints those on which the readers differ. What counts as
the same is said in :func:`differs`.
"""

from __future__ import annotations

import io
import random
import re
import sys
import tarfile
from collections.abc import Callable

from gazami.errors import ArchiveError
from gazami.layer.entry import Kind
from gazami.layer.tar_reader import TarReader
from tests.tarbytes import BLOCK, END, base256, header, member, padded, pax

Member = tuple[str, str, int, int, int, int, str, bytes]
"""Path, kind, permissions, owner, group, size, link and contents."""

_NAMES = (b"a", b"b/c", b"dir/", b"./x", b"/abs", b"n" * 100, b"\xc3\xbc", b"\xff\xfe", b"d/" * 40 + b"f", b"a b", b"x\ny")
_LINKS = (b"a", b"../up", b"/abs/path", b"l" * 100, b"dir", b"\xc3\xbc")
_KINDS = (b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", b"7")
_VALUES = (0, 1, 0o777, 65535, 1 << 21, (1 << 31) - 1)
_LIMIT = 1 << 20
"""Bytes of contents that are compared; a member that claims more is compared by its size."""


def archive(rng: random.Random) -> bytes:
    """One archive."""
    data = b"".join(rng.choice(_MEMBERS)(rng) for _ in range(rng.randint(1, 4))) + END
    how = rng.random()
    if how < 0.45:
        return data
    if how < 0.85:
        return _mutated(data, rng)
    return data[: rng.randrange(len(data))]


def _mutated(data: bytes, rng: random.Random) -> bytes:
    """Some bytes changed; mostly in headers, whose checksum is set right again so that the change is read."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        block = rng.randrange(len(data) // BLOCK) * BLOCK
        at = block + rng.choice((rng.randrange(265), rng.randrange(100, 160), rng.randrange(124, 136), 156, 345))
        changed[at] = rng.choice((0, 32, 45, 48, 55, 128, 255, rng.randrange(256)))
        if rng.random() < 0.8 and changed[block + 257 : block + 262] == b"ustar":
            changed[block + 148 : block + 156] = b"        "
            changed[block + 148 : block + 156] = b"%06o\0 " % sum(changed[block : block + BLOCK])
    return bytes(changed)


def _data(rng: random.Random) -> bytes:
    return rng.randbytes(rng.choice((0, 1, 511, 512, 513, 1500)))


def _plain(rng: random.Random) -> bytes:
    kind = rng.choice(_KINDS)
    data = _data(rng) if kind in (b"0", b"\0", b"7") else b""
    name = rng.choice(_NAMES)[:100]
    if kind in (b"0", b"\0", b"7"):
        name = name.rstrip(b"/")
    numbers = {"uid": b"%07o" % rng.choice(_VALUES[:4]), "mtime": b"%011o" % rng.choice(_VALUES)}
    return member(name, data, kind, link=rng.choice(_LINKS) if kind in b"12" else b"", **numbers)


def _base256(rng: random.Random) -> bytes:
    data = _data(rng)
    return header(size=base256(len(data)), uid=base256(rng.choice(_VALUES), 8)) + padded(data)


def _with_records(rng: random.Random) -> bytes:
    data = _data(rng)
    choices = (
        (b"path", rng.choice(_NAMES).rstrip(b"/")), (b"uid", b"%d" % rng.choice(_VALUES)), (b"gid", b"7"), (b"mtime", b"1.5"),
        (b"size", b"%d" % len(data)), (b"comment", b"x" * rng.randrange(600)), (b"SCHILY.xattr.user.a", rng.randbytes(5)),
    )  # fmt: skip
    if rng.random() < 0.25:  # for all members; a path or a size for all makes no sense, and Python follows it halfway
        return pax(*rng.sample((*choices[1:4], *choices[5:]), 2), kind=b"g") + member(b"short", data)
    return pax(*rng.sample(choices, rng.randint(1, len(choices)))) + member(b"short", data)


def _long(rng: random.Random) -> bytes:
    name = b"long/" * rng.randint(1, 60) + b"f"
    kind = rng.choice((b"L", b"K"))
    link = rng.random() < 0.5 or kind == b"K"
    extra = member(b"././@LongLink", name + b"\0", kind)
    return extra + (member(b"short", b"", b"2", link=b"t") if link else member(b"short", _data(rng)))


def _sparse(rng: random.Random) -> bytes:
    runs: list[tuple[int, int]] = []
    at = 0
    for _ in range(rng.randint(0, 3)):
        at += rng.choice((512, 1024, 5000))
        runs.append((at, rng.choice((1, 512, 700))))
        at += runs[-1][1]
    real = at + rng.choice((0, 3000))
    data = rng.randbytes(sum(length for _, length in runs))
    form = rng.randrange(4)
    if form == 0:
        fields = b"".join(base256(start) + base256(length) for start, length in runs)
        patches = ((386, fields), (483, b"%011o" % real))
        return header(b"s", b"S", size=len(data), magic=b"ustar  \0", patches=patches) + padded(data)
    pairs = [number for run in runs for number in run]
    size = (b"GNU.sparse.size", b"%d" % real)
    if form == 1:
        records = (size, (b"GNU.sparse.map", b",".join(b"%d" % each for each in pairs)))
        return (pax(*records) if runs else b"") + member(b"s", data)
    if form == 2:
        keys = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
        records = (size, (b"GNU.sparse.numblocks", b"%d" % len(runs)))
        records += tuple((keys[number % 2], b"%d" % each) for number, each in enumerate(pairs))
        return (pax(*records) if runs else b"") + member(b"s", data)
    lines = padded(b"".join(b"%d\n" % each for each in (len(runs), *pairs)))
    records = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"%d" % real))
    return pax(*records, (b"GNU.sparse.name", b"name")) + member(b"s", lines + data)


def _hostile(rng: random.Random) -> bytes:
    return rng.choice(
        (
            header(size=base256(-BLOCK)), header(kind=b"5", size=base256(-BLOCK)), header(kind=b"x", size=b"-0000001000"),
            pax((b"size", b"-5")) + header(), pax((b"path", b"a\0b")) + header(), pax((b"mtime", b"9" * 30)) + header(),
            pax((b"uid", b"")) + header(), header(kind=b"2"), header(b"l", b"1", size=3, link=b"a"), header(b"../x"),
            header(kind=b"x", size=1 << 33), header(kind=b"Z", size=512) + bytes(512), header(b"s", b"S", magic=b"ustar  \0"),
            bytes(BLOCK), rng.randbytes(BLOCK),
        )
    )  # fmt: skip


_MEMBERS: tuple[Callable[[random.Random], bytes], ...] = (
    _plain, _plain, _base256, _with_records, _with_records, _long, _sparse, _hostile,
)  # fmt: skip


# -- the two readers -----------------------------------------------------------------------------------------------------------


def ours(data: bytes) -> list[Member] | str:
    """The members, or why there are none. Raises what is not an :class:`ArchiveError`."""
    found: list[Member] = []
    reader = TarReader(data[at : at + 700] for at in range(0, len(data), 700))
    try:
        for entry in reader:
            kind = "file" if entry.kind in (Kind.FILE, Kind.HARDLINK) else entry.kind.name.lower()
            kind = "link" if entry.kind is Kind.HARDLINK else kind
            read = entry.kind is Kind.FILE and entry.size <= _LIMIT
            content = b"".join(reader.content()) if read else b""
            found.append(
                (entry.path, kind, entry.mode, entry.uid, entry.gid, entry.size, entry.link, content)
            )  # fmt: skip
    except ArchiveError as error:
        return error.message
    return found


_NAMES_OF = {
    tarfile.LNKTYPE: "link", tarfile.SYMTYPE: "symlink", tarfile.CHRTYPE: "character", tarfile.BLKTYPE: "block",
    tarfile.DIRTYPE: "directory", tarfile.FIFOTYPE: "fifo",
}  # fmt: skip


def theirs(data: bytes) -> list[Member] | str:
    """The members as :mod:`tarfile` reads them, or why it does not."""
    found: list[Member] = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape") as opened:
            for number, info in enumerate(opened):
                if number > 100:
                    return "it goes back"
                if info.type not in tarfile.SUPPORTED_TYPES:
                    continue
                kind = _NAMES_OF.get(info.type, "file")
                content = b""
                if kind == "file" and info.size <= _LIMIT:
                    file = opened.extractfile(info)
                    content = file.read() if file is not None else b""
                    if len(content) != info.size:
                        return "truncated"
                size = info.size if kind == "file" else 0
                link = info.linkname if kind in ("link", "symlink") else ""
                link = _clean(link) if kind == "link" else link
                found.append((_clean(info.name), kind, info.mode & 0o7777, info.uid, info.gid, size, link, content))
    except (tarfile.TarError, ValueError, OverflowError, EOFError, OSError, MemoryError, UnicodeError) as error:
        return f"{type(error).__name__}: {error}"
    return found


def _clean(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def differs(data: bytes) -> str | None:
    """How the readers differ on an archive, None where they do not or ours is stricter by a rule.

    Ours may refuse what Python's takes: its rules are those of Go's reader (:mod:`gazami.layer.tar_fields`,
    :mod:`gazami.layer.tar_sparse`). Where both read an archive, they read the same members and bytes, but for what
    :func:`_excused` lists.
    """
    mine = ours(data)
    if isinstance(mine, str):
        return None
    other = theirs(data)
    if mine == other or _excused(data, mine, other):
        return None
    if isinstance(other, str):
        return f"ours reads {len(mine)} members, Python's says {other}"
    first = next((pair for pair in zip(mine, other, strict=False) if pair[0] != pair[1]), (len(mine), len(other)))
    return f"{first[0]!r} is not {first[1]!r}"


def _excused(data: bytes, mine: list[Member], other: list[Member] | str) -> bool:
    """Where Python's reader is the odd one, and ours does what Go's does."""
    kinds = {bytes(block[156:157]) for block in _headers(data)}
    return bool(
        # it reads the numbers of all headers, ours those that count: neither an extended header's owner nor a replaced one
        any(not _OCTAL.match(block[at : at + size]) for block in _headers(data) for at, size in _NUMBERS)
        # it reads Solaris' extended headers
        or b"X" in kinds
        # it lets global records out of old GNU sparse files
        or (b"g" in kinds and b"S" in kinds)
        # it reads a long name beyond its size, up to the first NUL
        or bool(kinds & {b"L", b"K"} and _has_odd_sizes(data))
        # an empty value is 0 for it, and leaves the header's field here
        or b" uid=\n" in data
        # it takes the size of a sparse file where there is no map that makes it one
        or (b"GNU.spa" in data and mine != other)
        # a trailing slash makes a directory of any file here, as in GNU tar
        or any(block[156:157] in (b"0", b"\0") and block[:100].split(b"\0")[0].endswith(b"/") for block in _headers(data))
        # nothing at all is an empty archive here, and an extended header before the end says nothing
        or (isinstance(other, str) and other.endswith(("empty file", "end of file header", "empty header")))
        # a prefix counts in POSIX headers alone
        or any(block[257:263] != b"ustar\0" and block[345] for block in _headers(data))
    )


_NUMBERS = ((100, 8), (108, 8), (116, 8), (136, 12), (329, 8), (337, 8))
_OCTAL = re.compile(rb"[\x80\xff]| *[0-7]* *(\0|\Z)")


def _headers(data: bytes) -> list[bytes]:
    blocks = [data[at : at + BLOCK] for at in range(0, len(data) - BLOCK + 1, BLOCK)]
    return [block for block in blocks if any(block) and _is_header(block)]


def _is_header(block: bytes) -> bool:
    try:
        return tarfile.nti(block[148:156]) in tarfile.calc_chksums(block)  # type: ignore[attr-defined]
    except tarfile.TarError:
        return False


def _has_odd_sizes(data: bytes) -> bool:
    """Whether a long name's size is not that of the text after it."""
    for at in range(0, len(data) - 2 * BLOCK + 1, BLOCK):
        if data[at + 257 : at + 262] == b"ustar" and data[at + 156 : at + 157] in (b"L", b"K"):
            text = data[at + BLOCK :].split(b"\0", 1)[0]
            if data[at + 124 : at + 136].rstrip(b"\0") != b"%011o" % (len(text) + 1):
                return True
    return False


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rng = random.Random(seed)
    bad = 0
    for number in range(count):
        data = archive(rng)
        try:
            said = differs(data)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if said is not None:
            bad += 1
            print(f"archive {number} of seed {seed}: {said}"[:400])
    print(f"{count} archives, {bad} differences")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
