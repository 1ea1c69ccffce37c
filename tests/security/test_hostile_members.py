"""Hostile archives through everything that reads one without a RUN: layers into an index, tar contexts, ADD.

Each is refused with an error about the archive, or does no harm: nothing outside is written, nothing of outside is read, and no
exception but ours gets out. The control unpacks the same archive by ``tarfile`` without its filter, where the attack works.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tarbytes import END, base256, header, member, padded, pax

from gazami.builder.files.layer_files import learn_layer
from gazami.builder.inputs.contexts import _unpacked
from gazami.cancel import Cancel
from gazami.context.schemes import Archive
from gazami.errors import ArchiveError, ContextError
from gazami.layer.beneath import open_content
from gazami.layer.entry import BytesContent, FileContent, Kind, LayerContent
from gazami.rootfs.archive import archive_members
from gazami.rootfs.copy import Attributes, Copier
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.kept_tree import KeptTree, encode_tree
from gazami.rootfs.spool import Spool
from gazami.rootfs.tree import Tree

CANARY = b"CANARY of the builder\n"


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder that must stay as it is, with a file that nobody may read."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(CANARY)
    (folder / "secret").chmod(0o600)
    os.utime(folder, (1, 1))
    yield folder
    assert sorted(os.listdir(folder)) == ["secret"]
    assert (folder / "secret").read_bytes() == CANARY
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert (folder / "secret").stat().st_nlink == 1


def link(name: bytes, target: bytes, kind: bytes = b"2") -> bytes:
    if len(target) > 100:
        return pax((b"linkpath", target)) + header(name, kind)
    return header(name, kind, link=target)


def folder(name: bytes) -> bytes:
    return header(name, b"5", mode=b"0000755")


def archives(out: bytes) -> dict[str, bytes]:
    """By name; ``out`` is the absolute path of the folder outside, which lies beside the root."""
    new, secret = out + b"/new", out + b"/secret"
    return {
        "dot dot": member(b"../outside/new", b"x"),
        "dot dot inside": member(b"a/../../outside/new", b"x"),
        "only dot dot": member(b"..", b"x"),
        "dot dot directory": folder(b"../outside/new"),
        "absolute": pax((b"path", new)) + member(b"f", b"x"),
        "absolute with dot dot": pax((b"path", b"/../" + new)) + member(b"f", b"x"),
        "many slashes": pax((b"path", b"//" + new)) + member(b"f", b"x"),
        "link to a folder and through it": link(b"l", out) + member(b"l/new", b"x"),
        "relative link and through it": link(b"l", b"../outside") + member(b"l/new", b"x"),
        "link in a folder and through it": folder(b"d") + link(b"d/l", b"../../outside") + member(b"d/l/new", b"x"),
        "chain of links": link(b"a", b"b") + link(b"b", b"../outside") + member(b"a/new", b"x"),
        "link up and down": link(b"a", b"..") + member(b"a/outside/new", b"x"),
        "link over a folder": folder(b"d") + link(b"d", out) + member(b"d/new", b"x"),
        "folder over a link": link(b"d", out) + folder(b"d") + member(b"d/new", b"x"),
        "folder through a link": link(b"l", out) + folder(b"l/new"),
        "link through a link": link(b"l", out) + link(b"l/new", b"x"),
        "file over a link to a file": link(b"l", secret) + member(b"l", b"x"),
        "mode through a link": link(b"l", secret) + header(b"l", mode=b"0000777"),
        "link to the secret": link(b"l", secret),
        "relative link to the secret": link(b"l", b"../outside/secret"),
        "link through proc": link(b"l", b"/proc/self/root" + secret),
        "hard link outside": link(b"h", secret, b"1"),
        "hard link by dot dot": link(b"h", b"../outside/secret", b"1"),
        "hard link through a link": link(b"l", out) + link(b"h", b"l/secret", b"1"),
        "hard link to a link": link(b"l", secret) + link(b"h", b"l", b"1"),
        "hard link to a folder": folder(b"d") + link(b"h", b"d", b"1"),
        "hard link to itself": link(b"h", b"h", b"1"),
        "hard link to nothing": link(b"h", b"none", b"1"),
        "hard link to the root": link(b"h", b"", b"1"),
        "write through a hard link": link(b"h", b"l/secret", b"1") + member(b"h", b"x"),
        "link to itself": link(b"l", b"l") + member(b"l/x", b"x"),
        "links in a circle": link(b"a", b"b") + link(b"b", b"a") + member(b"a/x", b"x"),
        "empty link": header(b"l", b"2"),
        "link with a NUL": pax((b"linkpath", b"a\0b")) + header(b"l", b"2"),
        "name with a NUL": pax((b"path", b"a\0b")) + header(),
        "whiteout through a link": link(b"l", out) + header(b"l/.wh.secret"),
        "opaque through a link": link(b"l", out) + header(b"l/.wh..wh..opq"),
        "whiteout by dot dot": header(b"../outside/.wh.secret"),
        "whiteout of the parent": header(b".wh..."),
        "whiteout of itself": header(b".wh.."),
        "whiteout of nothing": header(b".wh."),
        "opaque root": header(b".wh..wh..opq"),
        "whiteout folder": folder(b".wh.d") + member(b".wh.d/f", b"x"),
        "device": header(b"dev", b"4", patches=((329, b"0000010"), (337, b"0000000"))),
        "device 0:0": header(b"dev", b"3"),
        "pipe": header(b"p", b"6"),
        "overlay's attributes": pax((b"SCHILY.xattr.trusted.overlay.redirect", b"/outside")) + folder(b"d"),
        "odd attributes": pax((b"SCHILY.xattr.", b"x"), (b"SCHILY.xattr.user." + b"n" * 300, b"x")) + header(b"f"),
        "owner -1": header(b"f", uid=base256(-1, 8)),
        "owner 10^20": pax((b"uid", b"1" + b"0" * 20)) + header(b"f"),
        "file with members below it": member(b"f", b"x") + member(b"f/x", b"x"),
        "the same name twice": member(b"f", b"x") + folder(b"f") + member(b"f/x", b"x") + link(b"f", out) + member(b"f", b"x"),
        "truncated": header(b"f", size=5000) + b"x",
        "headers of 9 MiB": header(kind=b"x", size=9 << 20) + bytes(512),
        "negative size": header(size=base256(-512)),
        "size that lies": pax((b"size", b"999999")) + member(b"f", b"x"),
        "sparse file of 4 EiB": header(b"s", b"S", magic=b"ustar  \0", patches=((386, base256(0) * 2), (483, base256(1 << 62)))),
        "time beyond 64 bits": pax((b"mtime", b"9" * 23)) + folder(b"d"),
        "1500 directories": pax((b"path", b"d/" * 1500 + b"f")) + padded(header()),
        "40000 directories": pax((b"path", b"d/" * 40_000 + b"f")) + header(),
        "terminal escapes": pax((b"path", b"\x1b]0;x\x07\x1b[2J")) + member(b"f", b"x"),
    }  # fmt: skip


NAMES = tuple(archives(b"/x"))
REFUSED_EVERYWHERE = (
    "dot dot", "dot dot inside", "only dot dot", "dot dot directory", "absolute with dot dot", "hard link by dot dot",
    "hard link to a folder", "hard link to nothing", "hard link to the root", "empty link", "link with a NUL",
    "name with a NUL", "whiteout by dot dot", "owner 10^20", "truncated", "headers of 9 MiB", "negative size",
    "sparse file of 4 EiB", "time beyond 64 bits", "40000 directories",
)  # fmt: skip


def harmless(tree: Tree) -> None:
    """No file of a tree shows what lies outside."""
    for _, node in tree.walk("", tree.root):
        content = node.content
        if node.kind is not Kind.FILE or content is None or isinstance(content, LayerContent):
            continue
        if isinstance(content, BytesContent):
            assert CANARY not in content.data
            continue
        with open_content(content) as file:
            assert CANARY not in file.read(node.size or 0)


def into_an_index(data: bytes, tmp_path: Path) -> None:
    tree = Tree()
    learn_layer("sha256:" + "0" * 64, iter([data]), tree)
    encoded = encode_tree(tree, ())
    harmless(tree.copy())
    if encoded is not None:
        harmless(KeptTree(encoded).copy())


def into_a_context(data: bytes, tmp_path: Path) -> None:
    place = _unpacked(
        Archive("context.tar", iter([data])), tmp_path / "context", lambda _: None, progress=lambda _: None, cancel=Cancel()
    )
    tree = FolderTree(str(place))
    harmless(tree)
    copier = Copier(Tree(), Attributes())
    copier.copy(tree, "/", "/")
    harmless(copier.tree)


def into_an_image(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "added.tar").write_bytes(data)
    copier = Copier(Tree(), Attributes())
    spool = Spool(tmp_path)
    try:
        copier.extract(archive_members(FileContent(str(tmp_path / "added.tar")), lambda: spool), "/into/")
        harmless(copier.tree)
        for _ in copier.changes.members(copier.tree):
            pass
    finally:
        spool.close()


CONSUMERS = {"index": into_an_index, "context": into_a_context, "add": into_an_image}


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("name", NAMES)
def test_it_is_refused_or_does_no_harm(name: str, consumer: str, outside: Path, tmp_path: Path) -> None:
    data = archives(os.fsencode(outside))[name] + END
    try:
        CONSUMERS[consumer](data, tmp_path)
    except (ArchiveError, ContextError) as error:
        assert error.message
        assert "\x1b" not in error.message
    else:
        assert name not in REFUSED_EVERYWHERE


@pytest.mark.parametrize("name", ["dot dot", "link to a folder and through it", "relative link and through it", "chain of links"])
def test_the_control_writes_outside(name: str, tmp_path: Path) -> None:
    out = tmp_path / "outside"
    out.mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "x.tar").write_bytes(archives(os.fsencode(out))[name] + END)
    with tarfile.open(tmp_path / "x.tar") as archive:
        archive.extraction_filter = lambda found, _: found  # newer Pythons have to be told; Debian's 3.11 has no filters
        archive.extractall(tmp_path / "root")
    assert (out / "new").read_bytes() == b"x"
