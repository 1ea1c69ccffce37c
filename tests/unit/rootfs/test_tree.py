from __future__ import annotations

import pytest

from gazami.errors import ArchiveError, ContextError
from gazami.layer.entry import Entry, Kind
from gazami.rootfs.tree import LayerApplier, Tree


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, Kind.DIRECTORY, mode)


def file(path: str, size: int = 1) -> Entry:
    return Entry(path, Kind.FILE, 0o644, size=size)


def link(path: str, target: str) -> Entry:
    return Entry(path, Kind.SYMLINK, 0o777, link=target)


def tree_of(*layers: list[Entry]) -> Tree:
    tree = Tree()
    for entries in layers:
        applier = LayerApplier(tree, lambda path: None)
        for entry in entries:
            applier.add(entry)
    return tree


def paths(tree: Tree) -> list[str]:
    return [path for path, _ in tree.walk("", tree.root) if path]


def test_a_whiteout_hides_what_is_below() -> None:
    tree = tree_of([directory("a"), file("a/x"), file("a/y")], [file("a/.wh.x")])
    assert paths(tree) == ["a", "a/y"]


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_never_hides_its_own_layer(first: bool) -> None:
    own = [file("a/x"), file("a/.wh.x")]
    assert paths(tree_of([directory("a"), file("a/x")], own if first else own[::-1])) == ["a", "a/x"]


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_directory_keeps_only_its_own_files(first: bool) -> None:
    own = [file("a/.wh..wh..opq"), file("a/new")]
    tree = tree_of([directory("a"), file("a/x"), directory("a/s"), file("a/s/y")], own if first else own[::-1])
    assert paths(tree) == ["a", "a/new"]


def test_a_file_replaces_a_directory_and_back() -> None:
    assert paths(tree_of([directory("a"), file("a/x")], [file("a")])) == ["a"]
    assert paths(tree_of([file("a")], [directory("a"), file("a/x")])) == ["a", "a/x"]


def test_members_below_a_symlink_of_their_own_layer_land_at_its_target() -> None:
    tree = tree_of([directory("usr"), directory("usr/lib"), link("lib", "usr/lib"), file("lib/x")])
    assert paths(tree) == ["lib", "usr", "usr/lib", "usr/lib/x"]


def test_a_directory_shadows_the_symlink_of_a_lower_layer() -> None:
    """As overlay shows directories that each hold one layer: containerd's tree."""
    tree = tree_of([directory("usr"), directory("usr/lib"), link("lib", "usr/lib")], [file("lib/x")])
    assert paths(tree) == ["lib", "lib/x", "usr", "usr/lib"]


def test_a_lower_file_on_a_members_way_is_shadowed_too() -> None:
    tree = tree_of([file("a")], [file("a/b")])
    assert paths(tree) == ["a", "a/b"]


def test_the_root_cannot_be_opaque() -> None:
    """The kernel's overlay ignores the attribute there."""
    assert paths(tree_of([file("a")], [file(".wh..wh..opq"), file("b")])) == ["a", "b"]


def test_a_directory_replaces_a_symlink() -> None:
    tree = tree_of([directory("usr"), link("lib", "usr")], [directory("lib"), file("lib/x")])
    assert paths(tree) == ["lib", "lib/x", "usr"]


def test_hard_linked_names_share_a_node() -> None:
    tree = tree_of([file("a"), Entry("b", Kind.HARDLINK, 0o644, link="a")])
    assert tree.get("a") is tree.get("b")
    copy = tree.copy()
    assert copy.get("a") is copy.get("b")
    assert copy.get("a") is not tree.get("a")


def test_a_hard_link_to_nothing_is_refused() -> None:
    with pytest.raises(ArchiveError, match="not a file"):
        tree_of([Entry("b", Kind.HARDLINK, 0o644, link="nowhere")])


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("abs/x", "etc/x"),
        ("up/etc/x", "etc/x"),
        ("etc/../../../etc/x", "etc/x"),
        ("chain", "etc"),
        ("dangling/new", "no/where/new"),
        ("missing/../etc", "etc"),
    ],
)
def test_resolving_never_leaves_the_root(path: str, found: str) -> None:
    tree = tree_of(
        [directory("etc"), file("etc/x"), link("abs", "/etc"), link("up", "../../.."), link("chain", "abs"),
         link("dangling", "/no/where")]
    )  # fmt: skip
    assert tree.resolve(path).path == found


def test_a_loop_of_symlinks_is_an_error() -> None:
    with pytest.raises(ContextError, match="too many levels"):
        tree_of([link("a", "b"), link("b", "a")]).resolve("a/x")
