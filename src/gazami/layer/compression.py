"""Compressed streams, detected by their first bytes, and the compressors of layers. Iterators in, iterators out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, Protocol

from gazami.errors import ArchiveError

Format = Literal["none", "gzip", "zstd", "bzip2", "xz"]

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x1f\x8b\x08", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
)
_PIECE = 1 << 20


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def detect(head: bytes) -> Format:
    """The format of a stream that begins with ``head`` (6 bytes suffice)."""
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[:1] in (b"\x50", b"\x51") and head[1:4] == b"\x2a\x4d\x18":  # a skippable zstd frame
        return "zstd"
    return "none"


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The decompressed bytes of a stream in any known format, or the stream itself. Raises :class:`ArchiveError`.

    Concatenated members and frames are read one after the other; zeros after a gzip stream are ignored. Pieces are at most about 1
    MiB at any ratio.
    """
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= 6:
            break
    kind = detect(head)
    if kind == "none":
        return _prefixed(head, source)
    return _decoded(kind, _prefixed(head, source))


def _prefixed(head: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from rest


def _decoded(kind: Format, chunks: Iterator[bytes]) -> Iterator[bytes]:
    import lzma
    import zlib

    new = _decoder(kind)
    decoder: _Decoder | None = new()
    fed = False
    try:
        for chunk in chunks:
            while chunk:
                if decoder is None:
                    chunk = chunk.lstrip(b"\0")
                    if not chunk:
                        break
                    decoder, fed = new(), False
                data = decoder.decompress(chunk, _PIECE)
                fed = True
                chunk = b""
                if data:
                    yield data
                while not decoder.eof and not decoder.needs_input:
                    data = decoder.decompress(b"", _PIECE)
                    if not data:
                        break
                    yield data
                if decoder.eof:
                    chunk, decoder = decoder.unused_data, None
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError) as cause:
        raise ArchiveError(f"the {kind} stream is corrupt ({cause})") from cause
    except Exception as cause:
        if type(cause).__name__ in ("error", "IsalError", "ZstdError"):
            raise ArchiveError(f"the {kind} stream is corrupt ({cause})") from cause
        raise
    if decoder is not None and fed:
        raise ArchiveError(f"the {kind} stream is truncated")


def _decoder(kind: Format) -> Callable[[], _Decoder]:
    match kind:
        case "gzip":
            return _Gzip
        case "bzip2":
            import bz2

            return bz2.BZ2Decompressor
        case "xz":
            import lzma

            return lzma.LZMADecompressor
        case _:
            return _zstd().ZstdDecompressor  # type: ignore[no-any-return]


class _Gzip:
    """isal's inflate behind the interface of the other decoders; it verifies the checksum at the end of a member."""

    def __init__(self) -> None:
        from isal import isal_zlib

        self._inflate = isal_zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return bool(self._inflate.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inflate.unused_data)

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return bytes(self._inflate.decompress(data or self._inflate.unconsumed_tail, max(0, max_length)))


def _zstd() -> Any:
    """The standard library's module where Python has it (3.14), its backport elsewhere."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("backports.zstd")


class Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


BLOCK = 1 << 20
"""Bytes. Another length is another blob for the same layer."""


def compressor(kind: Literal["gzip", "zstd", "none"], level: int | None = None) -> Compressor:
    """A new compressor. ``level`` None: gzip 1 (isal: zlib -6's size plus a sixth, at 16 times the speed), zstd 1.

    gzip levels 1 to 3 are isal's; 4 to 9 are zlib's own.
    """
    if kind == "none":
        return _Plain()
    if kind == "zstd":
        zstd = _zstd()
        bounded = min(max(1 if level is None else level, 1), 19)
        return zstd.ZstdCompressor(level=bounded)  # type: ignore[no-any-return]
    wanted = 1 if level is None or level < 1 else min(level, 9)
    if wanted > 3:
        import zlib

        return zlib.compressobj(wanted, wbits=31)
    from isal import isal_zlib

    return _Blocks(isal_zlib.compressobj(level=wanted, wbits=31))


class _Blocks:
    """Hands blocks of one length to isal, whose output depends on where its input is cut. What a command writes comes through a
    pipe in pieces of any length, and equal layers have to be equal blobs."""

    def __init__(self, inner: Compressor) -> None:
        self._inner = inner
        self._held = bytearray()

    def compress(self, data: bytes, /) -> bytes:
        if not self._held and len(data) == BLOCK:
            return self._inner.compress(data)
        self._held += data
        made = []
        while len(self._held) >= BLOCK:
            made.append(self._inner.compress(bytes(self._held[:BLOCK])))
            del self._held[:BLOCK]
        return b"".join(made)

    def flush(self) -> bytes:
        return self._inner.compress(bytes(self._held)) + self._inner.flush()


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""
