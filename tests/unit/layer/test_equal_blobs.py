"""Equal bytes make equal blobs, however they were cut on their way: through a pipe they come in pieces of any length."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from isal import isal_zlib

from gazami.layer.compression import BLOCK, Compressor, compressor

RANDOM = random.Random(7)
WORDS = [RANDOM.randbytes(RANDOM.randint(3, 9)) for _ in range(400)]
DATA = b"".join([RANDOM.choice(WORDS) for _ in range(150_000)]) + bytes(2 * BLOCK + 5) + RANDOM.randbytes(BLOCK // 2)
CUTS: list[Callable[[int], int]] = [
    lambda _: len(DATA),
    lambda _: BLOCK,
    lambda _: 65536,
    lambda number: (65536, 4096, 7, BLOCK + 3)[number % 4],
]


def pieces(cut: Callable[[int], int]) -> Iterator[bytes]:
    place = number = 0
    while place < len(DATA):
        yield DATA[place : place + cut(number)]
        place += cut(number)
        number += 1


def compressed(made: Compressor, cut: Callable[[int], int]) -> bytes:
    return b"".join([*(made.compress(piece) for piece in pieces(cut)), made.flush()])


@pytest.mark.parametrize(("kind", "level"), [*(("gzip", level) for level in (None, 1, 2, 3, 4, 6, 9)), ("zstd", None), ("zstd", 5)])
def test_the_blob_does_not_depend_on_how_the_bytes_were_cut(kind: Literal["gzip", "zstd"], level: int | None) -> None:
    blobs = {compressed(compressor(kind, level), cut) for cut in CUTS}
    assert len(blobs) == 1
    if kind == "gzip":
        assert zlib.decompress(blobs.pop(), wbits=31) == DATA


def test_the_control_isal_alone_makes_another_blob_of_each() -> None:
    assert len({compressed(isal_zlib.compressobj(level=1, wbits=31), cut) for cut in CUTS}) > 1
