"""One stage as it is built: its image so far, its index, and its root once a RUN needs one.

The index and the unpacked root are made when they are first needed; a stage whose steps copy *and* run gets both from the
same pass over each layer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from gazami.builder.files.layer_files import index_layer, observed, phase, teed
from gazami.builder.files.streams import Unpacker, produced
from gazami.builder.tools import Tools
from gazami.errors import ArchiveError, ContextError, DockerfileError, SpaceError
from gazami.image.config import History, ImageConfig
from gazami.image.digest import Digest
from gazami.image.model import Image, Layer
from gazami.image.reference import Reference
from gazami.layer.beneath import open_content
from gazami.layer.entry import BytesContent, Kind, LayerContent
from gazami.layer.pack import layer_writer
from gazami.plan.created_by import COMMENT
from gazami.plan.steps import StagePlan
from gazami.registry.stream import GrowingUpload
from gazami.rootfs.directories import MakeDirectories
from gazami.rootfs.hearsay import HearsayTree
from gazami.rootfs.index import Members
from gazami.rootfs.owners import MAX_ACCOUNTS, Accounts, parse_accounts
from gazami.rootfs.requests import Owners, ScanRequest, UnpackRequest, UpperRequest
from gazami.rootfs.tree import Tree
from gazami.values import dataclass, field, replace

if TYPE_CHECKING:
    from gazami.sandbox.spec import Root, RunResult

Made = TypeVar("Made")

PARALLEL = 3
"""Layers that are fetched and decompressed at the same time."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a step made: no layer, or one with so many entries (None where they were not counted) whose files lie in the
    directory ``upper`` already (empty when they lie nowhere). ``members`` is its index, where a cache keeps those."""

    layer: Layer | None = None
    files: int | None = None
    upper: str = ""
    members: Members | None = None
    growing: GrowingUpload | None = None
    """The upload of the layer that began while it was written."""


@dataclass(slots=True)
class Unpacked:
    """``overlay``: the directory of each layer so far, lowest first. Otherwise ``plain`` is the one root directory."""

    overlay: list[str] = field(default_factory=list)
    plain: str = ""
    index: str = ""
    layers: int = 0


@dataclass(slots=True)
class StageState:
    """``indexed`` counts the image's layers that the tree knows. ``wants_tree`` and ``wants_root``: this step or a later
    one will ask for the index, for the unpacked root."""

    plan: StagePlan
    image: Image
    tools: Tools
    tree: Tree = field(default_factory=Tree)
    indexed: int = 0
    confirmed: bool = True
    """The tree was read from layers, here or in an earlier build on this machine; a cache's word is not in it."""
    wants_tree: bool = False
    wants_root: bool = False
    unpacked: Unpacked | None = None
    made: datetime | None = None
    """When the last layer was made."""
    destination: Reference | None = None
    """Where new layers are pushed to first, if they are."""
    base: tuple[Digest, ...] = ()
    """The layers of the image that the stage is built from, if it is one in a registry or a layout."""

    # -- the index ------------------------------------------------------------------------------------------------

    def index(self) -> Tree:
        """The index of all layers so far. When a RUN will need the root anyway, both come from one pass over each layer."""
        with self._lock():
            return self._index()

    def onto(self, work: Callable[[Tree], Made]) -> tuple[Tree, Made]:
        """Do work that copies onto the files so far, on their index. To save reading layers, the index may be one that a cache
        has, as far as that can do no harm (``rootfs.hearsay``); ``work`` is done again where it could."""
        with self._lock():
            try:
                tree = self._destination()
                if self.confirmed:
                    return tree, work(tree)
                doubts = tree.doubts if isinstance(tree, HearsayTree) else []
                doubts.clear()
                made = work(tree)
                if not doubts:
                    return tree, made
            except (ArchiveError, ContextError, DockerfileError):
                if self.confirmed:
                    raise
            tree = self._index()
        return tree, work(tree)

    def _lock(self) -> threading.RLock:
        return self.tools.locks.of("index", self.base if self.base in self.tools.shared_bases else id(self))

    def _destination(self) -> Tree:
        if self.wants_root:
            return self._index()
        if self.confirmed:
            self._load_base()
        if not self.indexed and self.base and (heard := self.tools.indexes.heard(self.base)) is not None:
            self.tree, self.indexed, self.confirmed = heard, len(self.base), False
        missing = self.image.layers[self.indexed :]
        for number, layer in enumerate(missing, self.indexed):
            if number >= len(self.base) and not self.tools.indexes.has(layer.diff_id):
                self.confirmed = self.confirmed and layer.diff_id not in self.tools.indexes.members
                if self.tools.indexes.apply_heard(layer.diff_id, self.tree):
                    self.indexed += 1
                    continue
            self._learn(layer, missing[number - len(self.image.layers) :])
        return self.tree

    def _index(self) -> Tree:
        if not self.confirmed:
            self.tree, self.indexed, self.confirmed = Tree(), 0, True
        self._load_base()
        if self.wants_root and self.indexed < len(self.image.layers):
            self.wants_tree = True
            self._unpack_missing(self._unpacked())
        missing = self.image.layers[self.indexed :]
        for number, layer in enumerate(missing):
            self._learn(layer, missing[number:])
        return self.tree

    def _learn(self, layer: Layer, ahead: tuple[Layer, ...]) -> None:
        """Apply the next layer to the tree: from our own index of it, else from its bytes."""
        indexes = self.tools.indexes
        if not indexes.apply(layer.diff_id, self.tree):
            self.tools.layers.prefetch(each for each in ahead[:PARALLEL] if each.diff_id not in indexes.members)
            members: Members | None = [] if self.indexed >= len(self.base) and indexes.remote is not None else None
            self.tools.layers.ingest(layer, self.tree, None, members)
            if members is not None:
                indexes.save_layer(layer.diff_id, members)
        self._indexed_one()

    def _load_base(self) -> None:
        """Take the index of the base, if another stage or an earlier build made it."""
        if not self.base or self.indexed or not self.confirmed:
            return
        known = self.tools.base_trees.get(self.base)
        kept = known.copy() if known is not None else self.tools.indexes.load(self.base)
        if kept is None:
            return
        self.tree, self.indexed = kept, len(self.base)
        if known is None and self.base in self.tools.shared_bases:
            self.tools.base_trees[self.base] = kept.copy()

    def _indexed_one(self) -> None:
        """Count a layer that the tree learnt of; the index of a whole base is kept, for other stages and later builds."""
        self.indexed += 1
        if not self.confirmed:
            return
        if self.indexed == len(self.base):
            self.tools.indexes.save(self.base, self.tree)
        chain = self.image.config.diff_ids[: self.indexed]
        if chain in self.tools.shared_bases:
            self.tools.base_trees[chain] = self.tree.copy()

    def accounts(self) -> Accounts:
        """Users and groups of the stage's files as they are now; none when there are no such files."""
        return parse_accounts(self._small("etc/passwd"), self._small("etc/group"))

    def _small(self, path: str) -> bytes:
        node = self.index().resolve(path).node
        if node is None or node.kind is not Kind.FILE or node.size > MAX_ACCOUNTS or node.content is None:
            return b""
        content = node.content
        if isinstance(content, BytesContent):
            return content.data
        if isinstance(content, LayerContent):
            content = self.tools.layers.locate([(content, node.size)], readable=False)[content]
        with open_content(content) as source:
            return bytes(source.read(node.size))

    # -- the root -------------------------------------------------------------------------------------------------

    def root(self) -> tuple[Root, str]:
        """A root with every layer so far, and the directory in which the next step's changes will appear."""
        from gazami.sandbox.spec import OverlayRoot, PlainRoot

        state = self._unpacked()
        self._unpack_missing(state)
        if state.plain:
            return PlainRoot(state.plain), state.plain
        upper, work = self._new_directory("upper"), self._new_directory("work")
        return OverlayRoot(tuple(reversed(state.overlay)), upper, work), upper

    def _unpacked(self) -> Unpacked:
        if self.unpacked is None:
            self.unpacked = Unpacked()
            if not self.tools.sandbox.choice.overlay:
                self.unpacked.plain = self._new_directory("root")
                self.unpacked.index = self.tools.workspace.new_path("index")
        return self.unpacked

    def _unpack_missing(self, state: Unpacked) -> None:
        changed = False
        if self.wants_tree:
            self._load_base()
        for number in range(state.layers, len(self.image.layers)):
            chain = self.image.config.diff_ids[: number + 1]
            with self.tools.locks.of("unpack", chain if not state.plain else id(self)):
                known = self.tools.chains.get(chain) if not state.plain else None
                if known is None:
                    known = self._unpack(number, state)
                    changed = True
                self._remember(state, chain, known)
        if state.plain and (changed or not Path(state.index).exists()):
            self._scan_index(state)

    def _unpack(self, number: int, state: Unpacked) -> str:
        """Unpack one layer, and index it on the way if that is wanted; its directory."""
        directory = state.plain or self._new_directory("layer")
        tree = self.tree if self.wants_tree and self.indexed == number else None
        self.tools.layers.prefetch(self._to_unpack(state, number))
        try:
            self.tools.layers.ingest(self.image.layers[number], tree, self._unpacker(directory, state))
        except SpaceError:
            if state.plain or tree is not None or not self.tools.workspace.leave_memory():
                raise
            return self._unpack(number, state)
        if tree is not None:
            self._indexed_one()
        return directory

    def _to_unpack(self, state: Unpacked, number: int) -> list[Layer]:
        """A layer that is to be unpacked now and the ones that are next, up to one that is unpacked already."""
        layers: list[Layer] = []
        for position in range(number, min(number + PARALLEL, len(self.image.layers))):
            if not state.plain and self.image.config.diff_ids[: position + 1] in self.tools.chains:
                break
            layers.append(self.image.layers[position])
        return layers

    def _remember(self, state: Unpacked, chain: tuple[Digest, ...], directory: str) -> None:
        state.layers = len(chain)
        if not state.plain:
            state.overlay.append(directory)
            self.tools.chains[chain] = directory
            self.tools.layers.directories.setdefault(chain[-1], directory)

    def _unpacker(self, directory: str, state: Unpacked) -> Unpacker:
        choice = self.tools.sandbox.choice
        request = UnpackRequest(
            directory,
            tuple(reversed(state.overlay)),
            overlay=choice.overlay,
            userxattr=choice.userxattr,
            records_owners=choice.isolation.records_owners,
            devices=choice.guards_devices,
        )
        return Unpacker(self.tools.sandbox, request, self.tools.unpacked.append)

    def _new_directory(self, what: str) -> str:
        path = self.tools.workspace.new_path(what)
        self.tools.sandbox.call(MakeDirectories((path,)))
        return path

    def _scan_index(self, state: Unpacked) -> None:
        self.tools.sandbox.call(self._scan_request(state))

    def _scan_request(self, state: Unpacked) -> ScanRequest:
        return ScanRequest(state.plain, state.index, self.tools.request.snapshot.mode, ignore=self._ignored())

    def _ignored(self) -> tuple[str, ...]:
        return tuple(path.strip("/") for path in self.tools.request.context.ignore_paths)

    # -- layers ---------------------------------------------------------------------------------------------------

    def snapshot(self, changed: str, result: RunResult) -> Done:
        """The layer of what the last RUN changed below ``changed``."""
        state = self.unpacked
        assert state is not None
        owners = None
        if self.tools.sandbox.choice.isolation.records_owners:
            owners = Owners(result.owner, result.owners, tuple(reversed(state.overlay)))
        request: ScanRequest | UpperRequest
        if state.plain:
            request = replace(self._scan_request(state), touched=result.touched)
        else:
            request = UpperRequest(changed, ignore=self._ignored())
        request = replace(request, omit=result.created, newest=self.tools.newest, owners=owners)
        what = "taking a snapshot of the changed files"
        with (
            phase(self.tools.emit, f"snapshot-{changed}", what) as progress,
            produced(self.tools.sandbox, request) as chunks,
        ):
            indexing = self.wants_tree and self.indexed == len(self.image.layers)
            members: Members | None = [] if indexing and self.tools.indexes.remote is not None else None
            layer, growing = self._pack(observed(chunks, progress), members, indexing=indexing)
            return Done(layer, upper=changed, members=members, growing=growing)

    def _pack(
        self, chunks: Iterator[bytes], members: Members | None, *, indexing: bool
    ) -> tuple[Layer, GrowingUpload | None]:
        """Pack a tar stream; the index learns of it from the same bytes when later steps want it, and so does the registry
        when the layer is to be pushed."""
        tools = self.tools
        name = tools.workspace.new_name()
        growing = None
        with layer_writer(tools.workspace.blobs, tools.packing) as writer:
            try:
                if self.destination is not None:
                    growing = tools.registry.follow_blob(self.destination, writer.path)
                written = teed(chunks, writer.write)
                if indexing:
                    index_layer(name, written, self.tree, members)
                    self.indexed += 1
                else:
                    for _ in written:
                        pass
                layer = writer.finish()
            except BaseException:
                if growing is not None:
                    growing.abandon()
                raise
        tools.layers.layers[name] = layer
        return layer, growing

    def append(self, layer: Layer, created_by: str | None, *, upper: str = "", made: datetime | None = None) -> None:
        """Add a layer and its history entry to the image. ``upper`` is the directory that holds its files already;
        ``made`` is when the layer was made, if that was in an earlier build."""
        self.tools.layers.register(layer)
        self.made = made or self.tools.now()
        history = History(self.tools.timestamp(self.made), created_by or "", COMMENT)
        self.image = self.image.with_layer(layer, history)
        if upper and self.unpacked is not None:
            self._remember(self.unpacked, self.image.config.diff_ids, upper)

    def note(self, created_by: str | None) -> None:
        """Add the history entry of a step without a layer; there is none for a step that leaves no trace. It gets its time
        when the image is finished, from the layers around it."""
        if created_by is not None:
            self.image = self.image.with_history(History(None, created_by, COMMENT))

    def take_config(self, planned: ImageConfig) -> None:
        """Take a step's config over, keeping the layers and the history that the build made."""
        config = replace(planned, diff_ids=self.image.config.diff_ids, history=self.image.config.history)
        self.image = replace(self.image, config=config)
