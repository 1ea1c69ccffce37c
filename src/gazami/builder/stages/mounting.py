"""``RUN --mount``: where the mounted files come from on this machine (frontend reference, RUN --mount).

Files of the context, a stage or an image are laid out by the same code as COPY, in a directory of their own: they look as a
copy would, .dockerignore counts, and what the command writes there is gone with the directory. Cache directories live under
the state directory and outlive the build.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from pathlib import Path
from typing import Protocol

from gazami.builder.files.packer import Packer
from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.check import missing_agent, missing_secret
from gazami.builder.inputs.needs import secret_id
from gazami.builder.request import Pairs, Volume
from gazami.builder.stages.isolation import Isolation
from gazami.builder.stages.sources import Sources
from gazami.builder.stages.volumes import bound
from gazami.dockerfile.mounts import Mount
from gazami.errors import ContextError, UserError
from gazami.file_locks import locked
from gazami.layer.tar_writer import write_members
from gazami.plan.steps import ContextSource, FilesFrom, ImageSource, NamedSource, RunMount, RunStep, StageSource
from gazami.rootfs.copy import Attributes, Copier
from gazami.rootfs.directories import MakeDirectories, MoveDirectory
from gazami.rootfs.tree import Tree
from gazami.sandbox.spec import BindMount, FileMount, StepMount, TmpfsMount
from gazami.values import fast_dataclass

MAX_SECRET = 500 * 1024
"""Bytes of one secret, BuildKit's limit."""


@fast_dataclass(frozen=True, slots=True)
class StepMounts:
    """What a step gets: its mounts in order, and variables that belong to them (secrets, the agent's socket). ``locks``
    are held until the command has ended: those of cache directories that one step at a time may use. ``shared`` are held with
    others: no other build moves such a directory to where its command looks for it meanwhile. ``copies`` are of volumes, for this
    step alone."""

    mounts: tuple[StepMount, ...]
    env: tuple[tuple[str, str], ...] = ()
    locks: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()


class MountStore(Protocol):
    """Where cache mounts come from and go to besides this machine. Mounts are named by :meth:`Mounting.cache_identity`."""

    def use(self, identity: str, path: str) -> None: ...
    def restore(self, identity: str, path: str) -> None: ...


@fast_dataclass(frozen=True, slots=True)
class Mounting:
    """Prepares what ``--mount`` asks for. ``secrets`` are ``(id, "file" | "env", value)``, ``agents`` sockets by id, ``namespace``
    separates cache mounts of several users of one state directory (``BUILDKIT_CACHE_MOUNT_NS``)."""

    isolation: Isolation
    sources: Sources
    packer: Packer
    secrets: tuple[tuple[str, str, str], ...] = ()
    agents: Pairs = ()
    namespace: str = ""
    store: MountStore | None = None
    volumes: tuple[Volume, ...] = ()

    def prepare(self, step: RunStep) -> StepMounts:
        """The mounts of a step. Raises :class:`UserError` for a source, secret or agent that is missing."""
        volumes = [self._volume(volume) for volume in self.volumes]
        mounts: list[StepMount] = [*volumes]
        env: list[tuple[str, str]] = []
        locks: list[str] = []
        shared: list[str] = []
        for wanted in step.mounts:
            mount = wanted.mount
            match mount.type:
                case "tmpfs":
                    mounts.append(TmpfsMount(mount.target, mount.size))
                case "secret":
                    self._add_secret(mount, mounts, env)
                case "ssh":
                    self._add_agent(mount, mounts, env, step)
                case "cache":
                    bound = self._cache(wanted)
                    mounts.append(bound)
                    if mount.sharing != "private":
                        alone = mount.sharing == "locked" or not self.isolation.sandbox.choice.mode.mounts
                        (locks if alone else shared).append(f"{bound.source}.lock")
                case _:
                    mounts.append(self._bind(wanted))
        if step.script is not None:
            content = step.script.content.encode("utf-8", "surrogateescape")
            mounts.append(FileMount(self.script_path(step.script.name), content, 0o755))
        copies = tuple(each.source for each in volumes if each.movable)
        return StepMounts(tuple(mounts), tuple(env), tuple(locks), tuple(shared), copies)

    def script_path(self, name: str) -> str:
        """The path of a here-document that is a program. BuildKit's is below /dev, but a container's own /dev runs no programs."""
        shared = self.isolation.sandbox.choice.mode.shares_root
        return f"/.gazami/{posixpath.basename(name)}" if shared else name

    # -- files ----------------------------------------------------------------------------------------------------

    def _bind(self, wanted: RunMount) -> BindMount:
        mount, context = wanted.mount, self.sources.context
        assert wanted.files is not None
        readonly = mount.readonly is not False
        mountable = self.isolation.sandbox.choice.mode.mounts and context.is_as_copied
        if readonly and wanted.files == ContextSource() and mountable:
            place = context.resolve(mount.source)
            if place.node is None:
                raise ContextError(f'"/{mount.source.lstrip("/")}": not found')
            source = f"{context.folder}/{place.path}".rstrip("/")
            return BindMount(source, mount.target, True, beneath=context.folder)
        source = self._laid_out(wanted.files, mount.source, self._workspace.new_path("mount"))
        return BindMount(source, mount.target, readonly, movable=True)

    def _volume(self, volume: Volume) -> BindMount:
        mode = self.isolation.sandbox.choice.mode
        return bound(volume, mode.name, "" if mode.mounts else self._workspace.new_path("volume"))

    @property
    def _workspace(self) -> Workspace:
        return self.packer.files.workspace

    def _laid_out(self, files: FilesFrom, source: str, directory: str) -> str:
        """A directory (or file) that shows ``source`` of some files: ``mount`` in a new ``directory``."""
        tree = self.sources.tree_of(files)
        copier = Copier(Tree(), Attributes())
        place = tree.resolve(source)
        if place.node is None:
            raise ContextError(f'"/{source.lstrip("/")}": not found')
        copier.copy_node(tree, place.path or "mount", place.node, "/mount")
        self.isolation.sandbox.call(MakeDirectories((directory,)))
        with self.isolation.unpacker(directory).feeding() as write:
            for chunk in write_members(self.packer.placed(copier.changes, copier.tree)):
                write(chunk)
        return f"{directory}/mount"

    def _cache(self, wanted: RunMount) -> BindMount:
        """A directory that is kept for the next build, named by the mount's id; its first content comes from ``from``. With
        ``sharing=private`` it is the step's own, in the build's folder, and gone with that."""
        mount, cancel = wanted.mount, self.packer.files.cancel
        if mount.sharing == "private":
            path = self._filled(self._workspace.new_path("private"), wanted)
        else:
            identity = self.cache_identity(wanted)
            folder = self._workspace.state / "cache-mounts"
            path = str(folder / hashlib.sha256(identity.encode()).hexdigest()[:32])
            folder.mkdir(exist_ok=True, mode=0o755)
            # another step or another build may begin with it at this moment, or have moved it to where its command looks for it
            with locked((f"{path}.new",), cancel), locked((), cancel, shared=(f"{path}.lock",)):
                if not os.path.lexists(path):
                    self._begin(path, identity, wanted)
            if self.store is not None:
                self.store.use(identity, path)
        return BindMount(path, mount.target, mount.readonly is True, movable=True)

    def _begin(self, path: str, identity: str, wanted: RunMount) -> None:
        """Make a cache directory that has its first content when it gets its name: what a build that was killed has left of it,
        and what lacks a part, is never used."""
        part = f"{path}.part"
        self.isolation.remove(part)
        try:
            filled = self._filled(part, wanted)
            if self.store is not None:
                self.store.restore(identity, filled)
            self.isolation.sandbox.call(MoveDirectory(filled, path))
        finally:
            self.isolation.remove(part, cleanup=True)

    def _filled(self, place: str, wanted: RunMount) -> str:
        """A new directory with the mount's first content, owner and mode: ``place``, or one in it."""
        mount = wanted.mount
        path = place if wanted.files is None else self._laid_out(wanted.files, mount.source, place)
        mode = 0o755 if mount.mode is None else mount.mode
        self.isolation.sandbox.call(MakeDirectories((path,), mode, mount.uid or 0, mount.gid or 0))
        return path

    def cache_identity(self, wanted: RunMount) -> str:
        """The identity of a cache directory, as in BuildKit: the id, its namespace, and what the directory begins with: files,
        owner and mode."""
        mount = wanted.mount
        parts = [mount.id or mount.target]
        if wanted.files is not None:
            parts += [f"from={self._origin(wanted.files)}", f"source={mount.source}"]
        parts += [f"mode={mount.mode:04o}"] if mount.mode not in (None, 0o755) else []
        parts += [f"{name}={value}" for name, value in (("uid", mount.uid), ("gid", mount.gid)) if value]
        return (f"{self.namespace}/" if self.namespace else "") + "; ".join(parts)

    def _origin(self, files: FilesFrom) -> str:
        match files:
            case StageSource(number):
                return f"stage {number}"
            case ImageSource(image):
                return f"image {self.sources.images[image].digest}"
            case NamedSource(name):
                return f"context {name}"
            case _:
                return "context"

    # -- secrets and agents ---------------------------------------------------------------------------------------

    def _add_secret(self, mount: Mount, mounts: list[StepMount], env: list[tuple[str, str]]) -> None:
        identity = secret_id(mount)
        data = _secret(identity, self.secrets)
        if data is None:
            if mount.required:
                raise missing_secret(identity, (name for name, _, _ in self.secrets))
            return
        if mount.env:
            env.append((mount.env, data.decode("utf-8", "surrogateescape")))
        if mount.target or not mount.env:
            target = mount.target or f"/run/secrets/{posixpath.basename(identity)}"
            mode = 0o400 if mount.mode is None else mount.mode
            mounts.append(FileMount(target, data, mode, mount.uid or 0, mount.gid or 0))

    def _add_agent(self, mount: Mount, mounts: list[StepMount], env: list[tuple[str, str]], step: RunStep) -> None:
        sockets = dict(self.agents)
        identity = mount.id or "default"
        if identity not in sockets:
            if mount.required:
                raise missing_agent(identity)
            return
        number = sum(isinstance(each, BindMount) and "/ssh_agent." in each.target for each in mounts)
        target = mount.target or f"/run/buildkit/ssh_agent.{number}"
        mounts.append(BindMount(os.path.realpath(sockets[identity]), target, False))
        if not any(name == "SSH_AUTH_SOCK" for name, _ in (*step.env, *env)):
            env.append(("SSH_AUTH_SOCK", target))


def _secret(identity: str, secrets: tuple[tuple[str, str, str], ...]) -> bytes | None:
    for name, kind, value in secrets:
        if name != identity:
            continue
        if kind == "env":
            return value.encode("utf-8", "surrogateescape")
        try:
            data = Path(value).read_bytes()
        except OSError as cause:
            raise UserError(f"cannot read the secret {identity} from {value}: {cause.strerror}") from cause
        if len(data) > MAX_SECRET:
            raise UserError(f"the secret {identity} is larger than {MAX_SECRET} bytes")
        return data
    return None
