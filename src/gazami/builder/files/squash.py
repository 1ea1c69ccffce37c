"""Several layers as one (``--single-snapshot``): the topmost of each path wins, deletions stay deletions.

Works on the tar streams from the top layer down, with one set of paths in memory; contents of kept files go through the
spool, since the result is written in path order.
"""

from __future__ import annotations

from typing import TypeAlias

from gazami.builder.files.layer_files import LayerFiles
from gazami.image.model import Layer
from gazami.layer.entry import Entry, FileContent, Kind, sort_key
from gazami.layer.pack import Packing, pack_layer
from gazami.layer.tar_reader import TarReader
from gazami.layer.tar_writer import write_members
from gazami.layer.whiteout import OPAQUE, deleted_name, is_whiteout
from gazami.values import fast_dataclass, field, replace

Member: TypeAlias = tuple[Entry, FileContent | None]


def squash(layers: tuple[Layer, ...], files: LayerFiles, packing: Packing) -> Layer:
    """One layer with the effect of ``layers``, lowest first."""
    return pack_layer(write_members(_joined(layers, files)), files.workspace.blobs, packing)


def merged(layers: tuple[Layer, ...], files: LayerFiles) -> list[Member]:
    """All files of an image, parents first; nothing is left below it that a deletion could mean."""
    return [member for member in _joined(layers, files) if not is_whiteout(member[0].path)]


def _joined(layers: tuple[Layer, ...], files: LayerFiles) -> list[Member]:
    join = _Join(files)
    for layer in reversed(layers):
        join.take(layer)
    members = [join.kept[path] for path in sorted(join.kept, key=sort_key)]
    members.sort(key=lambda member: member[0].kind is Kind.HARDLINK)  # their targets may sort after them
    return members


@fast_dataclass(slots=True)
class _Join:
    """``hidden`` are paths that an upper layer deletes; what is ``kept`` hides what lies below it too. ``wanted`` are names that
    are links to a path whose file an upper layer replaced: they keep what lies below."""

    files: LayerFiles
    kept: dict[str, Member] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    wanted: dict[str, list[str]] = field(default_factory=dict)

    def take(self, layer: Layer) -> None:
        here: dict[str, Member] = {}
        newly_hidden: set[str] = set()
        reader = TarReader(self.files.tar_chunks(layer))
        for entry in reader:
            found = self._whiteout(entry, newly_hidden)
            if found is None:
                continue
            entry = found
            names = self.wanted.pop(entry.path, []) if entry.kind is Kind.FILE else []
            visible = entry.path not in self.kept and not self._is_hidden(entry.path)
            content = None
            if entry.kind is Kind.FILE and entry.size and (visible or names):
                content = self.files.workspace.spool().add(reader.content())
            if visible:
                here[entry.path] = entry, content
            _stand_in(names, entry, content, here)
        self._resolve_links(layer, here)
        self.kept.update(here)
        self.hidden |= newly_hidden

    def _whiteout(self, entry: Entry, newly_hidden: set[str]) -> Entry | None:
        """The entry to keep, None for a deletion that has no further effect; notes what it hides below."""
        parent, _, name = entry.path.rpartition("/")
        if name == OPAQUE:
            newly_hidden.add(parent)
        elif (gone := deleted_name(name)) is not None:
            target = f"{parent}/{gone}" if parent else gone
            newly_hidden.add(target)
            if target in self.kept or self._is_hidden(target):
                if target in self.kept and self.kept[target][0].kind is Kind.DIRECTORY:
                    return Entry(f"{target}/{OPAQUE}", Kind.FILE, 0)
                return None
        return entry

    def _resolve_links(self, layer: Layer, here: dict[str, Member]) -> None:
        """Find the file of each link of a layer whose target was replaced above: in the layer itself, or further below."""
        again: dict[str, list[str]] = {}
        for path, (entry, _) in list(here.items()):
            if entry.kind is not Kind.HARDLINK or entry.link in here:
                continue
            if entry.link in self.kept or self._is_hidden(entry.link):
                del here[path]
                self.hidden.add(path)  # it will be there, and hides what lies below it
                again.setdefault(entry.link, []).append(path)
        if again:
            reader = TarReader(self.files.tar_chunks(layer))
            for entry in reader:
                if entry.kind is Kind.FILE and (names := again.pop(entry.path, [])):
                    content = self.files.workspace.spool().add(reader.content()) if entry.size else None
                    _stand_in(names, entry, content, here)
        for target, names in again.items():
            self.wanted.setdefault(target, []).extend(names)

    def _is_hidden(self, path: str) -> bool:
        while True:
            above = self.kept.get(path)
            if path in self.hidden or (above is not None and above[0].kind is not Kind.DIRECTORY):
                return True
            if "/" not in path:
                return "" in self.hidden
            path = path.rpartition("/")[0]


def _stand_in(names: list[str], entry: Entry, content: FileContent | None, here: dict[str, Member]) -> None:
    """Give a file's bytes to the first of the names that were links to it, and make the others links to that one."""
    for name in names[:1]:
        here[name] = replace(entry, path=name), content
    for name in names[1:]:
        here[name] = replace(entry, path=name, kind=Kind.HARDLINK, link=names[0], size=0, xattrs=()), None
