from __future__ import annotations

import pytest
from tests.unit.rootfs.test_tree import directory, file, link, tree_of

from gazami.context.ignore import ignore_of
from gazami.errors import ContextError
from gazami.layer.entry import Entry, Kind
from gazami.rootfs.copy import Attributes, Copier, Excluded
from gazami.rootfs.modes import parse_chmod
from gazami.rootfs.owners import Owner
from gazami.rootfs.tree import Node, Tree


def source() -> Tree:
    return tree_of(
        [file("f", 5), file("g"), directory("d", 0o700), file("d/x"), directory("d/s", 0o1777), file("d/s/y"), link("d/l", "x"),
         link("lf", "f"), link("ld", "d")]
    )  # fmt: skip


def members(copier: Copier) -> list[str]:
    return [describe(entry) for entry, _ in copier.changes.members(copier.tree)]


def describe(entry: Entry) -> str:
    return f"{entry.path} {entry.mode:o} {entry.uid}:{entry.gid}" + (f" -> {entry.link}" if entry.link else "")


def copied(dest: str, *sources: str, onto: Tree | None = None, attributes: Attributes | None = None) -> list[str]:
    copier = Copier(onto or Tree(), attributes or Attributes())
    for each in sources:
        copier.copy(source(), each, dest)
    return members(copier)


def test_a_file_is_renamed_or_placed_into_a_directory() -> None:
    assert copied("/x", "f") == ["x 644 0:0"]
    assert copied("/x/", "f") == ["x 755 0:0", "x/f 644 0:0"]
    assert copied("/x", "f", onto=tree_of([directory("x", 0o711)])) == ["x 711 0:0", "x/f 644 0:0"]


def test_a_directory_means_its_contents_and_a_new_top_is_0755() -> None:
    assert copied("/x", "d") == ["x 755 0:0", "x/l 777 0:0 -> x", "x/s 1777 0:0", "x/s/y 644 0:0", "x/x 644 0:0"]


def test_an_existing_top_keeps_its_mode_and_owner() -> None:
    onto = tree_of([Entry("x", Kind.DIRECTORY, 0o1777, 3, 4)])
    assert copied("/x", "d/s", onto=onto) == ["x 1777 3:4", "x/y 644 0:0"]


def test_symlinked_sources_are_followed_and_keep_their_own_name() -> None:
    assert copied("/x/", "lf") == ["x 755 0:0", "x/lf 644 0:0"]
    assert "x/s 1777 0:0" in copied("/x/", "ld")


def test_symlinks_of_the_destination_are_followed_inside_the_root() -> None:
    onto = tree_of([directory("real"), link("abs", "/real"), link("dangling", "../../made"), link("file", "real/t")])
    assert copied("/abs/", "f", onto=onto)[-1] == "real/f 644 0:0"
    assert copied("/dangling/", "f", onto=onto)[-1] == "made/f 644 0:0"
    assert copied("/file", "f", onto=onto)[-1] == "real/t 644 0:0"


def test_octal_chmod_shapes_created_parents_and_symbolic_does_not() -> None:
    chmod, octal = parse_chmod("0711")
    assert copied("/a/b/f", "f", attributes=Attributes(None, chmod, octal)) == [
        "a 711 0:0", "a/b 711 0:0", "a/b/f 711 0:0",
    ]  # fmt: skip
    chmod, octal = parse_chmod("go+w")
    assert copied("/a/f", "f", attributes=Attributes(None, chmod, octal)) == ["a 755 0:0", "a/f 666 0:0"]


def test_chown_counts_for_everything_that_is_created() -> None:
    assert copied("/a/b", "f", attributes=Attributes(Owner(5, 6))) == ["a 755 5:6", "a/b 644 5:6"]


def test_hard_links_within_a_source_stay_links() -> None:
    tree = tree_of([directory("d"), file("d/a"), Entry("d/b", Kind.HARDLINK, 0o644, link="d/a")])
    copier = Copier(Tree(), Attributes())
    copier.copy(tree, "d", "/x")
    assert [(entry.path, entry.kind.name) for entry, _ in copier.changes.members(copier.tree)][1:] == [
        ("x/a", "FILE"), ("x/b", "HARDLINK"),
    ]  # fmt: skip


def test_exclude_is_relative_to_the_copied_directory() -> None:
    ignore = ignore_of(("s", "!s/y", "x"))
    copier = Copier(Tree(), Attributes(), exclude=Excluded(ignore.check, prune=False))
    copier.copy(source(), "d", "/t")
    copier.copy(source(), "f", "/t/")
    assert [line.split()[0] for line in members(copier)] == ["t", "t/f", "t/l", "t/s", "t/s/y"]


@pytest.mark.parametrize(
    ("dest", "what", "onto", "message"),
    [
        ("/x/", "nothing", [], "not found"),
        ("/f/", "g", [file("f")], "not a directory"),
        ("/f", "d", [file("f")], "not a directory"),
        ("/f/sub", "g", [file("f")], "not a directory"),
        ("/x", "d", [directory("x"), directory("x/x")], "cannot replace the directory"),
        ("/x", "d", [directory("x"), link("x/s", "/etc")], "not a directory"),
    ],
)
def test_impossible_copies_say_why(dest: str, what: str, onto: list[Entry], message: str) -> None:
    with pytest.raises(ContextError, match=message):
        copied(dest, what, onto=tree_of(onto))


def test_a_wildcard_without_matches_adds_nothing() -> None:
    assert copied("/x/", "*.nothing") == []


def test_a_name_that_would_be_a_whiteout_is_refused() -> None:
    copier = Copier(Tree(), Attributes())
    with pytest.raises(ContextError, match="mean deletion"):
        tree = tree_of([directory("d")])
        tree.put("d/.wh.x", Node(Kind.FILE, 0o644))
        copier.copy(tree, "d", "/x")


@pytest.mark.parametrize(
    "pattern, found",
    [
        ("d*/./s/y", ["x/s 1777 0:0", "x/s/y 644 0:0"]),
        ("/d/./s/y", ["x/s 1777 0:0", "x/s/y 644 0:0"]),
        ("/[d]/./s/*", ["x/s 1777 0:0", "x/s/y 644 0:0"]),
        ("ld/./x", ["x/x 644 0:0"]),
        ("?/./x", ["x/x 644 0:0"]),
        ("nothing*/./x", []),
        ("f*/./x", []),
    ],
)
def test_wildcards_before_the_pivot(pattern: str, found: list[str]) -> None:
    copier = Copier(Tree(), Attributes())
    copier.copy_with_parents(source(), pattern, "/x/", ignore_of((pattern.partition("/./")[2],)).excludes)
    assert [each for each in members(copier) if each != "x 755 0:0"] == found
