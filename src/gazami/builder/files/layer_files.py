"""The bytes of layers during a build: fetched once, and on that one pass indexed, unpacked and kept as they are wanted."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from gazami.builder.files.begun import Begun
from gazami.errors import ArchiveError, IntegrityError
from gazami.events import Emit, PhaseFinished, PhaseProgress, PhaseStarted, StepId
from gazami.image.digest import hex_of, verified
from gazami.layer.blobs import open_file
from gazami.layer.entry import BytesContent, Content, Entry, FileContent, Kind, LayerContent
from gazami.rootfs.kept_tree import MAX_MEMBERS, Members
from gazami.rootfs.owners import ACCOUNT_FILES, MAX_ACCOUNTS
from gazami.rootfs.tree import LayerApplier, Tree
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.builder.files.blob_files import BlobFiles
    from gazami.builder.files.listed import ListedLayers
    from gazami.builder.files.streams import SandboxUnpacker
    from gazami.builder.files.workspace import Workspace
    from gazami.cancel import Cancel
    from gazami.image.model import Layer

_CHUNK = 1 << 20

WORTH_A_PROCESS = 4 << 20
"""Bytes of a blob that a process of its own lists. To start one takes as long as reading some twenty megabytes of tar."""


@fast_dataclass(slots=True)
class LayerFiles:
    """``layers`` and ``directories`` (of unpacked ones that this process may read) are by the names that :class:`LayerContent`
    uses: the layer's own, or a provisional one for a layer that was indexed before its diff id was known."""

    workspace: Workspace
    blobs: BlobFiles
    emit: Emit
    cancel: Cancel
    layers: dict[str, Layer] = field(default_factory=dict)
    directories: dict[str, str] = field(default_factory=dict)
    _begun: Begun = field(default_factory=Begun)
    _listed: ListedLayers | None = None
    _making: threading.Lock = field(default_factory=threading.Lock)
    _pinned: set[str] = field(default_factory=set)
    _checked: set[str] = field(default_factory=set)

    def register(self, layer: Layer, *, pinned: bool = False) -> Layer:
        """Remember where the bytes of a layer are. An image's own manifest (``pinned``) wins over a cache."""
        if pinned:
            self._pinned.add(layer.name)
            self.layers[layer.name] = layer
        self.layers.setdefault(layer.name, layer)
        return layer

    def has_checked(self, layer: Layer) -> bool:
        """Whether the digest and the diff id of a layer were derived from its bytes in this build."""
        return layer.name in self._checked

    # -- blobs ----------------------------------------------------------------------------------------------------

    def blob_chunks(self, layer: Layer, cancel: Cancel | None = None) -> Iterator[bytes]:
        """The compressed bytes, verified, from the nearest source that has them."""
        return self.blobs.chunks(layer, cancel)

    def local_blob(self, layer: Layer) -> Path:
        """The blob as a local file, fetched if need be."""
        return self.blobs.path(layer)

    def prefetch(self, layers: Iterable[Layer]) -> None:
        """Begin to fetch and decompress layers whose tars will be asked for soon, as far as a few chunks of each."""
        for layer in layers:
            self._begun.begin(layer.name, partial(self._tar_chunks, layer))

    def list_ahead(self, layers: Sequence[Layer]) -> None:
        """Begin to list layers whose members will be asked for soon, and nothing else of them."""
        large = [layer for layer in layers if layer.descriptor.size >= WORTH_A_PROCESS]
        if large:
            self._listing().ahead((layer, not self._is_pinned(layer)) for layer in large)
        self.prefetch(layer for layer in layers if layer not in large)

    def learn(self, layer: Layer, tree: Tree, members: Members | None = None) -> None:
        """Read a layer once, into the tree. ``members`` gets its list."""
        if layer.descriptor.size < WORTH_A_PROCESS:
            self.ingest(layer, tree, None, members)
            return
        self.register(layer)
        checked = not self._is_pinned(layer)
        what = f"reading the files of layer {hex_of(layer.descriptor.digest)[:12]}"
        with (
            phase(self.emit, f"ingest-{layer.diff_id}", what, "files") as progress,
            self._of_layer(layer),
            contextlib.closing(self._listing().members(layer, checked=checked)) as listed,
        ):
            apply_members(layer.name, listed, tree, members, progress)
        if checked:
            self._checked.add(layer.name)

    def _is_pinned(self, layer: Layer) -> bool:
        """Whether an image's own manifest and config say that the blob has this diff id. Nothing else of the build rests on that as
        long as the layer is only listed, for trees are known by their blobs; it is checked where it is unpacked."""
        return layer.name in self._pinned

    def _listing(self) -> ListedLayers:
        from gazami.builder.files.listed import ListedLayers

        with self._making:
            if self._listed is None:
                self._listed = ListedLayers(self.blobs)
            return self._listed

    def tar_chunks(self, layer: Layer) -> Iterator[bytes]:
        """The layer's tar, read and decompressed in a thread of its own.

        Raises :class:`IntegrityError` when it does not have the diff id that the config promises.
        """
        return self._begun.take(layer.name, partial(self._tar_chunks, layer))

    def close(self) -> None:
        """Stop what was begun and not asked for."""
        self._begun.close()
        if self._listed is not None:
            self._listed.close()

    def _tar_chunks(self, layer: Layer) -> Iterator[bytes]:
        from gazami.layer.compression import decompressed

        def wrong(what: str) -> IntegrityError:
            return IntegrityError(f"layer {layer.descriptor.digest} does not unpack to its diff id {layer.diff_id}: {what}")

        blob = self.blob_chunks(layer)
        try:
            yield from verified(self.cancel.checked(decompressed(blob)), layer.diff_id, None, wrong)
        except ArchiveError:
            for _ in blob:  # if these are not the bytes that the digest names, that is what is wrong
                self.cancel.check()
            raise
        self._checked.add(layer.name)

    # -- one pass -------------------------------------------------------------------------------------------------

    def ingest(self, layer: Layer, tree: Tree | None, unpacker: SandboxUnpacker | None, members: Members | None = None) -> None:
        """Read a layer once: into the tree, into a directory, or both. ``members`` gets its list."""
        self.register(layer)
        short = hex_of(layer.descriptor.digest)[:12]
        what = f"unpacking layer {short}" if unpacker else f"reading the files of layer {short}"
        with (
            phase(self.emit, f"ingest-{layer.diff_id}", what) as progress,
            self._of_layer(layer),
            contextlib.closing(observed(self.tar_chunks(layer), progress)) as chunks,
        ):
            if unpacker is not None:
                with unpacker.feeding() as write:
                    _consume(layer, teed(chunks, write), tree, members)
            else:
                _consume(layer, chunks, tree, members)

    @contextlib.contextmanager
    def _of_layer(self, layer: Layer) -> Iterator[None]:
        """Says which layer it is whose archive is wrong, or that a file here is not what its digest names."""
        try:
            yield
        except ArchiveError as error:
            if self.blobs.at_hand(layer) is not None:
                for _ in self.blob_chunks(layer):
                    self.cancel.check()
            error.message = f"layer {layer.descriptor.digest}: {error.message}"
            raise

    # -- contents -------------------------------------------------------------------------------------------------

    def locate(self, contents: Iterable[tuple[Content | None, int]]) -> dict[LayerContent, FileContent]:
        """Where the bytes of layer contents lie on this machine; what lies nowhere is fetched into the spool. ``contents`` are
        with their sizes."""
        found: dict[LayerContent, FileContent] = {}
        real: set[str] = set()
        wanted: dict[str, dict[str, LayerContent]] = {}
        for content, size in contents:
            if not isinstance(content, LayerContent) or content in found:
                continue
            directory = self.directories.get(content.layer)
            identity = _unpacked_as(directory, content.path, size, real) if directory is not None else None
            if directory is not None and identity is not None:
                found[content] = FileContent(content.path, beneath=directory, identity=identity)
            else:
                wanted.setdefault(content.layer, {})[content.path] = content
        for name, paths in wanted.items():
            self._spool(self.layers[name], paths, found)
        return found

    def _spool(self, layer: Layer, paths: dict[str, LayerContent], found: dict[LayerContent, FileContent]) -> None:
        from gazami.layer.tar_reader import TarReader

        reader = TarReader(self.tar_chunks(layer))
        spool = self.workspace.spool()
        for entry in reader:
            content = paths.get(entry.path)
            if content is not None and entry.kind is Kind.FILE:
                found[content] = spool.add(reader.content())


def _consume(layer: Layer, chunks: Iterator[bytes], tree: Tree | None, members: Members | None) -> None:
    if tree is None:
        for _ in chunks:
            pass
        return
    learn_layer(layer.name, chunks, tree, members)


def learn_layer(name: str, chunks: Iterator[bytes], tree: Tree, members: Members | None = None) -> None:
    """Apply a tar stream to a tree, and list its members where that is wanted. Account files keep their bytes, so that owners can
    be looked up without a fetch."""
    from gazami.layer.tar_reader import TarReader

    reader = TarReader(chunks)
    found = ((entry, b"".join(reader.content()) if keeps_bytes(entry) else None) for entry in reader)
    apply_members(name, found, tree, members)


def apply_members(
    name: str,
    found: Iterable[tuple[Entry, bytes | None]],
    tree: Tree,
    members: Members | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Apply a layer's members to a tree, and list them where that is wanted. ``progress`` is told how many there were."""
    applier = LayerApplier(tree, lambda path: LayerContent(name, path))
    for count, (entry, data) in enumerate(found, 1):
        applier.add(entry, BytesContent(data) if data is not None else None)
        if members is not None and len(members) <= MAX_MEMBERS:
            members.append((entry, data))
        if progress is not None and not count % 1024:
            progress(count)


def keeps_bytes(entry: Entry) -> bool:
    """Whether a tree holds the file's bytes: account files of a reasonable size."""
    return entry.path in ACCOUNT_FILES and entry.kind is Kind.FILE and entry.size <= MAX_ACCOUNTS


def teed(chunks: Iterator[bytes], write: Callable[[bytes], None]) -> Iterator[bytes]:
    for chunk in chunks:
        write(chunk)
        yield chunk


def observed(chunks: Iterator[bytes], progress: Callable[[int], None]) -> Generator[bytes]:
    done = 0
    for chunk in chunks:
        done += len(chunk)
        progress(done)
        yield chunk


@contextlib.contextmanager
def phase(
    emit: Emit, key: str, what: str, unit: Literal["files", "bytes"] = "bytes", step: StepId | None = None
) -> Iterator[Callable[[int], None]]:
    """Events around a long piece of work (of a ``step``), also where it fails; the yielded function reports bytes or files, at most
    five times a second."""
    started = last = time.monotonic()
    emit(PhaseStarted(key, what, None, unit, step))

    def progress(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.2:
            last = now
            emit(PhaseProgress(key, done))

    try:
        yield progress
    except BaseException:
        emit(PhaseFinished(key, time.monotonic() - started, failed=True))
        raise
    emit(PhaseFinished(key, time.monotonic() - started))


def _unpacked_as(directory: str, path: str, size: int, real: set[str]) -> tuple[int, int] | None:
    """Device and inode of a member that was unpacked at its own path: a file of its size, all of whose parents are real
    directories. None when it was not.

    A layer's symlink on the way would lead out of ``directory``, to a file of this machine; such a member was unpacked elsewhere,
    and its bytes are taken from the blob. ``real`` collects directories that were looked at.
    """
    place = directory
    *parents, name = path.split("/")
    try:
        for parent in parents:
            place = f"{place}/{parent}"
            if place not in real:
                if not stat.S_ISDIR(os.lstat(place).st_mode):
                    return None
                real.add(place)
        info = os.lstat(f"{place}/{name}")
    except OSError:
        return None
    return (info.st_dev, info.st_ino) if stat.S_ISREG(info.st_mode) and info.st_size == size else None


def open_layer(files: LayerFiles, layer: Layer) -> Callable[[], BinaryIO]:
    """A function that opens a layer's local blob, for an upload that may have to start over."""

    def open_blob() -> BinaryIO:
        return io.BufferedReader(open_file(files.local_blob(layer)))

    return open_blob
