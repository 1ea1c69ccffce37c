"""A Dockerfile or an archive on standard input: their first bytes tell."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile

import pytest

from gazami.builder.inputs.contexts import is_text


def tar(name: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    return out.getvalue()


@pytest.mark.parametrize("text", ["FROM scratch\n", "F", "# Ä\r\nFROM x\n", "ä" * 256, "a" + "ä" * 256, "\ufeffFROM x\n"])
def test_a_text(text: str) -> None:
    data = text.encode()
    assert is_text(data) and is_text(data + tar("x") if len(data) >= 512 else data)


@pytest.mark.parametrize("name", ["a", "Dockerfile", "x" * 100, "ä" * 40])
def test_an_archive(name: str) -> None:
    data = tar(name)
    assert not is_text(data) and not is_text(b"")
    for packed in (gzip.compress(data), bz2.compress(data), lzma.compress(data), b"\x28\xb5\x2f\xfd" + data):
        assert not is_text(packed)
