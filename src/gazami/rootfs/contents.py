"""A digest over files as Docker compares them for its cache: names, types, modes, owners, attributes and bytes; no times. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from gazami.layer.entry import Content, Entry, Kind

HashOf = Callable[[Content, int], str]
"""The digest of so many bytes of content."""


def contents_digest(
    members: Iterable[tuple[Entry, Content | None]],
    hash_of: HashOf,
    each: Callable[[Entry, Content | None, Sequence[str]], None] = lambda entry, content, fields: None,
) -> str:
    """``sha256:…`` over members in their order, each field framed by its length. ``each`` is called with a member and its fields,
    of which the first is the path."""
    total = hashlib.sha256()
    for entry, content in members:
        fields = _fields(entry, content, hash_of)
        total.update(_framed(fields))
        each(entry, content, fields)
    return f"sha256:{total.hexdigest()}"


def _fields(entry: Entry, content: Content | None, hash_of: HashOf) -> list[str]:
    fields = [
        entry.path,
        str(int(entry.kind)),
        oct(entry.mode),
        f"{entry.uid}:{entry.gid}",
        entry.link,
        f"{entry.device[0]}:{entry.device[1]}",
        *(f"{name}={value.hex()}" for name, value in sorted(entry.xattrs)),
    ]
    if entry.kind is Kind.FILE and content is not None:
        fields.append(hash_of(content, entry.size) if entry.size else "empty")
    return fields


def _framed(fields: list[str]) -> bytes:
    framed = bytearray(len(fields).to_bytes(4, "big"))
    for field in fields:
        data = field.encode("utf-8", "surrogateescape")
        framed += len(data).to_bytes(4, "big")
        framed += data
    return bytes(framed)
