"""What a build works with: one value that is made at its start and handed down."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Hashable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gazami.builder.files.kept_trees import Indexes
from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.files.memory import estimate, fits
from gazami.builder.files.own_places import own_places
from gazami.builder.files.space import check_room
from gazami.builder.files.streams import Unpacker
from gazami.builder.files.workspace import Workspace
from gazami.builder.request import BuildRequest
from gazami.builder.stages.hidden import exposed
from gazami.cancel import Cancel
from gazami.context.ignore import Ignore
from gazami.events import Emit, Message, SandboxChosen
from gazami.image.digest import Digest
from gazami.image.manifest import Descriptor
from gazami.layer.pack import Packing
from gazami.plan.steps import ImageBase
from gazami.registry.client import RegistryClient
from gazami.registry.flights import Flights
from gazami.registry.resolved import Resolved
from gazami.rootfs.folder import Filter, FolderTree
from gazami.rootfs.tree import Tree
from gazami.values import dataclass, field

if TYPE_CHECKING:
    from gazami.context.download import Downloaded
    from gazami.context.git_url import GitSource
    from gazami.sandbox.client import Sandbox

_PRELOAD = ("gazami.rootfs.unpack", "gazami.rootfs.snapshot", "gazami.rootfs.directories")
"""Modules whose functions run in the sandbox's namespace."""


class MountStore(Protocol):
    def use(self, identity: str, path: str) -> None: ...
    def restore(self, identity: str, path: str) -> None: ...
    def save(self) -> None: ...


@dataclass(slots=True)
class Locks:
    """Locks by name, for work that several stages may ask for at the same time and one should do."""

    _all: dict[tuple[Hashable, ...], threading.RLock] = field(default_factory=dict)
    _own: threading.Lock = field(default_factory=threading.Lock)

    def of(self, *name: Hashable) -> threading.RLock:
        with self._own:
            return self._all.setdefault(name, threading.RLock())


@dataclass(slots=True)
class Tools:
    """``images`` are the resolved bases. ``context`` is the folder of the main context with what hides in it.

    ``packing`` says how layers are written; ``now`` gives the time of history entries.
    """

    request: BuildRequest
    workspace: Workspace
    registry: RegistryClient
    layers: LayerFiles
    emit: Emit
    cancel: Cancel
    packing: Packing
    images: dict[ImageBase, Resolved]
    indexes: Indexes
    context: FolderTree
    context_folder: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    epoch: datetime | None = None
    newest: int | None = None
    """The latest time, in seconds, that a file of a new layer may have."""
    named_contexts: dict[str, Tree] = field(default_factory=dict)
    chains: dict[tuple[Digest, ...], str] = field(default_factory=dict)
    """Directories of unpacked layers, by the diff ids of the layer and all below it."""
    base_trees: dict[tuple[Digest, ...], Tree] = field(default_factory=dict)
    """Indexes of whole images, by the diff ids of their layers; :attr:`shared_bases` says which are worth keeping."""
    shared_bases: frozenset[tuple[Digest, ...]] = frozenset()
    downloads: Flights[tuple[str, str], Downloaded] = field(default_factory=Flights)
    """Files that ADD fetched, by URL and checksum."""
    repositories: Flights[GitSource, Path] = field(default_factory=Flights)
    cache_mounts: MountStore | None = None
    """Where cache mounts come from and go to besides this machine."""
    locks: Locks = field(default_factory=Locks)
    to_unpack: tuple[Descriptor, ...] = ()
    """Layers of bases that commands of this build run in."""
    _sandbox: Sandbox | None = field(default=None)

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox of RUN steps, chosen and started when the first step needs it."""
        with self.locks.of("sandbox"):
            if self._sandbox is None:
                self._sandbox = self._start_sandbox()
            return self._sandbox

    def _start_sandbox(self) -> Sandbox:
        from gazami.sandbox.client import Sandbox
        from gazami.sandbox.select import Conditions, choose

        wishes = self.request.sandbox
        if wishes.memory and fits(estimate(each for image in self.images.values() for each in image.manifest.layers)):
            self.workspace.use_memory()
        files = Path(self.workspace.files)
        local = (self.context_folder, self.request.cache.directory)
        state = str(self.workspace.state)
        conditions = Conditions(wishes.in_container, wishes.force, local, own_places(self.request, state), state)
        choice = choose(wishes.isolation, files, conditions=conditions)
        self.emit(SandboxChosen(choice.mode, choice.reason))
        if not choice.overlay:
            self.emit(Message("info", "roots are plain directories: snapshots scan them after each RUN"))
        if not choice.mounts:
            self.workspace.use_place(choice.place or str(self.workspace.root))
        check_room(self.to_unpack, Path(self.workspace.new_path("room")).parent)
        hide = self._credentials_to_hide() if choice.mode == "inplace" else ()
        self.workspace.remover = self._remove
        return Sandbox.start(choice, files, self.cancel, preload=_PRELOAD, hide=hide)

    def _credentials_to_hide(self) -> tuple[str, ...]:
        """The files with credentials that can be taken out of a step's sight; tells about those that cannot."""
        from gazami.sandbox.select import mount_points

        credentials = self.request.credentials
        given = [value for _, kind, value in self.request.sandbox.secrets if kind == "file"]
        files = exposed(credentials.docker_config_files, (*credentials.secret_files, *given), mount_points())
        if files.others:
            self.emit(
                Message(
                    "warning",
                    f"in this isolation a RUN step of root can read {', '.join(files.others)}; a pod with"
                    " seccompProfile Unconfined keeps it out, and so does --isolation=chroot, where RUN has no /proc",
                )
            )
        return files.ordinary

    @contextlib.contextmanager
    def alone_if_in_place(self) -> Iterator[None]:
        """Hold what only one thread may use at a time: the container's root, when commands get it. Files outside of the
        builder's own folders are to be read with this held, since they are out of the way while a command runs."""
        with self.locks.of("ground") if self.sandbox.choice.mode == "inplace" else contextlib.nullcontext():
            yield

    @property
    def context_is_as_seen(self) -> bool:
        """Whether the context's folder itself looks as a copy of it would: nothing is hidden, and root owns it."""
        return not self.context.hides and os.stat(self.context_folder).st_uid == 0

    @property
    def unpacked_is_readable(self) -> bool:
        """Whether this process may read all unpacked files itself: not those of a user namespace's other ids."""
        return self._sandbox is not None and not self._sandbox.choice.mode.startswith("userns")

    def unpacker(self, directory: str) -> Unpacker:
        """Unpacks a layer of its own into a directory that exists."""
        devices = self.sandbox.choice.guards_devices
        arguments = {"directory": directory, "overlay": False, "userxattr": False, "devices": devices}
        return Unpacker(self.sandbox, arguments)

    def close(self) -> None:
        self.layers.close()
        if self._sandbox is not None:
            try:
                self._remove(self.workspace.all_files)
            finally:  # also when a command has killed the sandbox's server
                self.workspace.remover = None
                self._sandbox.close()
                self._sandbox = None

    def timestamp(self, when: datetime) -> str:
        """RFC 3339, as Docker writes history times; always the same with SOURCE_DATE_EPOCH."""
        if self.epoch is not None:
            return self.epoch.strftime("%Y-%m-%dT%H:%M:%SZ")
        return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _remove(self, paths: list[str]) -> None:
        if self._sandbox is not None:
            self._sandbox.call("gazami.rootfs.directories:remove", {"paths": paths}, cleanup=True)


def hide(ignore: Ignore, omitted: tuple[str, ...] = ()) -> Filter:
    """The filter of a context folder: what .dockerignore excludes, and ``omitted`` literal paths that are the build's own."""

    def check(path: str, state: tuple[bool, ...] | None) -> tuple[bool, tuple[bool, ...]]:
        excluded, results = ignore.check(path, state)
        return excluded or any(path == each or path.startswith(each + "/") for each in omitted), results

    if not ignore.patterns and not omitted:
        return Filter()
    return Filter(check, ignore.may_include_below if ignore.has_exceptions else lambda _: False)
