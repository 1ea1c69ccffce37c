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

from gazami.builder.inputs.check import missing_agent, missing_secret
from gazami.builder.inputs.needs import secret_id
from gazami.builder.stages.copying import TreeOf, placed_members
from gazami.builder.tools import Tools
from gazami.dockerfile.mounts import Mount
from gazami.errors import ContextError, UserError
from gazami.file_locks import locked
from gazami.layer.tar_writer import write_members
from gazami.plan.steps import ContextSource, FilesFrom, ImageSource, NamedSource, RunMount, RunStep, StageSource
from gazami.rootfs.copy import Attributes, Copier
from gazami.rootfs.directories import MakeDirectories, MoveDirectory, RemoveTrees
from gazami.rootfs.tree import Tree
from gazami.sandbox.spec import BindMount, FileMount, StepMount, TmpfsMount
from gazami.values import dataclass

MAX_SECRET = 500 * 1024
"""Bytes of one secret, BuildKit's limit."""


@dataclass(frozen=True, slots=True)
class StepMounts:
    """What a step gets: its mounts in order, and variables that belong to them (secrets, the agent's socket). ``locks``
    are held until the command has ended: those of cache directories that one step at a time may use. ``shared`` are held with
    others: no other build moves such a directory to where its command looks for it meanwhile."""

    mounts: tuple[StepMount, ...]
    env: tuple[tuple[str, str], ...] = ()
    locks: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def step_mounts(step: RunStep, tools: Tools, tree_of: TreeOf) -> StepMounts:
    """Prepare the mounts of a step. Raises :class:`UserError` for a source, secret or agent that is missing."""
    mounts: list[StepMount] = []
    env: list[tuple[str, str]] = []
    locks: list[str] = []
    shared: list[str] = []
    for wanted in step.mounts:
        mount = wanted.mount
        match mount.type:
            case "tmpfs":
                mounts.append(TmpfsMount(mount.target, mount.size))
            case "secret":
                _add_secret(mount, tools, mounts, env)
            case "ssh":
                _add_agent(mount, tools, mounts, env, step)
            case "cache":
                bound = _cache(wanted, tools, tree_of)
                mounts.append(bound)
                if mount.sharing != "private":
                    alone = mount.sharing == "locked" or not tools.sandbox.choice.isolation.mounts
                    (locks if alone else shared).append(f"{bound.source}.lock")
            case _:
                mounts.append(_bind(wanted, tools, tree_of))
    if step.script is not None:
        content = step.script.content.encode("utf-8", "surrogateescape")
        mounts.append(FileMount(script_path(step.script.name, tools), content, 0o755))
    return StepMounts(tuple(mounts), tuple(env), tuple(locks), tuple(shared))


def script_path(name: str, tools: Tools) -> str:
    """Where a here-document that is a program lies. A container's own /dev, which BuildKit's place is in, runs no programs."""
    return f"/.gazami/{posixpath.basename(name)}" if tools.sandbox.choice.isolation.shares_root else name


# -- files ------------------------------------------------------------------------------------------------------------


def _bind(wanted: RunMount, tools: Tools, tree_of: TreeOf) -> BindMount:
    mount = wanted.mount
    assert wanted.files is not None
    readonly = mount.readonly is not False
    mountable = tools.sandbox.choice.isolation.mounts and tools.context_is_as_seen
    if readonly and wanted.files == ContextSource() and mountable:
        place = tools.context.resolve(mount.source)
        if place.node is None:
            raise ContextError(f'"/{mount.source.lstrip("/")}": not found')
        source = f"{os.path.realpath(tools.context_folder)}/{place.path}".rstrip("/")
        return BindMount(source, mount.target, True, beneath=os.path.realpath(tools.context_folder))
    return BindMount(_laid_out(tree_of(wanted.files), mount.source, tools), mount.target, readonly, movable=True)


def _laid_out(tree: Tree, source: str, tools: Tools, directory: str = "") -> str:
    """A directory (or file) of this machine that shows ``source`` of a tree: ``mount`` in a new directory, by default in the
    build's own folder."""
    copier = Copier(Tree(), Attributes())
    place = tree.resolve(source)
    if place.node is None:
        raise ContextError(f'"/{source.lstrip("/")}": not found')
    copier.copy_node(tree, place.path or "mount", place.node, "/mount")
    directory = directory or tools.workspace.new_path("mount")
    tools.sandbox.call(MakeDirectories((directory,)))
    unpacker = tools.unpacker(directory)
    with unpacker.feeding() as write:
        for chunk in write_members(placed_members(copier.changes, copier.tree, tools)):
            write(chunk)
    return f"{directory}/mount"


def _cache(wanted: RunMount, tools: Tools, tree_of: TreeOf) -> BindMount:
    """A directory that is kept for the next build, named by the mount's id; its first content comes from ``from``. With
    ``sharing=private`` it is the step's own, in the build's folder, and gone with that."""
    mount = wanted.mount
    if mount.sharing == "private":
        path = _filled(tools.workspace.new_path("private"), wanted, tools, tree_of)
    else:
        identity = cache_identity(wanted, tools)
        folder = tools.workspace.state / "cache-mounts"
        path = str(folder / hashlib.sha256(identity.encode()).hexdigest()[:32])
        folder.mkdir(exist_ok=True, mode=0o755)
        # another step or another build may begin with it at this moment, or have moved it to where its command looks for it
        with locked((f"{path}.new",), tools.cancel), locked((), tools.cancel, shared=(f"{path}.lock",)):
            if not os.path.lexists(path):
                _begin(path, identity, wanted, tools, tree_of)
        if tools.cache_mounts is not None:
            tools.cache_mounts.use(identity, path)
    return BindMount(path, mount.target, mount.readonly is True, movable=True)


def _begin(path: str, identity: str, wanted: RunMount, tools: Tools, tree_of: TreeOf) -> None:
    """Make a cache directory that has its first content when it gets its name: what a build that was killed has left of it, and
    what lacks a part, is never used."""
    place = f"{path}.part"
    tools.sandbox.call(RemoveTrees((place,)))
    try:
        filled = _filled(place, wanted, tools, tree_of)
        if tools.cache_mounts is not None:
            tools.cache_mounts.restore(identity, filled)
        tools.sandbox.call(MoveDirectory(filled, path))
    finally:
        tools.sandbox.call(RemoveTrees((place,)), cleanup=True)


def _filled(place: str, wanted: RunMount, tools: Tools, tree_of: TreeOf) -> str:
    """A new directory with the mount's first content, owner and mode: ``place``, or one in it."""
    mount = wanted.mount
    path = place if wanted.files is None else _laid_out(tree_of(wanted.files), mount.source, tools, place)
    mode = 0o755 if mount.mode is None else mount.mode
    tools.sandbox.call(MakeDirectories((path,), mode, mount.uid or 0, mount.gid or 0))
    return path


def cache_identity(wanted: RunMount, tools: Tools) -> str:
    """What tells cache directories apart, as in BuildKit: the id, its namespace (``BUILDKIT_CACHE_MOUNT_NS``), and what the
    directory begins with: files, owner and mode."""
    mount = wanted.mount
    parts = [mount.id or mount.target]
    if wanted.files is not None:
        parts += [f"from={_origin(wanted.files, tools)}", f"source={mount.source}"]
    parts += [f"mode={mount.mode:04o}"] if mount.mode not in (None, 0o755) else []
    parts += [f"{name}={value}" for name, value in (("uid", mount.uid), ("gid", mount.gid)) if value]
    namespace = dict(tools.request.plan.build_args).get("BUILDKIT_CACHE_MOUNT_NS")
    return (f"{namespace}/" if namespace else "") + "; ".join(parts)


def _origin(files: FilesFrom, tools: Tools) -> str:
    match files:
        case StageSource(index):
            return f"stage {index}"
        case ImageSource(image):
            return f"image {tools.images[image].digest}"
        case NamedSource(name):
            return f"context {name}"
        case _:
            return "context"


# -- secrets and agents -----------------------------------------------------------------------------------------------


def _add_secret(mount: Mount, tools: Tools, mounts: list[StepMount], env: list[tuple[str, str]]) -> None:
    identity = secret_id(mount)
    data = _secret(identity, tools)
    if data is None:
        if mount.required:
            raise missing_secret(identity, (name for name, _, _ in tools.request.sandbox.secrets))
        return
    if mount.env:
        env.append((mount.env, data.decode("utf-8", "surrogateescape")))
    if mount.target or not mount.env:
        target = mount.target or f"/run/secrets/{posixpath.basename(identity)}"
        mode = 0o400 if mount.mode is None else mount.mode
        mounts.append(FileMount(target, data, mode, mount.uid or 0, mount.gid or 0))


def _secret(identity: str, tools: Tools) -> bytes | None:
    for name, kind, value in tools.request.sandbox.secrets:
        if name != identity:
            continue
        if kind == "env":
            return value.encode("utf-8", "surrogateescape")
        try:
            data = Path(value).read_bytes()
        except OSError as cause:
            raise UserError(f"the secret {identity} cannot be read from {value}: {cause.strerror}") from cause
        if len(data) > MAX_SECRET:
            raise UserError(f"the secret {identity} is larger than {MAX_SECRET} bytes")
        return data
    return None


def _add_agent(mount: Mount, tools: Tools, mounts: list[StepMount], env: list[tuple[str, str]], step: RunStep) -> None:
    sockets = dict(tools.request.sandbox.ssh)
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
