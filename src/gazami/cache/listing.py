"""Which files a step took from elsewhere, as short as a cache entry can keep it, to say later which of them changed. Pure.

A listing is a digest of a few digits by path. It only explains: keys decide what is a hit, and a listing that lies (a cache is not
trusted) makes a wrong sentence. It is bounded: of many files the folders are listed instead, down to one level if need be.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping

from gazami.values import fast_dataclass

Listing = Mapping[str, str]

DIGITS = 8
MAX_FILES = 2000
MAX_BYTES = 32 * 1024
"""Of an encoded listing: it is a part of a manifest that every look-up reads."""

_MAX_TEXT = 1 << 20
_SHOWN = 3


def bounded(files: Listing, most: int = MAX_FILES) -> Listing:
    """The listing itself, or one of the folders at the greatest depth at which there are few enough; empty if even those of the
    first level are too many. A folder's name ends in ``/``."""
    depth = max((path.count("/") for path in files), default=0)
    found = files
    while len(found) > most and depth > 0:
        depth -= 1
        found = _folded(files, depth + 1)
    return found if len(found) <= most else {}


def _folded(files: Listing, depth: int) -> Listing:
    """``files`` with all that lies in folders of a depth as one entry a folder."""
    folders: dict[str, list[str]] = {}
    found: dict[str, str] = {}
    for path, digest in files.items():
        parts = path.split("/")
        if len(parts) > depth:
            folders.setdefault("/".join(parts[:depth]) + "/", []).append(f"{path} {digest}")
        else:
            found[path] = digest
    for folder, lines in folders.items():
        text = "\n".join(sorted(lines))
        found[folder] = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]
    return found


def encode_listing(files: Listing) -> str:
    """Compressed, as a word of ASCII; empty for one that stays too long."""
    import zlib

    most = MAX_FILES
    while files and most > 1:
        text = "".join(f"{digest} {path}\n" for path, digest in sorted(bounded(files, most).items()) if "\n" not in path)
        word = base64.b64encode(zlib.compress(text.encode("utf-8", "surrogateescape"), 9)).decode() if text else ""
        if len(word) <= MAX_BYTES:
            return word
        most //= 2
    return ""


def decode_listing(word: str) -> Listing:
    """Empty for what is no listing."""
    import zlib

    if not word or len(word) > 2 * MAX_BYTES:
        return {}
    try:
        reader = zlib.decompressobj()
        text = reader.decompress(base64.b64decode(word, validate=True), _MAX_TEXT).decode("utf-8", "surrogateescape")
    except (binascii.Error, zlib.error, ValueError):
        return {}
    if not reader.eof:
        return {}
    lines = (line.partition(" ") for line in text.splitlines())
    return {path: digest for digest, space, path in lines if space and len(digest) == DIGITS}


@fast_dataclass(frozen=True, slots=True)
class FileChanges:
    """Paths, each list sorted."""

    changed: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def in_words(self, *, all_of_them: bool = False) -> str:
        """``src/server.sh changed, src/new.c is new``; of many the first three. Empty where nothing differs."""
        told = [
            *(f"{path} changed" for path in self.changed),
            *(f"{path} is new" for path in self.new),
            *(f"{path} is gone" for path in self.gone),
        ]
        if all_of_them or len(told) <= _SHOWN + 1:
            return ", ".join(told)
        return f"{', '.join(told[:_SHOWN])} and {len(told) - _SHOWN} more"


def changes(old: Listing, new: Listing) -> FileChanges:
    """What differs. Listings of the same files may be folded to other depths: then they are compared where the coarser one is."""
    if any(path.endswith("/") for path in (*old, *new)):
        depth = min(_depth(old), _depth(new))
        if _depth(old) != _depth(new):
            old, new = (each if _depth(each) == depth else _folded(each, depth) for each in (old, new))
    common = old.keys() & new.keys()
    return FileChanges(
        tuple(sorted(path for path in common if old[path] != new[path])),
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
    )


def _depth(files: Listing) -> int:
    """The depth to which a listing was folded; a large number for one that was not."""
    return min((path.count("/") for path in files if path.endswith("/")), default=1 << 30)
