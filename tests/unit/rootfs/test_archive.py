"""ADD knows an archive by its first header, whatever that is of; the control is a file that is none."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from gazami.layer.entry import FileContent
from gazami.rootfs.archive import is_archive

KINDS = {
    "file": (tarfile.REGTYPE, "f", {}),
    "the root": (tarfile.DIRTYPE, "./", {}),
    "a directory": (tarfile.DIRTYPE, "d", {}),
    "a symlink": (tarfile.SYMTYPE, "l", {"linkname": "x"}),
    "a hard link": (tarfile.LNKTYPE, "l", {"linkname": "f"}),
    "a pipe": (tarfile.FIFOTYPE, "p", {}),
    "a device": (tarfile.CHRTYPE, "c", {"devmajor": 1, "devminor": 3}),
    "contiguous": (tarfile.CONTTYPE, "f", {}),
    "a long name": (tarfile.REGTYPE, "a" * 150, {}),
    "an absolute name": (tarfile.REGTYPE, "/abs", {}),
    "a label": (b"V", "label", {}),
    "of no known kind": (b"Z", "f", {}),
    "leaves the root": (tarfile.REGTYPE, "../up", {}),
    "too long a name": (tarfile.REGTYPE, "a/" * 3000 + "x", {}),
}


def packed(what: str, form: int) -> bytes:
    kind, name, attributes = KINDS[what]
    member = tarfile.TarInfo(name)
    member.type = kind
    for key, value in attributes.items():
        setattr(member, key, value)
    data = io.BytesIO()
    headers = {"comment": "a global header"} if form == tarfile.PAX_FORMAT else None
    with tarfile.open(fileobj=data, mode="w", format=form, pax_headers=headers) as archive:
        archive.addfile(member)
    return data.getvalue()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("what", KINDS)
def test_whatever_comes_first(what: str, form: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(packed(what, form))
    assert is_archive(FileContent(str(tmp_path / "a")))


@pytest.mark.parametrize("data", [b"", b"x" * 1024, bytes(1024), packed("file", tarfile.GNU_FORMAT)[:100], b"PK\3\4" + bytes(600)])
def test_what_is_none(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(data)
    assert not is_archive(FileContent(str(tmp_path / "a")))
