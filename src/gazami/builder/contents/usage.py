"""What the layers of an image hold, and what of it no container ever sees.

Two kinds of bytes are in vain. Those of a file that a later layer writes again or deletes are fetched by everybody and seen by
nobody. Those of files with equal contents are stored more than once. No byte counts twice: what is hidden is no duplicate, and
names that share a file are one file. Sizes are those of the files, before compression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gazami.builder.contents.files import Files, apply_layer
from gazami.layer.entry import Entry, LayerContent
from gazami.layer.whiteout import is_whiteout
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.builder.contents.opened import Opened
    from gazami.image.digest import Digest

Fate = Literal["deleted", "replaced", "unchanged"]
"""``unchanged``: written again with the same contents, as by a later chmod or chown."""


@fast_dataclass(frozen=True, slots=True)
class Written:
    """A file in a layer; ``layer`` counts from 1."""

    path: str
    size: int
    layer: int
    digest: str


@fast_dataclass(frozen=True, slots=True)
class Hidden:
    """A file that a later layer, ``by``, hides."""

    file: Written
    by: int
    fate: Fate


@fast_dataclass(frozen=True, slots=True)
class LayerUse:
    """``size`` is compressed; ``files`` have ``bytes``, of which the layers above hide ``hidden``. ``deletes`` counts whiteouts."""

    digest: Digest
    size: int
    created_by: str
    files: int
    bytes: int
    deletes: int
    hidden: int


@fast_dataclass(frozen=True, slots=True)
class Analysis:
    """``kept`` are the files that a container sees, largest first, as are ``hidden`` and the groups of equal ``duplicates``."""

    image: Opened
    layers: tuple[LayerUse, ...]
    kept: tuple[Written, ...]
    hidden: tuple[Hidden, ...]
    duplicates: tuple[tuple[Written, ...], ...]

    @property
    def bytes(self) -> int:
        return sum(layer.bytes for layer in self.layers)

    @property
    def kept_bytes(self) -> int:
        return sum(each.size for each in self.kept)

    @property
    def hidden_bytes(self) -> int:
        return sum(each.file.size for each in self.hidden)

    @property
    def duplicate_bytes(self) -> int:
        return sum(spare(group) for group in self.duplicates)


def spare(group: tuple[Written, ...]) -> int:
    """The bytes that one copy would save."""
    return group[0].size * (len(group) - 1)


def analyze(image: Opened) -> Analysis:
    """Read all layers. Raises as :func:`apply_layer`."""
    seen = _Seen()
    for number in range(len(image.manifest.layers)):
        apply_layer(image, number, seen.files, lambda entry, content, layer=number + 1: seen.note(entry, content, layer))  # type: ignore[misc]
        seen.hide(number + 1)
    kept = sorted(seen.written.values(), key=lambda each: (-each.size, each.path))
    hidden = sorted(seen.hidden, key=lambda each: (-each.file.size, each.file.layer, each.file.path))
    return Analysis(image, _layers(image, seen), tuple(kept), tuple(hidden), _duplicates(kept))


@fast_dataclass(slots=True)
class _Seen:
    """``written`` has what no layer hides so far."""

    files: Files = field(default_factory=Files)
    written: dict[LayerContent, Written] = field(default_factory=dict)
    hidden: list[Hidden] = field(default_factory=list)
    deletes: dict[int, int] = field(default_factory=dict)

    def note(self, entry: Entry, content: LayerContent | None, layer: int) -> None:
        if content is not None and not is_whiteout(entry.path):
            self.written[content] = Written(f"/{entry.path}", entry.size, layer, self.files.digests[content])
        elif is_whiteout(entry.path):
            self.deletes[layer] = self.deletes.get(layer, 0) + 1

    def hide(self, by: int) -> None:
        """Find what the layer that was read last hides."""
        tree = self.files.tree
        live = {node.content for _, node in tree.walk("", tree.root) if node.content is not None}
        for content in [each for each in self.written if each not in live]:
            file = self.written.pop(content)
            self.hidden.append(Hidden(file, by, self._fate(file)))
            del self.files.digests[content]

    def _fate(self, file: Written) -> Fate:
        node = self.files.tree.get(file.path[1:])
        if node is None:
            return "deleted"
        return "unchanged" if self.files.digest(node) == file.digest else "replaced"


def _layers(image: Opened, seen: _Seen) -> tuple[LayerUse, ...]:
    made_by = [entry.created_by for entry in image.config.history if not entry.empty_layer]
    if len(made_by) != len(image.manifest.layers):
        made_by = [""] * len(image.manifest.layers)
    files, sizes, lost = (dict.fromkeys(range(1, len(made_by) + 1), 0) for _ in range(3))
    for file in (*seen.written.values(), *(each.file for each in seen.hidden)):
        files[file.layer] += 1
        sizes[file.layer] += file.size
    for each in seen.hidden:
        lost[each.file.layer] += each.file.size
    return tuple(
        LayerUse(layer.digest, layer.size, by, files[number], sizes[number], seen.deletes.get(number, 0), lost[number])
        for number, (layer, by) in enumerate(zip(image.manifest.layers, made_by, strict=True), start=1)
    )


def _duplicates(kept: list[Written]) -> tuple[tuple[Written, ...], ...]:
    groups: dict[str, list[Written]] = {}
    for each in kept:
        if each.size:
            groups.setdefault(each.digest, []).append(each)
    found = [tuple(group) for group in groups.values() if len(group) > 1]
    return tuple(sorted(found, key=lambda group: (-spare(group), group[0].path)))
