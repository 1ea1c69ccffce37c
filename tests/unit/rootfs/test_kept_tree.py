"""Kept indexes: what was written comes back, lazily, and changes as any tree does."""

from __future__ import annotations

import pytest

from gazami.errors import ArchiveError
from gazami.image.digest import digest_of
from gazami.layer.compression import compressor
from gazami.layer.entry import BytesContent, Entry, FileContent, Kind, LayerContent
from gazami.rootfs.kept_tree import KeptTree, decode_members, encode_members, encode_tree
from gazami.rootfs.tree import LayerApplier, Node, Tree

LOW, HIGH = digest_of(b"low"), digest_of(b"high")


def entries() -> list[tuple[Entry, bytes | None]]:
    return [
        (Entry("", Kind.DIRECTORY, 0o711, 1, 2, 3), None),
        (Entry("etc", Kind.DIRECTORY, 0o755), None),
        (Entry("etc/passwd", Kind.FILE, 0o644, 0, 0, 5, 4), b"root"),
        (Entry("bin", Kind.SYMLINK, 0o777, link="usr/bin"), None),
        (Entry("usr/bin/a", Kind.FILE, 0o4755, 7, 8, 9, 10, xattrs=(("security.capability", b"\0\1\xff"),)), None),
        (Entry("usr/bin/b", Kind.HARDLINK, 0o644, link="usr/bin/a"), None),
        (Entry("lib/b", Kind.HARDLINK, 0o644, link="usr/bin/a"), None),
        (Entry("dev/null", Kind.CHARACTER, 0o666, device=(1, 3)), None),
        (Entry("odd/\udcff\u2028\n name", Kind.FILE, 0o600, size=1), None),
        (Entry("usr/bin/.wh.gone", Kind.FILE, 0), None),
    ]


def tree_of(rows: list[tuple[Entry, bytes | None]], layer: str = LOW) -> Tree:
    tree = Tree()
    applier = LayerApplier(tree, lambda path: LayerContent(layer, path))
    for entry, data in rows:
        applier.add(entry, BytesContent(data) if data is not None else None)
    return tree


def shown(tree: Tree) -> dict[str, object]:
    """Everything about a tree, linked names by the first of them."""
    first: dict[int, str] = {}
    return {
        path: (node.entry(path), node.content, first.setdefault(id(node), path) if node.children is None else "")
        for path, node in tree.walk("", tree.root)
    }


def kept(tree: Tree, layers: tuple[str, ...] = (LOW, HIGH)) -> KeptTree:
    data = encode_tree(tree, layers)  # type: ignore[arg-type]
    assert data is not None
    return KeptTree(data)


def test_a_layers_members_come_back() -> None:
    assert list(decode_members(encode_members(entries()))) == entries()


def test_a_tree_comes_back() -> None:
    tree = tree_of(entries())
    LayerApplier(tree, lambda path: LayerContent(HIGH, path)).add(Entry("bin/c", Kind.FILE, 0o755, size=3))
    found = kept(tree)
    assert shown(found) == shown(tree)
    assert found.layers == (LOW, HIGH)


def test_only_the_directories_on_the_way_are_read() -> None:
    found = kept(tree_of(entries()))
    assert found.resolve("/bin/a").node is not None
    assert found.root.children is not None
    etc = found.root.children["etc"]
    assert etc.children == {}
    assert list(found.children_of(etc)) == ["passwd"]


def test_a_copy_is_independent_whatever_was_read_before() -> None:
    found = kept(tree_of(entries()))
    found.get("usr/bin/a")
    other = found.copy()
    other.put("etc/new", Node(Kind.FILE, 0o644))
    other.remove("usr/bin/a")
    assert "etc/new" not in shown(found)
    assert shown(found) == shown(tree_of(entries()))
    first, second = other.get("usr/bin/b"), other.get("lib/b")
    assert first is not None and first is second, "linked names stay one node, read or not"


@pytest.mark.parametrize("above", [
    [(Entry("usr/.wh..wh..opq", Kind.FILE, 0), None), (Entry("usr/new", Kind.FILE, 0o644), None)],
    [(Entry("usr", Kind.DIRECTORY, 0o700), None), (Entry("usr/.wh..wh..opq", Kind.FILE, 0), None)],
    [(Entry(".wh.usr", Kind.FILE, 0), None), (Entry("usr", Kind.DIRECTORY, 0o700), None)],
    [(Entry("usr", Kind.DIRECTORY, 0o700), None), (Entry(".wh.usr", Kind.FILE, 0), None)],
    [(Entry("usr", Kind.FILE, 0o700), None)],
    [(Entry("lib/b", Kind.FILE, 0o600, size=2), None)],
    [(Entry("bin/new", Kind.FILE, 0o600, size=2), None), (Entry("etc/.wh.passwd", Kind.FILE, 0), None)],
])  # fmt: skip
def test_layers_apply_to_it_as_to_any_tree(above: list[tuple[Entry, bytes | None]]) -> None:
    expected, found = tree_of(entries()), kept(tree_of(entries()))
    for tree in (expected, found):
        applier = LayerApplier(tree, lambda path: LayerContent(HIGH, path))
        for entry, _ in above:
            applier.add(entry)
    assert shown(found) == shown(expected)


def test_a_tree_with_bytes_that_no_layer_has_is_not_kept() -> None:
    tree = tree_of(entries())
    tree.put("etc/local", Node(Kind.FILE, 0o644, size=3, content=FileContent("/etc/hosts")))
    assert encode_tree(tree, (LOW,)) is None
    assert encode_tree(tree_of(entries(), HIGH), (LOW,)) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\x28\xb5\x2f\xfdxx", encode_members(entries())[:50], b'{"v": 2}\n[]', b"[]\n[]"])
def test_damage_is_noticed(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        list(decode_members(data))
    with pytest.raises(ArchiveError):
        KeptTree(data)


def test_a_list_of_members_that_inflates_without_end_is_damaged() -> None:
    """Whoever writes a layer cache may store it."""
    pack = compressor("zstd", 3)
    bomb = b"".join(
        [pack.compress(b'{"v": 1}\n['), *(pack.compress(b'["a", 0, 0, 0, 0, 0, 0],' * 50_000) for _ in range(70)), pack.flush()]
    )
    assert len(bomb) < 1 << 20
    with pytest.raises(ArchiveError, match="larger than"):
        list(decode_members(bomb))
