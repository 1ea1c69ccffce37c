"""COPY, ADD and WORKDIR: done on the index and packed from wherever the contents lie; no root is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from gazami.builder.files.layer_files import keeps_bytes, observed, phase
from gazami.builder.inputs import needs
from gazami.builder.inputs.check import explained
from gazami.builder.inputs.remote import add_remote
from gazami.builder.stages.state import Done, StageState
from gazami.builder.tools import Tools
from gazami.context.ignore import ignore_of
from gazami.errors import DockerfileError
from gazami.events import Warned
from gazami.layer.beneath import open_content
from gazami.layer.entry import BytesContent, Entry, FileContent, Kind, LayerContent
from gazami.layer.pack import pack_layer
from gazami.layer.tar_writer import write_members
from gazami.plan.steps import ContextSource, CopyStep, FilesFrom, WorkdirStep
from gazami.rootfs.archive import archive_members, is_archive
from gazami.rootfs.changes import Changes
from gazami.rootfs.copy import Attributes, Copier, Excluded, MissingSource
from gazami.rootfs.index import MAX_MEMBERS, Members
from gazami.rootfs.modes import parse_chmod
from gazami.rootfs.owners import Accounts, Owner, parse_owner
from gazami.rootfs.tree import Node, Tree
from gazami.values import replace

TreeOf = Callable[[FilesFrom], Tree]
"""The index of what ``--from`` names."""


def copy_files(step: CopyStep, state: StageState, tree_of: TreeOf) -> Done:
    chmod, octal = parse_chmod(step.chmod)
    attributes = Attributes(_owner(step, state), chmod, octal)
    local = [source for source in step.sources if not is_remote(step, source)]
    source_tree = tree_of(step.files) if local else Tree()

    def copied(tree: Tree) -> Changes:
        copier = Copier(tree, attributes, exclude=_excluded(step.exclude))
        try:
            _copy_sources(step, copier, source_tree, state)
        except MissingSource as error:
            if isinstance(step.files, ContextSource):
                raise explained(error, state.tools.context, state.tools.context_folder, error.path) from None
            raise
        for document in step.inline:
            copier.put_file(document.name, document.content.encode("utf-8", "surrogateescape"), step.dest)
        return copier.changes

    if step.link and not step.chmod:
        tree = Tree()
        return _packed(copied(tree), tree, state)
    if step.chown or step.chmod:  # what is missing on the way gets these: it has to be missing indeed
        tree = state.index()
        return _packed(copied(tree), tree, state)
    tree, changes = state.onto(copied)
    return _packed(changes, tree, state)


def is_remote(step: CopyStep, source: str) -> bool:
    """Whether a source lies on another machine."""
    return needs.is_remote(source, add=step.add)


def copier_of_sources(step: CopyStep, source: str, source_tree: Tree) -> Copier:
    """One source copied into nothing, as the step copies it but with its own attributes: which files it means."""
    copier = Copier(Tree(), Attributes(), exclude=_excluded(step.exclude))
    if step.parents:
        copier.copy_with_parents(source_tree, source, step.dest, _parents_pattern(source))
    else:
        copier.copy(source_tree, source, step.dest)
    return copier


def _parents_pattern(source: str) -> Callable[[str], bool]:
    return ignore_of((source.partition("/./")[2] or source.lstrip("/"),)).excludes


def _copy_sources(step: CopyStep, copier: Copier, source_tree: Tree, state: StageState) -> None:
    for source in step.sources:
        if step.checksum and not is_remote(step, source):
            raise DockerfileError("checksum can't be specified for local sources")
        if is_remote(step, source):
            add_remote(copier, source, step, state.tools)
        elif step.parents:
            copier.copy_with_parents(source_tree, source, step.dest, _parents_pattern(source))
        elif step.add and step.unpack is not False:
            _add(copier, source_tree, source, step, state)
        else:
            copier.copy(source_tree, source, step.dest)


def _add(copier: Copier, source_tree: Tree, source: str, step: CopyStep, state: StageState) -> None:
    for path, node in copier.matches(source_tree, source):
        target = source_tree.resolve(path).node or node
        content = target.content
        if target.kind is Kind.FILE and isinstance(content, FileContent) and is_archive(content):
            keep_mode = Attributes(copier.attributes.owner, octal=copier.attributes.octal)
            extractor = Copier(copier.tree, keep_mode, copier.changes)
            extractor.extract(archive_members(content, state.tools.workspace.spool), step.dest)
        else:
            copier.copy_node(source_tree, path, node, step.dest)


def _owner(step: CopyStep, state: StageState) -> Owner | None:
    if not step.chown:
        return None
    owner = parse_owner(step.chown, state.accounts() if _has_names(step.chown) else Accounts())
    if owner.unknown and not state.image.layers:
        raise DockerfileError(
            f"--chown={step.chown}: there is no user or group {', '.join(owner.unknown)} in an image without files",
            hint="use numbers",
        )
    _warn_unknown(owner, f"--chown={step.chown}", step, state.tools)
    return owner


def _has_names(owner: str) -> bool:
    """Whether ``user[:group]`` has to be looked up in the image's files."""
    return not all(part.isdigit() for part in owner.split(":"))


def _warn_unknown(owner: Owner, where: str, step: CopyStep | WorkdirStep, tools: Tools) -> None:
    for name in owner.unknown:
        tools.emit(
            Warned(
                f"{where}: {name} is not in the image's /etc/passwd or /etc/group; 0 is used",
                span=step.common.span,
                hint="create it in a RUN above, or use a number",
            )
        )


def _excluded(patterns: tuple[str, ...]) -> Excluded | None:
    if not patterns:
        return None
    ignore = ignore_of(patterns)
    return Excluded(ignore.check, prune=not ignore.has_exceptions)


def make_workdir(step: WorkdirStep, state: StageState) -> Done:
    owner = (
        parse_owner(step.user, state.accounts() if _has_names(step.user) else Accounts()) if step.user else Owner(0, 0)
    )
    _warn_unknown(owner, f"USER {step.user}", step, state.tools)

    def made(tree: Tree) -> Changes:
        return _made_directories(step.path, owner, tree)

    if (owner.uid, owner.gid) == (0, 0):
        tree, changes = state.onto(made)
    else:
        tree = state.index()
        changes = made(tree)
    return _packed(changes, tree, state)


def _made_directories(wanted: str, owner: Owner, tree: Tree) -> Changes:
    changes = Changes()
    place = tree.resolve(wanted)
    if place.node is not None and not place.node.is_directory:
        raise DockerfileError(f"WORKDIR {wanted}: /{place.path} is not a directory")
    parts = place.path.split("/") if place.path else []
    for count in range(1, len(parts) + 1):
        path = "/".join(parts[:count])
        node = tree.get(path)
        if node is None:
            changes.put(tree, path, Node(Kind.DIRECTORY, 0o755, owner.uid, owner.gid))
        elif not node.is_directory:
            raise DockerfileError(f"WORKDIR {wanted}: /{path} is not a directory")
    return changes


def _packed(changes: Changes, tree: Tree, state: StageState) -> Done:
    """Write the changes as a layer, from wherever the contents lie. The stage's own tree shows them already; a tree apart
    (``--link``) does not, and the stage reads its layer when it needs the index again."""
    tools = state.tools
    index: Members | None = [] if tools.indexes.remote is not None else None
    stream = write_members(_listed(placed_members(changes, tree, tools), index, tools.newest))
    with phase(tools.emit, f"pack-{tools.workspace.new_name()}", "writing the layer") as progress:
        layer = pack_layer(observed(tools.cancel.checked(stream), progress), tools.workspace.blobs, tools.packing)
    state.indexed += tree is state.tree
    return Done(layer, len(changes), members=index)


_Member: TypeAlias = tuple[Entry, FileContent | BytesContent | None]


def _listed(members: Iterator[_Member], index: Members | None, newest: int | None) -> Iterator[_Member]:
    """Pass members on, none newer than ``newest``, and list them in an index on the way."""
    for entry, content in members:
        if newest is not None and entry.mtime > newest:
            entry = replace(entry, mtime=newest)
        if index is not None and len(index) <= MAX_MEMBERS:
            index.append((entry, _bytes_of(content, entry.size) if keeps_bytes(entry) else None))
        yield entry, content


def _bytes_of(content: FileContent | BytesContent | None, size: int) -> bytes | None:
    if not isinstance(content, FileContent):
        return content.data if content is not None else None
    with open_content(content) as file:
        return file.read(size)


def placed_members(changes: Changes, tree: Tree, tools: Tools) -> Iterator[_Member]:
    """The members of changes with their contents on this machine; what lies elsewhere is fetched first."""
    members = list(changes.members(tree))
    contents = [(content, entry.size) for entry, content in members if entry.kind is Kind.FILE]
    located = tools.layers.locate(contents, readable=tools.unpacked_is_readable)
    for entry, content in members:
        yield entry, located[content] if isinstance(content, LayerContent) else content
