"""Trees that are kept between builds, so that copying onto an image that was seen before needs none of its layers.

Two forms, both JSON compressed by zstd. The *members* of a layer are in order, whiteouts included. The *tree* of an image is stored
directory by directory behind a table of contents. A directory is loaded when a path first needs it, so a copy onto a base of 50 000
files costs a few directories.
"""

from __future__ import annotations

import binascii
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from gazami.errors import ArchiveError
from gazami.foreign import read_json
from gazami.image.digest import Digest
from gazami.layer.compression import compressor, decompressed
from gazami.layer.entry import BytesContent, Content, Entry, Kind, LayerContent, Xattrs
from gazami.rootfs.tree import Node, Tree

MAX_TREE = 256 << 20
"""Bytes of a kept tree; a larger one is not read."""

MAX_MEMBERS = 200_000
"""A layer of more members is not kept, so that memory stays bounded."""

_MAX_LIST = 64 << 20
"""Bytes of a layer's members, which are in memory at once: 300 of each of the most that are kept."""

_VERSION = 1
_LARGEST = 1 << 53
"""Numbers that every reader of a header takes."""

_WHOLE = {int}
_NONE: list[Any] = ["", [0, 0], [], None]


# -- a layer's members ------------------------------------------------------------------------------------------------


Members: TypeAlias = list[tuple[Entry, bytes | None]]
"""A layer's members in order, with the bytes of those small files that builds look into (accounts)."""


def encode_members(members: Iterable[tuple[Entry, bytes | None]]) -> bytes:
    """The kept form of a layer's members."""
    rows = [_row(entry.path, entry, data) for entry, data in members]
    return _packed([json.dumps({"v": _VERSION}), json.dumps(rows)])


def decode_members(data: bytes) -> Iterator[tuple[Entry, bytes | None]]:
    """Raises :class:`ArchiveError` for anything but a layer's members."""
    head, body = _parts(data, _MAX_LIST)
    if head != {"v": _VERSION}:
        raise ArchiveError("the kept members of a layer have an unknown form")
    try:
        for row in json.loads(body):
            name, kind, mode, uid, gid, mtime, size, link, device, xattrs, inline = _padded(row, 7)
            _check(name, link, mode, uid, gid, mtime, size, *device)
            if min(mode, uid, gid, size) < 0 or max(mode, uid, gid, size, abs(mtime)) >= _LARGEST:
                raise ValueError("number")
            entry = Entry(name, Kind(kind), mode, uid, gid, mtime, size, link, (device[0], device[1]), _xattrs(xattrs))
            yield entry, binascii.a2b_base64(inline) if inline is not None else None
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as cause:
        raise ArchiveError(f"the kept members of a layer are damaged ({type(cause).__name__})") from cause


def _row(name: str, entry: Entry | Node, data: bytes | None) -> list[Any]:
    """``[name, kind, mode, uid, gid, mtime, size, link?, device?, xattrs?, bytes?]``, without empty values at the end."""
    row: list[Any] = [name, int(entry.kind), entry.mode, entry.uid, entry.gid, entry.mtime, entry.size]
    rest = [
        entry.link,
        list(entry.device),
        [[key, binascii.b2a_base64(value, newline=False).decode()] for key, value in entry.xattrs],
        None if data is None else binascii.b2a_base64(data, newline=False).decode(),
    ]
    while rest and rest[-1] == _NONE[len(rest) - 1]:
        rest.pop()
    return row + rest


def _padded(row: list[Any], fixed: int) -> list[Any]:
    return [*row, *_NONE[len(row) - fixed :]]


def _check(name: Any, link: Any, *numbers: Any) -> None:
    """A cache may say anything. Raises ValueError where a header could not hold it: a float for a mode, a list for a link, text
    that neither is Unicode nor stands for other bytes."""
    for text in (name, link):
        if type(text) is not str or "\0" in text:
            raise ValueError("text")
        if not text.isascii():
            text.encode("utf-8", "surrogateescape")
    if {*map(type, numbers)} != _WHOLE:
        raise ValueError("number")


def _xattrs(rows: list[list[str]]) -> Xattrs:
    if any(type(key) is not str or not key or "=" in key or "\0" in key for key, _ in rows):
        raise ValueError("attribute")
    return tuple((key, binascii.a2b_base64(value)) for key, value in rows)


# -- an image's tree --------------------------------------------------------------------------------------------------


def encode_tree(tree: Tree, layers: tuple[Digest, ...], names: tuple[str, ...] = ()) -> bytes | None:
    """The kept form of an image's tree: ``layers`` are the diff ids, ``names`` what its contents call the layers, if that is
    something else. None when some content is neither small nor in one of the image's layers."""
    numbers = {name: number for number, name in enumerate(names or layers)}
    shared: dict[int, int] = {}
    bodies: list[str] = []
    table: list[list[Any]] = []
    start = 0
    for path, node in tree.walk("", tree.root):
        if node.children is None:
            continue
        rows: list[list[Any]] = []
        for name, child in tree.children_of(node).items():
            row = _tree_row(name, f"{path}/{name}" if path else name, child, numbers, shared)
            if row is None:
                return None
            rows.append(row)
        body = json.dumps(rows)
        bodies.append(body)
        table.append([path, start, len(body)])
        start += len(body)
    root = _row("", tree.root, None)
    return _packed([json.dumps({"v": _VERSION, "layers": layers, "root": root, "table": table}), *bodies])


def _tree_row(name: str, path: str, node: Node, numbers: dict[str, int], shared: dict[int, int]) -> list[Any] | None:
    """A row with three more values before the others: the node's number (linked names share one), its layer's number
    (-1 without one) and the path there, where that is another."""
    content = node.content
    layer, place, data = -1, None, None
    if isinstance(content, LayerContent):
        number = numbers.get(content.layer)
        if number is None:
            return None
        layer, place = number, None if content.path == path else content.path
    elif isinstance(content, BytesContent):
        data = content.data
    elif node.kind is Kind.FILE and node.size:
        return None
    identity = 0 if node.children is not None else shared.setdefault(id(node), len(shared) + 1)
    return [identity, layer, place, *_row(name, node, data)]


class KeptTree(Tree):
    """A tree read from its kept form. It changes as any tree does."""

    def __init__(self, data: bytes, names: tuple[str, ...] = ()) -> None:
        """``names`` are what contents are to call the image's layers, if not by their diff ids. Raises :class:`ArchiveError` for
        anything but an image's tree."""
        head, self._body = _parts(data)
        try:
            if head["v"] != _VERSION:
                raise ValueError("version")
            self._layers: list[str] = [str(each) for each in head["layers"]]
            self._names = names or tuple(self._layers)
            self._table = {str(path): (int(start), int(size)) for path, start, size in head["table"]}
            root = self._node("", [0, -1, None, *head["root"]])
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as cause:
            raise ArchiveError(f"the kept tree of an image is damaged ({type(cause).__name__})") from cause
        self._shared: dict[int, Node] = {}
        self._unread: dict[int, str] = {}
        self._held: list[dict[str, Node]] = []
        self._lock = threading.RLock()
        super().__init__(root)
        self._defer(root, "")

    @property
    def layers(self) -> tuple[str, ...]:
        """The diff ids of the image."""
        return tuple(self._layers)

    def children_of(self, node: Node) -> dict[str, Node]:
        children = node.children
        if children is None:
            return {}
        if id(children) in self._unread:
            with self._lock:
                path = self._unread.get(id(children))
                if path is not None:
                    self._load(children, path)
                    del self._unread[id(children)]  # not before: other threads read without the lock
        return children

    def rooted_at(self, node: Node) -> Tree:
        view = self._alike()
        view.root = node
        return view

    def copy(self) -> Tree:
        new = self._alike()
        new._unread, new._held, new._shared, new._lock = {}, [], {}, threading.RLock()
        seen: dict[int, Node] = {}
        with self._lock:
            new.root = self._clone(new, seen)
            new._shared = {number: seen[id(node)] for number, node in self._shared.items() if id(node) in seen}
        return new

    def _alike(self) -> KeptTree:
        """Another object with the same attributes."""
        new = KeptTree.__new__(KeptTree)
        new.__dict__.update(self.__dict__)
        return new

    def _clone(self, new: KeptTree, seen: dict[int, Node]) -> Node:
        """A copy of what is loaded; the rest is deferred in ``new``. ``seen`` gets the copies of files."""
        root = self.root.alone()
        todo = [(self.root, root)]
        while todo:
            old, made = todo.pop()
            path = self._unread.get(id(old.children))
            if path is not None:
                new._defer(made, path)
                continue
            assert old.children is not None and made.children is not None
            for name, child in old.children.items():
                copied = seen.get(id(child)) or child.alone()
                if child.children is None:
                    seen[id(child)] = copied
                else:
                    todo.append((child, copied))
                made.children[name] = copied
        return root

    def _defer(self, node: Node, path: str) -> None:
        assert node.children is not None
        self._unread[id(node.children)] = path
        self._held.append(node.children)  # an id may not be given to another directory while it is in use here

    def _load(self, children: dict[str, Node], path: str) -> None:
        try:
            start, size = self._table[path]
            for row in json.loads(self._body[start : start + size]):
                identity, name = row[0], row[3]
                below = f"{path}/{name}" if path else name
                node = self._shared.get(identity) if identity else None
                if node is None:
                    node = self._node(below, row)
                    if identity:
                        self._shared[identity] = node
                    if node.children is not None:
                        self._defer(node, below)
                children[name] = node
        except (ValueError, TypeError, KeyError, IndexError, RecursionError) as cause:
            raise ArchiveError(f"the kept tree of an image is damaged ({type(cause).__name__})") from cause

    def _node(self, path: str, row: list[Any]) -> Node:
        _, layer, place, _, kind, mode, uid, gid, mtime, size, link, device, xattrs, inline = _padded(row, 10)
        _check(path, link, mode, uid, gid, mtime, size, *device)
        content: Content | None = None
        if inline is not None:
            content = BytesContent(binascii.a2b_base64(inline))
        elif layer >= 0:
            content = LayerContent(self._names[layer], place or path)
        return Node(Kind(kind), mode, uid, gid, mtime, size, link, (device[0], device[1]), _xattrs(xattrs), content)


# -- bytes ------------------------------------------------------------------------------------------------------------


def _packed(parts: list[str]) -> bytes:
    """The first part on a line of its own, the others after it. JSON's escapes keep all of it ASCII."""
    pack = compressor("zstd", 3)
    out = [pack.compress(parts[0].encode() + b"\n")]
    out += [pack.compress(part.encode()) for part in parts[1:]]
    return b"".join([*out, pack.flush()])


def _parts(data: bytes, most: int = MAX_TREE) -> tuple[dict[str, Any], bytes]:
    pieces: list[bytes] = []
    total = 0
    for piece in decompressed([data]):
        total += len(piece)
        if total > most:
            raise ArchiveError(f"a kept tree is larger than {most} bytes")
        pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\n")
    try:
        document = read_json(head)
        if not isinstance(document, dict):
            raise TypeError
    except (ValueError, TypeError) as cause:
        raise ArchiveError("a kept tree is damaged") from cause
    return document, body
