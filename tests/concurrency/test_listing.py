"""Layers that processes list: what they say is what a reader in this process says, and whatever ends one of them, or its blob,
reaches the caller."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import os
import signal
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from gazami.builder.files import listed
from gazami.builder.files.blob_files import BlobFiles
from gazami.builder.files.layer_files import keeps_bytes
from gazami.builder.files.listed import ListedLayers
from gazami.cancel import Cancel
from gazami.errors import ArchiveError, Cancelled, HostError, IntegrityError, RefusedArchive
from gazami.image.digest import Digest, digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import Layer, LocalFile
from gazami.layer.blobs import BlobStore
from gazami.layer.entry import Entry
from gazami.layer.listing import FRAME
from gazami.layer.tar_reader import TarReader

pytestmark = pytest.mark.timeout(60)


def a_tar(count: int = 20_000, hostile: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (("etc/passwd", b"root:x:0:0::/:\n"), ("etc/group", b"root:x:0:\n"), (hostile, b"x")):
            if name:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        for number in range(count):
            info = tarfile.TarInfo(f"d{number % 50}/ä{number}")
            info.uid, info.mtime, info.mode = number, number / 3, 0o4755
            info.pax_headers = {"SCHILY.xattr.user.a": f"b{number}"} if number % 7 == 0 else {}
            if number % 5 == 0:
                info.type, info.linkname = tarfile.SYMTYPE, f"/somewhere/{number}"
            archive.addfile(info)
        info = tarfile.TarInfo("large")
        info.size = 10 << 20
        archive.addfile(info, io.BytesIO(os.urandom(1 << 19) * 20))
    return out.getvalue()


TAR = a_tar()
BLOB = gzip.compress(TAR, 1)


def layer_of(place: Path, blob: bytes, *, tar: bytes = TAR, digest: Digest | None = None) -> Layer:
    path = place / "blob"
    path.write_bytes(blob)
    descriptor = Descriptor(OCI_LAYER_GZIP, digest or digest_of(blob), len(blob))
    return Layer(descriptor, Digest("sha256:" + hashlib.sha256(tar).hexdigest()), LocalFile(str(path)))


@pytest.fixture
def cancel() -> Cancel:
    return Cancel()


@pytest.fixture
def layers(tmp_path: Path, cancel: Cancel) -> Iterator[ListedLayers]:
    (tmp_path / "store").mkdir()
    found = ListedLayers(BlobFiles(BlobStore(tmp_path / "store"), cast(Any, None), cancel))
    yield found
    found.close()


def in_this_process(tar: bytes) -> list[tuple[Entry, bytes | None]]:
    reader = TarReader([tar])
    return [(entry, b"".join(reader.content()) if keeps_bytes(entry) else None) for entry in reader]


@pytest.mark.parametrize("ahead", [False, True])
def test_a_process_lists_what_this_one_reads(tmp_path: Path, layers: ListedLayers, ahead: bool) -> None:
    layer = layer_of(tmp_path, BLOB)
    if ahead:
        layers.ahead([(layer, True)])
    found = list(layers.members(layer, checked=True))
    assert found == in_this_process(TAR)
    assert [data for _, data in found if data] == [b"root:x:0:0::/:\n", b"root:x:0:\n"]


def test_a_layer_of_another_diff_id(tmp_path: Path, layers: ListedLayers) -> None:
    """It is found where that is asked for: a cache's layers. A base's is what its own config says, and names nothing else."""
    with pytest.raises(IntegrityError, match="does not unpack to its diff id"):
        list(layers.members(layer_of(tmp_path, BLOB, tar=b"another"), checked=True))
    assert len(list(layers.members(layer_of(tmp_path, BLOB, tar=b"another"), checked=False))) == 20_003


@pytest.mark.parametrize("checked", [False, True])
def test_what_was_begun_for_another_layer_of_the_same_diff_id(tmp_path: Path, layers: ListedLayers, checked: bool) -> None:
    """Two images claim it, and one of them lies."""
    for name in ("good", "other"):
        (tmp_path / name).mkdir()
    other = layer_of(tmp_path / "other", gzip.compress(a_tar(10), 1))
    layers.ahead([(other, False)])
    assert len(list(layers.members(layer_of(tmp_path / "good", BLOB), checked=checked))) == 20_003
    layers.ahead([(other, False)])
    with pytest.raises(IntegrityError, match="does not unpack to its diff id"):
        list(layers.members(other, checked=True))


@pytest.mark.parametrize("cut", [100, 1 << 20, -1], ids=["at once", "in the middle", "at its end"])
def test_a_blob_that_is_not_its_digest(tmp_path: Path, layers: ListedLayers, cut: int) -> None:
    """Whatever the archive in it looks like, that the bytes are the wrong ones is what is said."""
    with pytest.raises(IntegrityError, match="damaged"):
        list(layers.members(layer_of(tmp_path, BLOB[:cut], digest=digest_of(BLOB)), checked=True))


@pytest.mark.parametrize(
    ("blob", "error", "text"),
    [
        (BLOB[: 1 << 20], ArchiveError, "truncated"),
        (gzip.compress(a_tar(10, "../out"), 1), RefusedArchive, "would leave its root"),
        (os.urandom(5 << 20), ArchiveError, "not a tar archive"),
    ],
    ids=["truncated", "hostile", "noise"],
)
def test_what_is_wrong_with_an_archive(
    tmp_path: Path, layers: ListedLayers, blob: bytes, error: type[ArchiveError], text: str
) -> None:
    with pytest.raises(error, match=text):
        list(layers.members(layer_of(tmp_path, blob), checked=True))


def processes() -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            command = (entry / "cmdline").read_bytes()
            if b"gazami.layer.listing" in command and int((entry / "stat").read_text().split()[3]) == os.getpid():
                found.append(int(entry.name))
    return found


def test_a_process_that_is_killed(tmp_path: Path, layers: ListedLayers) -> None:
    members = layers.members(layer_of(tmp_path, BLOB), checked=True)
    next(members)
    stopped = processes()
    assert stopped
    for each in stopped:
        os.kill(each, signal.SIGKILL)
    with pytest.raises(HostError, match="ended with status -9"):
        list(members)


@pytest.mark.parametrize("what", ["no process", "no thread", "no pipe"])
def test_nothing_is_left_of_what_could_not_be_started(
    tmp_path: Path, layers: ListedLayers, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    made: list[int] = []

    def refused(name: str, work: Callable[[], object]) -> None:
        raise HostError(f"cannot start the thread {name!r}")

    def one_pipe() -> tuple[int, int]:
        if made:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        made.append(1)
        return os.pipe()

    target, instead = {
        "no process": ("_command", lambda *_: ["/nonesuch"]),
        "no thread": ("Worker", refused),
        "no pipe": ("pipe", one_pipe),
    }[what]
    monkeypatch.setattr(listed, target, instead)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(HostError, match="cannot start"):
        list(layers.members(layer_of(tmp_path, BLOB), checked=True))
    assert processes() == [] and len(os.listdir("/proc/self/fd")) == before


def test_a_program_that_fails_says_why(tmp_path: Path, layers: ListedLayers, monkeypatch: pytest.MonkeyPatch) -> None:
    right = listed._command
    monkeypatch.setattr(listed, "_command", lambda checks: [word if word != str(10 << 20) else "many" for word in right(checks)])
    with pytest.raises(HostError, match=r"that lists a layer failed: ValueError: .*'many'"):
        list(layers.members(layer_of(tmp_path, BLOB), checked=True))


def test_a_program_of_a_broken_installation(tmp_path: Path, layers: ListedLayers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "_command", lambda *_: ["/bin/false"])
    with pytest.raises(HostError, match="ended with status 1"):
        list(layers.members(layer_of(tmp_path, BLOB), checked=True))


@pytest.mark.parametrize("taken", [0, 1])
def test_nobody_is_left_when_nobody_asks_any_more(tmp_path: Path, layers: ListedLayers, taken: int) -> None:
    layer = layer_of(tmp_path, BLOB)
    layers.ahead([(layer, True)])
    if taken:
        with contextlib.closing(layers.members(layer, checked=True)) as members:
            next(members)
    layers.close()
    deadline = time.monotonic() + 5
    while processes() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert processes() == []


def test_a_build_that_stops_reads_no_further(tmp_path: Path, layers: ListedLayers, cancel: Cancel) -> None:
    """Also where the blob is a file here, and no request is there to be cut."""
    members = layers.members(layer_of(tmp_path, gzip.compress(a_tar() + os.urandom(64 << 20), 1)), checked=True)
    next(members)
    cancel.set("stopped")
    with pytest.raises(Cancelled):
        list(members)
    assert processes() == []


def test_no_frame_is_as_large_as_a_hostile_layer_wants_it(tmp_path: Path, layers: ListedLayers) -> None:
    """200 MB of attributes in a blob of some kilobytes: neither process holds more than a few frames."""
    out, attribute = io.BytesIO(), "a" * 200_000
    for number in range(1000):
        info = tarfile.TarInfo(f"f{number}")
        info.pax_headers = {"SCHILY.xattr.user.a": attribute}
        out.write(info.tobuf(tarfile.PAX_FORMAT))
    layer = layer_of(tmp_path, gzip.compress(out.getvalue() + bytes(1024), 1))
    frames = [len(each) for each in layers._frames(layer, checked=False)]
    assert max(frames) < 2 * FRAME and len(frames) > 100
    assert sum(1 for _ in layers.members(layer, checked=False)) == 1000
