"""Several layers as one (``--single-snapshot``): the topmost of each path wins, deletions stay deletions.

Works on the tar streams from the top layer down, with one set of paths in memory; contents of kept files go through the
spool, since the result is written in path order.
"""

from __future__ import annotations

from gazami.builder.layers import LayerFiles
from gazami.image.model import Layer
from gazami.layer.entry import Entry, FileContent, Kind, sort_key
from gazami.layer.pack import Packing, pack_layer
from gazami.layer.tar_reader import TarReader
from gazami.layer.tar_writer import write_members
from gazami.layer.whiteout import OPAQUE, deleted_name


def squash(layers: tuple[Layer, ...], files: LayerFiles, packing: Packing) -> Layer:
    """One layer with the effect of ``layers``, lowest first."""
    kept: dict[str, tuple[Entry, FileContent | None]] = {}
    hidden: set[str] = set()
    for layer in reversed(layers):
        _take(layer, files, kept, hidden)
    members = [kept[path] for path in sorted(kept, key=sort_key)]
    _links_after_targets(members)
    return pack_layer(write_members(members), files.workspace.blobs, packing)


def _take(layer: Layer, files: LayerFiles, kept: dict[str, tuple[Entry, FileContent | None]], hidden: set[str]) -> None:
    here: dict[str, tuple[Entry, FileContent | None]] = {}
    newly_hidden: set[str] = set()
    reader = TarReader(files.tar_chunks(layer))
    for entry in reader:
        parent, _, name = entry.path.rpartition("/")
        base = f"{parent}/" if parent else ""
        if name == OPAQUE:
            newly_hidden.add(parent)
        elif (gone := deleted_name(name)) is not None:
            target = base + gone
            newly_hidden.add(target)
            if target in kept or _is_hidden(target, hidden):
                if target in kept and kept[target][0].kind is Kind.DIRECTORY:
                    entry = Entry(f"{target}/{OPAQUE}", Kind.FILE, 0)
                else:
                    continue
        elif entry.kind is not Kind.DIRECTORY:
            newly_hidden.add(entry.path)
        if entry.path in kept or _is_hidden(entry.path, hidden):
            continue
        content = files.workspace.spool().add(reader.content()) if entry.kind is Kind.FILE and entry.size else None
        here[entry.path] = entry, content
    kept.update(here)
    hidden |= newly_hidden


def _is_hidden(path: str, hidden: set[str]) -> bool:
    while True:
        if path in hidden:
            return True
        if "/" not in path:
            return "" in hidden
        path = path.rpartition("/")[0]


def _links_after_targets(members: list[tuple[Entry, FileContent | None]]) -> None:
    """Hard links go last: their targets may sort after them."""
    members.sort(key=lambda member: member[0].kind is Kind.HARDLINK)
