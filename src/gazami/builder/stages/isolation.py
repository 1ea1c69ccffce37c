"""The sandbox of a build's commands: chosen and started when the first command needs it, closed with the build."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import phase
from gazami.errors import HostError
from gazami.events import Emit, Message, SandboxChosen
from gazami.rootfs.directories import MakeDirectories, RemoveTrees
from gazami.rootfs.requests import UnpackReport, UnpackRequest
from gazami.values import fast_dataclass, field
from gazami.worker import Worker

if TYPE_CHECKING:
    from gazami.builder.files.streams import SandboxUnpacker
    from gazami.builder.files.workspace import Workspace
    from gazami.builder.request import SandboxOptions
    from gazami.cancel import Cancel
    from gazami.image.manifest import Descriptor
    from gazami.sandbox.client import Sandbox
    from gazami.sandbox.server_process import Standby


@fast_dataclass(frozen=True, slots=True)
class IsolationInputs:
    """What a sandbox is chosen by, besides what was asked for. ``images`` are the layers of all images of the build,
    ``to_unpack`` those of the bases that commands run in. ``local`` are absolute paths that the builder reads, ``own`` those
    that it writes. ``credentials`` are files that the builder has read and commands must not, ``unread`` such that it may
    still read."""

    images: tuple[Descriptor, ...] = ()
    to_unpack: tuple[Descriptor, ...] = ()
    local: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


@fast_dataclass(slots=True)
class Isolation:
    """A context manager: leaving it removes what the sandbox's namespace owns. ``build`` is the whole build's switch, ``cancel``
    the one of an attempt. ``standby`` has the server's process, if it was begun when the Dockerfile was read."""

    options: SandboxOptions
    surroundings: IsolationInputs
    workspace: Workspace
    emit: Emit
    cancel: Cancel
    build: Cancel
    standby: Standby | None = None
    _sandbox: Sandbox | None = None
    _clearing: Worker[None] | None = None
    _unpacked: list[UnpackReport] = field(default_factory=list)
    _starting: threading.Lock = field(default_factory=threading.Lock)
    _root: threading.RLock = field(default_factory=threading.RLock)

    @property
    def sandbox(self) -> Sandbox:
        """The running sandbox. Raises :class:`SandboxError` where none works, :class:`SpaceError` where bases do not fit."""
        with self._starting:
            if self._sandbox is None:
                self._sandbox = self._start()
            return self._sandbox

    @property
    def files_are_readable(self) -> bool:
        """Whether this process may read all unpacked files itself: not those of a user namespace's other ids."""
        return not self.sandbox.choice.mode.user_namespace

    @contextlib.contextmanager
    def alone_if_in_place(self) -> Iterator[None]:
        """Hold what one thread at a time may use: the container's root, when commands get it. Files outside of the builder's
        own folders are read with this held, since they are out of the way while a command runs."""
        with self._root if self.sandbox.choice.mode.shares_root else contextlib.nullcontext():
            yield

    def new_directory(self, what: str) -> str:
        """A new directory for files of a stage, made by the namespace's root."""
        return self.new_directories(what)[0]

    def new_directories(self, *whats: str) -> tuple[str, ...]:
        """Several, by one request."""
        paths = tuple(self.workspace.new_path(what) for what in whats)
        self.sandbox.call(MakeDirectories(paths))
        return paths

    def remove(self, *paths: str, cleanup: bool = False) -> None:
        self.sandbox.call(RemoveTrees(paths), cleanup=cleanup)

    def unpacker(self, directory: str) -> SandboxUnpacker:
        """Unpacks a layer of its own into a directory that exists."""
        from gazami.builder.files.streams import SandboxUnpacker

        return SandboxUnpacker(self.sandbox, UnpackRequest(directory, devices=self.sandbox.choice.guards_devices))

    def layer_unpacker(self, directory: str, lowers: Iterable[str]) -> SandboxUnpacker:
        """Unpacks a layer of a stage, whose layers below are ``lowers``, topmost first."""
        from gazami.builder.files.streams import SandboxUnpacker

        choice = self.sandbox.choice
        request = UnpackRequest(
            directory,
            tuple(lowers),
            overlay=choice.overlay,
            userxattr=choice.userxattr,
            records_owners=choice.mode.records_owners,
            devices=choice.guards_devices,
        )
        return SandboxUnpacker(self.sandbox, request, self._unpacked.append)

    def __enter__(self) -> Isolation:
        return self

    def begin_clearing(self) -> None:
        """Begin to remove the unpacked files, which nothing reads any more, beside the last uploads."""
        if self._sandbox is not None:
            with contextlib.suppress(HostError):  # no thread to be had: they are removed at the end
                self._clearing = Worker("clear", self._clear)

    def _clear(self) -> None:
        with self.build.on_set(self.build.cleaning):  # what is removed may be large
            self.remove(*self.workspace.all_files, cleanup=True)

    def _end_clearing(self) -> None:
        """A disk that is busy may take minutes for many files, which the log is to say."""
        clearing = self._clearing
        if clearing is not None and not clearing.is_running:
            clearing.result()
            return
        with phase(self.emit, "clear", "removing the files of the build"):
            if clearing is not None:
                clearing.result()
            else:
                self._clear()

    def __exit__(self, *_: object) -> None:
        if self._sandbox is not None:
            try:
                if warning := losses(self._unpacked, self._sandbox.choice.name):
                    self.emit(Message("warning", warning))
                self._end_clearing()
            finally:  # also when a command has killed the sandbox's server
                self._sandbox.close()
                self._sandbox = None

    def _start(self) -> Sandbox:
        from gazami.builder.files.memory import estimate, fits
        from gazami.builder.files.space import check_room
        from gazami.builder.inputs.standby import PRELOAD
        from gazami.sandbox.client import Sandbox
        from gazami.sandbox.select import Conditions, choose
        from gazami.sandbox.server_process import Standby

        options, around = self.options, self.surroundings
        if options.memory and fits(estimate(around.images)):
            self.workspace.use_memory()
        files = Path(self.workspace.files)
        state = str(self.workspace.state)
        own = (*around.own, *_streams())
        conditions = Conditions(options.in_container, options.force, around.local, own, state)
        server = (self.standby or Standby(PRELOAD)).take()
        try:
            choice = choose(options.isolation, files, conditions=conditions, server=server)
            self.emit(SandboxChosen(choice.name, choice.reason))
            if not choice.overlay:
                self.emit(Message("info", "no overlay mounts here: each RUN is followed by a scan of its root directory"))
            if not choice.mode.mounts:
                self.workspace.use_place(choice.folder or str(self.workspace.root))
            check_room(around.to_unpack, Path(self.workspace.new_path("room")).parent)
            hide = self._credentials_to_hide() if choice.mode.shares_root else ()
        except BaseException:
            server.close()
            raise
        return Sandbox.start(choice, self.cancel, preload=PRELOAD, hide=hide, server=server)

    def _credentials_to_hide(self) -> tuple[str, ...]:
        """The files with credentials that can be taken out of a command's sight; warns of those that cannot."""
        from gazami.builder.stages.hidden import exposed
        from gazami.sandbox.kernel.mountinfo import mount_points

        files = exposed(self.surroundings.credentials, self.surroundings.unread, mount_points())
        if files.others:
            self.emit(
                Message(
                    "warning",
                    f"a RUN step of root can read {', '.join(files.others)}; a pod with"
                    " seccompProfile Unconfined prevents that, and so does --isolation=chroot, where RUN has no /proc",
                )
            )
        return files.ordinary


def losses(reports: Iterable[UnpackReport], mode: str) -> str:
    """The warning of what unpacked files should have and cannot; empty when nothing is lost."""
    found = list(reports)
    owners, attributes = sum(each.owners for each in found), sum(each.attributes for each in found)
    if not (owners or attributes):
        return ""
    return (
        f"{mode} mode cannot set {owners} owners and {attributes} extended attributes of unpacked files:"
        " RUN sees different ones, and so has the layer of a file that RUN changes"
    )


def _streams() -> Iterator[str]:
    """The files that this process was given as its standard streams: a job's log, which grows and is touched while commands run."""
    for number in range(3):
        with contextlib.suppress(OSError):
            if stat.S_ISREG(os.fstat(number).st_mode):
                yield os.readlink(f"/proc/self/fd/{number}")
