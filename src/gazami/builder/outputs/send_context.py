"""A folder of this machine on its way to a builder elsewhere: packed as one layer, pushed as an artifact (``context.artifact``).

What .dockerignore leaves out is not sent, except the Dockerfile and the ignore files themselves, which the builder there needs.
Equal folders give equal bytes: names in order, owners 0:0, times in whole seconds.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from gazami.builder.files.layer_files import observed, phase
from gazami.builder.files.own_places import omitted, visible
from gazami.builder.files.workspace import Workspace
from gazami.cancel import Cancel
from gazami.context.artifact import CONFIG, EMPTY, encode_context
from gazami.context.ignore import Ignore
from gazami.errors import ContextError
from gazami.events import Emit
from gazami.image.model import Layer, LocalFile
from gazami.image.reference import Reference
from gazami.layer.entry import BytesContent, Entry, FileContent, Kind
from gazami.layer.pack import Packing, pack_layer
from gazami.layer.tar_writer import write_members
from gazami.registry.client import RegistryClient
from gazami.rootfs.changes import replace_link
from gazami.rootfs.folder import Filter, FolderTree

_SENT = (Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK)


def pack_context(folder: Path, ignore: Ignore, needed: frozenset[str], workspace: Workspace, emit: Emit, cancel: Cancel) -> Layer:
    """The files of a folder as a layer's blob in the workspace. ``needed`` are paths in it that are sent though they are ignored.

    Raises :class:`ContextError` for a file that cannot be read or changes meanwhile, :class:`SpaceError`.
    """
    state = str(workspace.state)
    tree = FolderTree(str(folder), _but(visible(ignore, omitted(str(folder), (state,), state)), needed))
    try:
        with phase(emit, "context", "packing the context") as progress:
            chunks = observed(cancel.checked(write_members(_members(tree))), progress)
            return pack_layer(chunks, workspace.blobs, Packing(oci=True))
    except OSError as cause:
        raise ContextError(f"cannot read {cause.filename or folder}: {cause.strerror}") from cause


def push_context(layer: Layer, repository: Reference, build: str, client: RegistryClient) -> Reference:
    """Push the artifact; its name by digest. A layer that is there already is not uploaded. Raises what the registry says."""
    assert isinstance(layer.origin, LocalFile)
    path = Path(layer.origin.path)
    client.push_blob(repository, layer.descriptor, lambda: path.open("rb"))
    client.push_blob(repository, CONFIG, lambda: io.BytesIO(EMPTY))
    manifest = encode_context(layer.descriptor, build)
    client.push_manifest(repository.with_tag(f"context-{build}"), manifest.raw, manifest.media_type)
    return Reference(repository.registry, repository.repository, None, manifest.digest)


def _members(tree: FolderTree) -> Iterator[tuple[Entry, FileContent | BytesContent | None]]:
    first: dict[int, str] = {}
    for path, node in tree.walk("", tree.root):
        if not path or node.kind not in _SENT:
            continue
        known = path if node.is_directory else first.setdefault(id(node), path)
        entry = node.entry(path)
        if known != path:
            yield replace_link(entry, known), None
        else:
            yield entry, node.content if isinstance(node.content, FileContent) else None


def _but(hidden: Filter, needed: frozenset[str]) -> Filter:
    """The filter without ``needed``."""
    check = hidden.check
    if check is None:
        return hidden

    def checked(path: str, state: tuple[bool, ...] | None) -> tuple[bool, tuple[bool, ...]]:
        excluded, results = check(path, state)
        return excluded and path not in needed, results

    return Filter(checked, lambda path: hidden.may_include_below(path) or any(each.startswith(f"{path}/") for each in needed))
