"""What steps copy and mount, as inputs of cache keys: the digest of the files where they are local, else a name for them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import BinaryIO

from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.inputs.fetched import Fetched
from gazami.builder.inputs.remote import fetch_remote
from gazami.builder.stages.copying import copier_of_sources, is_remote
from gazami.cache.keys import KeyInputs
from gazami.cache.listing import DIGITS, Listing, bounded
from gazami.context.git_url import is_git
from gazami.errors import ContextError
from gazami.layer.beneath import open_content
from gazami.layer.entry import BytesContent, Content, Entry, FileContent, Kind, LayerContent
from gazami.plan.steps import ContextSource, CopyStep, FilesFrom, NamedSource, RunMount, RunStep, Step
from gazami.rootfs.contents import contents_digest
from gazami.rootfs.copy import Attributes, Copier
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.tree import Tree
from gazami.values import fast_dataclass, field

_CHUNK = 1 << 20

Named = Callable[[FilesFrom], tuple[str, str] | None]
"""An input that stands for all files of a source (a stage's key), or None when their content is to be read."""


@fast_dataclass(slots=True)
class ContentInputs:
    """Digests of file contents are remembered for the whole build. ``listings`` are the files by the digest of them all."""

    layers: LayerFiles
    fetched: Fetched
    tree_of: Callable[[FilesFrom], Tree]
    listings: dict[str, Listing] = field(default_factory=dict)
    _known: dict[FileContent, str] = field(default_factory=dict)

    def of(self, step: Step, named: Named) -> KeyInputs:
        """The inputs of what a step takes from elsewhere. Raises :class:`GazamiError` kinds for what is missing."""
        match step:
            case CopyStep():
                return self._copied(step, named)
            case RunStep():
                return tuple(each for mount in step.mounts for each in self._mounted(mount, named))
            case _:
                return ()

    def _copied(self, step: CopyStep, named: Named) -> KeyInputs:
        found: list[tuple[str, str]] = []
        for source in step.sources:
            if is_remote(step, source):
                found.append((f"content of {source}", self._fetched(source, step)))
                continue
            if (name := named(step.files)) is not None:
                found.append(name)
                continue
            copier = copier_of_sources(step, source, self.tree_of(step.files))
            found.append((f"content of {source}", self._digest(copier, by_source=_is_local(step.files))))
        return tuple(dict.fromkeys(found))

    def _fetched(self, source: str, step: CopyStep) -> str:
        if step.flags.checksum and not is_git(source):
            return step.flags.checksum
        place = fetch_remote(source, step, self.fetched)
        if place.is_file():
            return _hash_file(FileContent(str(place)), place.stat().st_size)
        copier = Copier(Tree(), Attributes())
        copier.copy(FolderTree(str(place)), "/", step.dest)
        return self._digest(copier, by_source=False)

    def _mounted(self, wanted: RunMount, named: Named) -> KeyInputs:
        if wanted.files is None:
            return ()
        if (name := named(wanted.files)) is not None:
            return (name,)
        tree, source = self.tree_of(wanted.files), wanted.mount.source
        place = tree.resolve(source)
        if place.node is None:
            raise ContextError(f'"/{source.lstrip("/")}": not found')
        copier = Copier(Tree(), Attributes())
        copier.copy_node(tree, place.path or "mount", place.node, "/mount")
        digest = self._digest(copier, by_source=_is_local(wanted.files), seen_at=wanted.mount.target.rstrip("/"))
        return ((f"content of {source or '/'} mounted at {wanted.mount.target}", digest),)

    def _digest(self, copier: Copier, *, by_source: bool, seen_at: str = "") -> str:
        """The digest of what was copied, whose files are listed: as the source calls them, or by where they go, below
        ``seen_at``."""
        members = list(copier.changes.members(copier.tree))
        contents = [(content, entry.size) for entry, content in members if entry.kind is Kind.FILE]
        located = self.layers.locate(contents)

        def hash_of(content: Content, size: int) -> str:
            self.layers.cancel.check()
            if isinstance(content, LayerContent):
                content = located[content]
            if isinstance(content, BytesContent):
                return hashlib.sha256(content.data).hexdigest()
            if content not in self._known:
                self._known[content] = _hash_file(content, size)
            return self._known[content]

        files: dict[str, str] = {}

        def list_file(entry: Entry, content: Content | None, fields: Sequence[str]) -> None:
            if entry.kind is not Kind.DIRECTORY:
                local = content.path if isinstance(content, FileContent) and content.beneath else ""
                path = local if by_source and local else f"{seen_at}/{entry.path.removeprefix('mount/') if seen_at else entry.path}"
                said = "\0".join(fields[1:]).encode("utf-8", "surrogateescape")
                files[path] = hashlib.sha256(said).hexdigest()[:DIGITS]

        digest = contents_digest(members, hash_of, list_file)
        self.listings[digest] = bounded(files)
        return digest


def _is_local(files: FilesFrom) -> bool:
    """Whether people know the files by the paths that they have where they come from."""
    return isinstance(files, ContextSource | NamedSource)


def _hash_file(content: FileContent, size: int) -> str:
    hasher = hashlib.sha256()
    try:
        with open_content(content) as file:
            _feed(hasher.update, file, size)
    except OSError as cause:
        raise ContextError(f"cannot read {content.path}: {cause.strerror}") from cause
    return hasher.hexdigest()


def _feed(update: Callable[[bytes], None], file: BinaryIO, size: int) -> None:
    while size > 0 and (chunk := file.read(min(size, _CHUNK))):
        update(chunk)
        size -= len(chunk)
