"""Work grows with its input: twice as much costs less than three times the calls. Calls are counted, not seconds, so a busy machine
changes nothing."""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, cast

import pytest

from gazami import events
from gazami.builder.files.squash import merged
from gazami.cache.directory import DirectoryStore
from gazami.cache.entry import CacheEntry
from gazami.cache.prune import to_prune
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import Layer, LocalFile
from gazami.layer.tar_reader import TarReader
from gazami.report.line import Settings
from gazami.report.plain import PlainSink, Streams
from gazami.report.story import Story
from gazami.rootfs.copy import Attributes, Copier
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.requests import UnpackRequest
from gazami.rootfs.spool import Spool
from gazami.rootfs.tree import Tree
from gazami.rootfs.unpack import Unpacker

pytestmark = pytest.mark.timeout(200)


def calls(work: Callable[[], object]) -> int:
    """How many functions, ours and C's, a piece of work calls."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def grows(work: Callable[[int], Callable[[], object]], size: int) -> None:
    """``work`` prepares a size and returns what is counted."""
    once, twice = calls(work(size)), calls(work(2 * size))
    assert once > size / 2  # the control: it does do something for each
    assert twice < 3 * once, f"{once} calls for {size}, {twice} for {2 * size}"


def test_the_count_finds_quadratic_work() -> None:
    def quadratic(size: int) -> Callable[[], object]:
        return lambda: [abs(each) for each in range(size) for _ in range(each)]

    with pytest.raises(AssertionError, match="calls for"):
        grows(quadratic, 200)


def tar(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            if name.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(info)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["deleted", "opaque", "deleted below", "replaced"])
def test_whiteouts_on_a_plain_root(tmp_path: Path, kind: str) -> None:
    """A layer that deletes many directories of those below, and brings files beside them."""

    def prepared(size: int) -> Callable[[], object]:
        root = tmp_path / f"root-{kind}-{size}"
        for number in range(size):
            (root / f"top/d{number}/sub").mkdir(parents=True)
            (root / f"top/d{number}/sub/old").touch()
        names = ["top/"]
        for number in range(size):
            match kind:
                case "deleted":
                    names += [f"top/.wh.d{number}", f"top/new{number}"]
                case "opaque":
                    names += [f"top/d{number}/", f"top/d{number}/.wh..wh..opq", f"top/d{number}/new"]
                case "deleted below":
                    names += [f"top/d{number}/", f"top/d{number}/.wh.sub", f"top/d{number}/new"]
                case _:
                    names += [f"top/d{number}"]
        data = tar(*names)

        def work() -> None:
            unpacker = Unpacker(UnpackRequest(str(root), devices=True), str(root))
            reader = TarReader(iter([data]))
            for entry in reader:
                unpacker.add(entry, reader.content())
            unpacker.finish()

        return work

    grows(prepared, 150)


def store(folder: Path, size: int) -> DirectoryStore:
    found = DirectoryStore(folder)
    for number in range(size):
        data = f"layer {number // 2}".encode()
        descriptor = Descriptor(OCI_LAYER_GZIP, digest_of(data), len(data))
        made = datetime.now(UTC) - timedelta(hours=number)
        entry = CacheEntry(made, descriptor, digest_of(data), f"RUN {number}")

        def opened(data: bytes = data) -> Any:
            return io.BytesIO(data)

        found.put((f"tag-{number}",), entry, ((descriptor, opened, LocalFile("")),))
    return found


@pytest.mark.parametrize("how", ["older", "size"])
def test_pruning_a_directory(tmp_path: Path, how: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        cache = store(tmp_path / f"{how}-{size}", size)

        def work() -> None:
            if how == "older":
                gone = to_prune(cache.entries(), datetime.now(UTC), older_than=size * 1800)
            else:
                gone = to_prune(cache.entries(), datetime.now(UTC), max_size=size * 2)
            assert size / 4 < len(gone) < size
            cache.remove(*(each.tag for each in gone))

        return work

    grows(prepared, 60)


def test_pruning_keeps_what_another_entry_names(tmp_path: Path) -> None:
    cache = store(tmp_path / "cache", 4)
    cache.remove("tag-0", "tag-3")
    assert sorted(each.tag for each in cache.entries()) == ["tag-1", "tag-2"]
    assert DirectoryStore(tmp_path / "cache").get("tag-1") is not None
    cache.remove("tag-1")
    assert not (tmp_path / "cache/blobs/sha256" / digest_of(b"layer 0")[7:]).exists()


class Files:
    """What joining needs of a build's layer files."""

    def __init__(self, tars: dict[str, bytes], folder: Path) -> None:
        self._tars, self._spool = tars, Spool(folder)
        self.workspace = self

    def spool(self) -> Spool:
        return self._spool

    def tar_chunks(self, layer: Layer) -> Any:
        return iter([self._tars[layer.diff_id]])


def test_joining_layers(tmp_path: Path) -> None:
    def prepared(size: int) -> Callable[[], object]:
        tars = [
            tar("a/", *(f"a/{n}" for n in range(size))),
            tar("a/", *(f"a/.wh.{n}" for n in range(0, size, 2)), *(f"a/new{n}" for n in range(size))),
            tar("b/", *(f"b/{n}/" for n in range(size)), *(f"b/{n}/.wh..wh..opq" for n in range(size))),
        ]
        blob = Descriptor(OCI_LAYER_GZIP, digest_of(b""), 0)
        layers = tuple(Layer(blob, digest_of(each), LocalFile("")) for each in tars)
        files = Files({layer.diff_id: data for layer, data in zip(layers, tars, strict=True)}, tmp_path)
        return lambda: merged(layers, cast(Any, files))

    grows(prepared, 200)


def test_copying_many_files(tmp_path: Path) -> None:
    def prepared(size: int) -> Callable[[], object]:
        folder = tmp_path / f"files-{size}"
        for number in range(size):
            (folder / f"d{number % 10}").mkdir(parents=True, exist_ok=True)
            (folder / f"d{number % 10}/f{number}").touch()

        def work() -> None:
            copier = Copier(Tree(), Attributes())
            copier.copy(FolderTree(str(folder)), ".", "/into/")
            assert len(copier.changes) >= size

        return work

    grows(prepared, 300)


def test_a_summary_of_many_steps() -> None:
    def prepared(size: int) -> Callable[[], object]:
        def work() -> None:
            story = Story()
            story.tell(events.StageStarted(0, "a", "base", size), 0)
            for number in range(size):
                step = events.StepId(0, number)
                story.tell(events.StepStarted(step, size, "RUN x", None), 0)
                story.tell(events.TransferStarted(f"k{number}", "pull", "x", "y", 10), 0)
                story.tell(events.PhaseStarted(f"p{number}", "packing", 10, "bytes"), 0)
                story.tell(events.TransferFinished(f"k{number}", "moved", 10, 1), 0)
                story.tell(events.PhaseFinished(f"p{number}", 1), 0)
                story.tell(events.StepFinished(step, 1.0, False, 10), 0)
                story.tick(float(number))
            story.tell(events.BuildFinished(1.0, "sha256:x", 1, 1, (), "sha256:y"), 0)

        return work

    grows(prepared, 200)


def test_output_that_is_kept_for_the_case_of_failure() -> None:
    """``--quiet`` keeps the tail of a step's output, which may come byte by byte."""

    def prepared(size: int) -> Callable[[], object]:
        def work() -> None:
            sink = PlainSink(Settings(quiet=True), Streams(io.BytesIO(), io.BytesIO()), heartbeat=False)
            for _ in range(size):
                sink.emit(events.StepOutput(events.StepId(0, 1), "stdout", b"x"))

        return work

    grows(prepared, 500)
    stream = io.BytesIO()
    sink = PlainSink(Settings(quiet=True), Streams(io.BytesIO(), stream), heartbeat=False)
    kept = sum(len(each) for each in [b"x" * 1000] * 200)
    for _ in range(200):
        sink.emit(events.StepOutput(events.StepId(0, 1), "stdout", b"x" * 1000))
    sink.emit(events.StepFailed(events.StepId(0, 1), 1.0, "no"))
    shown = stream.getvalue().count(b"x")
    assert 60_000 < shown <= 66_000 < kept
