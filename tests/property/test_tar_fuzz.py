"""Our tar reader and Python's on the same archives: a short run of :mod:`tests.tarfuzz`. ``GAZAMI_FUZZ_ARCHIVES`` asks for more."""

from __future__ import annotations

import os
import random

import pytest
from tests import tarfuzz
from tests.tarbytes import END, member

from gazami.layer.tar_reader import TarReader

ARCHIVES = int(os.environ.get("GAZAMI_FUZZ_ARCHIVES", "4000"))


@pytest.mark.parametrize("seed", [1, 2])
def test_both_readers_read_the_same(seed: int) -> None:
    rng = random.Random(seed)
    compared = 0
    for number in range(ARCHIVES):
        data = tarfuzz.archive(rng)
        said = tarfuzz.differs(data)
        assert said is None, f"archive {number} of seed {seed}: {said}"
        compared += tarfuzz.ours(data) == tarfuzz.theirs(data)
    assert compared > ARCHIVES // 2  # most are the same, and not excused


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a reader with a fault does not pass."""
    data = member(b"f", b"contents") + END
    assert tarfuzz.differs(data) is None
    real = TarReader.content

    def content(self: TarReader) -> object:
        return (piece.replace(b"t", b"T") for piece in real(self))

    monkeypatch.setattr(TarReader, "content", content)
    assert tarfuzz.differs(data) is not None
