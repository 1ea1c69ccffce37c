"""A failure of each thread of a build, at each point where it can fail: it reaches the caller, soon, and nothing half-made is taken
for whole. Each test would hang or pass a broken layer on if a thread kept its failure to itself."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from tests.strict_registry import Quirks, StrictRegistry, strict_registry

from gazami.ahead import AHEAD, Ahead
from gazami.builder.cached.stores import Stores
from gazami.builder.files.blob_files import BlobFiles, Fetch
from gazami.builder.files.layer_files import phase
from gazami.builder.files.streams import SandboxUnpacker, produced
from gazami.builder.request import CacheOptions
from gazami.cache.store import CacheStore
from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError, HostError, NotFoundError, RegistryError, SandboxError, SpaceError
from gazami.events import Event, Message, PhaseFinished
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import Layer, Remote
from gazami.image.reference import Reference, parse_reference
from gazami.layer import pack
from gazami.layer.blobs import BlobStore
from gazami.layer.pack import LayerWriter, Packing, layer_writer, pack_layer
from gazami.registry import stream
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain
from gazami.registry.options import RegistryOptions
from gazami.registry.retry import RetryPolicy
from gazami.registry.transfer import Uploads
from gazami.report.line import Settings
from gazami.report.plain import PlainSink, Streams
from gazami.rootfs.requests import UnpackReport, UnpackRequest, UpperRequest
from gazami.sandbox.client import Sandbox

pytestmark = pytest.mark.timeout(30)
ZSTD, GZIP = Packing("zstd", oci=True), Packing("gzip")


class Broken(Exception):
    """Nothing that anybody expects."""


# -- compress ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", [ZSTD, GZIP, Packing("gzip", 9)])
@pytest.mark.parametrize("size", [0, 100, 5 << 20, 40 << 20], ids=["nothing", "small", "some", "more than the queue"])
def test_a_full_disk(tmp_path: Path, packing: Packing, size: int) -> None:
    """/dev/full takes no byte: small layers meet it in the last flush, large ones before."""
    with open("/dev/full", "wb", buffering=0) as full:
        writer = LayerWriter(BlobStore(tmp_path), packing, full, tmp_path / "x")
        with pytest.raises(SpaceError, match="no space left"):
            for _ in range(0, size, 1 << 20):
                writer.write(os.urandom(1 << 20))
            writer.finish()
        writer.abandon()
    assert not any("compress" in each.name for each in threading.enumerate())


@pytest.mark.parametrize("cause", [ImportError("no zstd here"), Broken()], ids=["missing", "broken"])
def test_a_compressor_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cause: Exception) -> None:
    def refuse(*_: object) -> None:
        raise cause

    monkeypatch.setattr(pack, "compressor", refuse)
    with pytest.raises(HostError if isinstance(cause, ImportError) else Broken):
        pack_layer([b"x" * 1000], BlobStore(tmp_path), ZSTD)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


@pytest.mark.parametrize("fails", ["compress", "flush"])
@pytest.mark.parametrize("chunks", [1, 2, 100])
def test_a_compressor_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, chunks: int) -> None:
    class Failing:
        def compress(self, data: bytes) -> bytes:
            if fails == "compress":
                raise Broken
            return data

        def flush(self) -> bytes:
            raise Broken

    monkeypatch.setattr(pack, "compressor", lambda *_: Failing())
    with pytest.raises(Broken):
        pack_layer([b"x" * 1000] * chunks, BlobStore(tmp_path), GZIP)
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_a_writer_that_is_abandoned(tmp_path: Path) -> None:
    with pytest.raises(Broken), layer_writer(BlobStore(tmp_path), GZIP) as writer:
        writer.write(b"x" * 100)
        raise Broken
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


# -- ahead -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 1, AHEAD, AHEAD + 1, 100])
@pytest.mark.parametrize("cause", [Broken(), HostError("no"), SystemExit(1)], ids=["bug", "host", "exit"])
def test_a_source_that_fails_is_never_an_end(after: int, cause: BaseException) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(after):
            yield b"x"
        raise cause

    seen = []
    with pytest.raises(type(cause)):
        for chunk in Ahead(source()).chunks():
            seen.append(chunk)
    assert len(seen) == after


@pytest.mark.parametrize("taken", [0, 1, 50])
def test_a_reader_that_stops_ends_the_thread(taken: int) -> None:
    closed = threading.Event()

    def source() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.set()

    ahead = Ahead(source())
    with contextlib.closing(cast(Any, ahead.chunks())) as chunks:
        for _ in range(taken):
            next(chunks)
    ahead.stop()
    assert closed.wait(5)


# -- unpack and produce ------------------------------------------------------------------------------------------------


class Other:
    """The sandbox's side of a pipe: ``work`` is given the descriptor."""

    def __init__(self, work: Callable[[int], int]) -> None:
        self._work = work

    def call(self, request: object, input_fd: int = -1, output_fd: int = -1) -> UnpackReport:
        return UnpackReport(taken=self._work(max(input_fd, output_fd)))


def reads(count: int, then: BaseException | None) -> Sandbox:
    def work(fd: int) -> int:
        left = count
        while left and (data := os.read(fd, min(left, 1 << 20))):
            left -= len(data)
        if then is not None:
            raise then
        return count - left

    return cast(Sandbox, Other(work))


def feed(sandbox: Sandbox, size: int = 1 << 20) -> None:
    with SandboxUnpacker(sandbox, UnpackRequest("/d")).feeding() as write:
        for _ in range(0, size, 1 << 16):
            write(b"x" * (1 << 16))


@pytest.mark.parametrize("count", [0, 1, 1 << 19, 1 << 20, 1 << 30], ids=["none", "one", "half", "all", "to the end"])
def test_an_unpacker_that_fails(count: int) -> None:
    with pytest.raises(Broken):
        feed(reads(count, Broken()))


@pytest.mark.parametrize("size", [1 << 16, 1 << 20, 4 << 20])
@pytest.mark.parametrize("count", [0, 1, 1 << 15, (1 << 16) - 1])
def test_an_unpacker_that_stops_without_a_word(count: int, size: int) -> None:
    """However much the pipe between them holds."""
    with pytest.raises(SandboxError, match="stopped before its end"):
        feed(reads(count, None), size)


def test_an_unpacker_that_takes_all() -> None:
    feed(reads(1 << 30, None))


def writes(size: int, then: BaseException | None) -> Sandbox:
    def work(fd: int) -> int:
        with contextlib.suppress(BrokenPipeError):
            os.write(fd, b"x" * size)
        if then is not None:
            raise then
        return 0

    return cast(Sandbox, Other(work))


@pytest.mark.parametrize("size", [0, 10, 1 << 20])
@pytest.mark.parametrize("taken", ["all", "one", "none"])
def test_a_producer_that_fails_however_much_of_it_is_read(size: int, taken: str) -> None:
    """A reader of tar stops at the archive's end: it need not meet the end of the pipe to learn of a failure behind it."""
    with pytest.raises(Broken), produced(writes(size, Broken()), UpperRequest("/d")) as chunks:
        for _ in chunks:
            if taken == "one":
                break
            if taken == "none":
                continue


def test_the_readers_own_error_goes_before_the_producers() -> None:
    with pytest.raises(HostError, match="mine"), produced(writes(1 << 20, Broken()), UpperRequest("/d")) as chunks:
        next(chunks)
        raise HostError("mine")


def test_no_descriptor_is_left() -> None:
    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = opened()
    for work in (lambda: feed(reads(1, Broken())), lambda: feed(reads(1 << 30, None))):
        with contextlib.suppress(Broken):
            work()
    for then in (None, Broken()):
        with contextlib.suppress(Broken), produced(writes(10, then), UpperRequest("/d")) as chunks:
            next(chunks)
    assert opened() == before


# -- a phase, the cache's writers, the heartbeat -----------------------------------------------------------------------


@pytest.mark.parametrize("cause", [Broken(), HostError("no"), KeyboardInterrupt()])
def test_a_phase_that_fails_ends_its_line(cause: BaseException) -> None:
    told: list[Event] = []
    with contextlib.suppress(BaseException), phase(told.append, "key", "what"):
        raise cause
    assert isinstance(told[-1], PhaseFinished)
    assert told[-1].failed


class Store:
    name = "test"


def caching(told: list[Event]) -> Stores:
    return Stores((cast(CacheStore, Store()),), CacheOptions(enabled=True), told.append, Cancel())


def test_a_cache_writer_that_has_a_bug_ends_the_build() -> None:
    def work(store: CacheStore) -> None:
        raise Broken

    with pytest.raises(Broken), caching([]) as cache:
        cache.write(work)


@pytest.mark.parametrize("cause", [FileNotFoundError(2, "gone"), OSError(28, "full"), RegistryError("no")])
def test_a_cache_that_cannot_be_written_is_told_once_and_ends_nothing(cause: Exception) -> None:
    def work(store: CacheStore) -> None:
        raise cause

    told: list[Event] = []
    with caching(told) as cache:
        cache.write(work)
        cache.write(work)
    assert len([each for each in told if isinstance(each, Message) and each.level == "warning"]) == 1


def test_the_builds_own_error_goes_before_a_cache_writers() -> None:
    def work(store: CacheStore) -> None:
        raise Broken

    with pytest.raises(GazamiError, match="mine"), caching([]) as cache:
        cache.write(work)
        raise GazamiError("mine")


def test_a_heartbeat_that_fails_reaches_whoever_tells_the_next_event() -> None:
    owner = threading.current_thread()

    def clock() -> float:
        if threading.current_thread() is not owner:
            raise Broken
        return 0.0

    sink = PlainSink(Settings(), Streams(io.BytesIO(), io.BytesIO()), clock=clock)
    try:
        with pytest.raises(Broken):
            for _ in range(100):
                sink.emit(Message("info", "x"))
                threading.Event().wait(0.05)
    finally:
        sink.close()


# -- uploads -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def client() -> Iterator[tuple[RegistryClient, Reference, StrictRegistry]]:
    with strict_registry(Quirks()) as registry:
        options = RegistryOptions(retry=RetryPolicy(attempts=1))
        with RegistryClient(options, Keychain([]), lambda _: None, Cancel()) as made:
            yield made, parse_reference(f"{registry.host}/x/y:1"), registry


def blob(data: bytes) -> Descriptor:
    return Descriptor(OCI_LAYER_GZIP, digest_of(data), len(data))


@pytest.mark.parametrize("cause", [Broken(), FileNotFoundError(2, "gone"), OSError(5, "damaged")])
def test_an_upload_whose_file_cannot_be_read(client: tuple[RegistryClient, Reference, StrictRegistry], cause: Exception) -> None:
    def refuse() -> BinaryIO:
        raise cause

    wanted = {FileNotFoundError: NotFoundError, OSError: HostError}.get(type(cause), Broken)
    with pytest.raises(wanted), Uploads(client[0]) as uploads:
        uploads.submit(client[1], blob(b"x"), refuse)
        uploads.wait()


@pytest.mark.parametrize("when", ["at once", "on the way"])
def test_an_upload_that_grows_and_has_a_bug(
    client: tuple[RegistryClient, Reference, StrictRegistry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    path = tmp_path / "blob"
    data = os.urandom(stream.STARTS_AT + 1)
    path.write_bytes(data)

    def fail(*_: object) -> object:
        raise Broken

    monkeypatch.setattr(stream.GrowingUpload, "_size" if when == "at once" else "_pieces", fail)
    with pytest.raises(Broken), Uploads(client[0]) as uploads:
        growing = client[0].follow_blob(client[1], path)
        uploads.submit_followed(client[1], blob(data), lambda: path.open("rb"), growing)
        uploads.wait()


def test_an_upload_that_grows_and_is_refused_is_done_again(
    client: tuple[RegistryClient, Reference, StrictRegistry], tmp_path: Path
) -> None:
    path = tmp_path / "blob"
    data = os.urandom(stream.STARTS_AT + 1)
    path.write_bytes(data)
    client[2].quirks = Quirks(denied="POST .*")
    growing = client[0].follow_blob(client[1], path)
    growing._whole.set()
    growing._worker.join()
    client[2].quirks = Quirks()
    with Uploads(client[0]) as uploads:
        uploads.submit_followed(client[1], blob(data), lambda: path.open("rb"), growing)
        uploads.wait()
    assert client[2].blobs["x/y", digest_of(data)] == data


# -- one fetch ---------------------------------------------------------------------------------------------------------


def fetching(tmp_path: Path, chunks: Callable[[], Iterator[bytes]], data: bytes) -> Fetch:
    return Fetch(BlobStore(tmp_path), blob(data), chunks)


def test_readers_of_a_fetch_that_fails(tmp_path: Path) -> None:
    """Two that follow, one that comes late and one that wants the file: all of them learn of it."""
    go = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"x" * 100
        go.wait(5)
        raise Broken

    fetch = fetching(tmp_path, chunks, b"x" * 200)
    first = fetch.chunks(Cancel())
    assert next(first) == b"x" * 100
    go.set()
    with pytest.raises(Broken):
        list(first)
    with pytest.raises(Broken):
        list(fetch.chunks(Cancel()))
    with pytest.raises(Broken):
        fetch.path(Cancel())
    assert fetch.has_failed
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_readers_follow_at_their_own_pace(tmp_path: Path) -> None:
    """One reader that never goes on keeps neither the fetch nor the others."""
    data = os.urandom(20 << 20)
    fetch = fetching(tmp_path, lambda: (data[at : at + 65536] for at in range(0, len(data), 65536)), data)
    slow = fetch.chunks(Cancel())
    next(slow)
    assert b"".join(fetch.chunks(Cancel())) == data
    assert fetch.path(Cancel()).read_bytes() == data
    assert len(b"".join(slow)) < len(data)


def test_a_reader_that_waits_for_a_fetch_wakes_when_told_to_stop(tmp_path: Path) -> None:
    go, stop = threading.Event(), Cancel()

    def chunks() -> Iterator[bytes]:
        go.wait(20)
        yield b"x"

    fetch = fetching(tmp_path, chunks, b"x")
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Cancelled):
        list(fetch.chunks(stop))
    go.set()
    assert list(fetch.chunks(Cancel())) == [b"x"]  # the others go on


def test_a_disk_without_room_for_a_fetch(
    client: tuple[RegistryClient, Reference, StrictRegistry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its readers go on at the registry, from the byte that they had reached."""
    data = os.urandom(3 << 20)
    client[2].blobs["x/y", digest_of(data)] = data
    writes = []

    class Filling(BlobStore):
        @contextlib.contextmanager
        def create(self) -> Iterator[tuple[BinaryIO, Path]]:
            with super().create() as (file, path):
                write = file.write

                def full(data: bytes) -> int:
                    writes.append(len(data))
                    if len(writes) == 2:
                        raise OSError(errno.ENOSPC, "full")
                    return write(data)

                file.write = full  # type: ignore[method-assign, assignment]
                yield file, path

    files = BlobFiles(Filling(tmp_path), client[0], Cancel())
    layer = Layer(blob(data), digest_of(data), Remote(client[1]))
    assert b"".join(files.chunks(layer)) == data
    assert len(writes) == 2
    assert b"".join(files.chunks(layer)) == data
