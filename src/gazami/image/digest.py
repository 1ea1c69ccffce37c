"""Digests (OCI image spec, descriptor.md#digests): ``algorithm:encoded``, of which sha256 is the one in use and sha512 is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NewType

from gazami.errors import UsageError

if TYPE_CHECKING:
    import hashlib

Digest = NewType("Digest", str)
"""A checked ``sha256:<64 lower-case hex>`` (or sha512) string. A layer's *diff id* is also a Digest."""

_SHA256 = re.compile(r"sha256:[a-f0-9]{64}\Z")
_SHA512 = re.compile(r"sha512:[a-f0-9]{128}\Z")


def parse_digest(text: str) -> Digest:
    """Return ``text`` as a :data:`Digest`. Raises :class:`UsageError` when it is not one of a known algorithm."""
    if is_digest(text):
        return Digest(text)
    raise UsageError(f"{text!r} is not a digest", hint="write sha256: and 64 lower-case hexadecimal digits")


def is_digest(text: str) -> bool:
    return bool(_SHA256.match(text) or _SHA512.match(text))


def digest_of(data: bytes) -> Digest:
    import hashlib

    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def matches(data: bytes, digest: str) -> bool:
    """Whether bytes have a digest, by its own algorithm; no bytes have one of an algorithm that we do not know."""
    import hashlib

    return is_digest(digest) and hashlib.new(digest.split(":", 1)[0], data).hexdigest() == hex_of(Digest(digest))


def hex_of(digest: Digest) -> str:
    return digest.split(":", 1)[1]


def hasher_for(digest: Digest) -> hashlib._Hash:
    """A new hash object of the digest's own algorithm."""
    import hashlib

    return hashlib.new(digest.split(":", 1)[0])


def verified(chunks: Iterable[bytes], digest: Digest, size: int | None, wrong: Callable[[str], Exception]) -> Iterator[bytes]:
    """The chunks. ``wrong`` makes an error of what the bytes have instead: it is raised before there are too many of them, and
    instead of the end when they do not have the digest and the size. A reader that gets to the end has verified bytes."""
    hasher, seen = hasher_for(digest), 0
    for chunk in chunks:
        hasher.update(chunk)
        seen += len(chunk)
        if size is not None and seen > size:
            raise wrong(f"more than the expected {size} bytes")
        yield chunk
    if size is not None and seen < size:
        raise wrong(f"{seen} bytes instead of {size}")
    if hasher.hexdigest() != hex_of(digest):
        raise wrong(f"the digest {hasher.name}:{hasher.hexdigest()}")
