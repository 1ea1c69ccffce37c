"""A command may write the attribute itself; what a layer cannot hold is not taken for an owner."""

from __future__ import annotations

import pytest

from gazami.layer.recorded_owner import Recorded, decode


@pytest.mark.parametrize(
    "owner",
    [
        Recorded(0, 0),
        Recorded(4294967294, 7),
        Recorded(1, 2, as_seen=True),
        Recorded(1, 2, ("c", 5, 1)),
        Recorded(1, 2, ("b", 4095, 1048575)),
    ],
)
def test_what_is_written_is_read_again(owner: Recorded) -> None:
    assert decode(owner.encode()) == owner


@pytest.mark.parametrize(
    "value",
    [
        b"", b"1", b"-1:0", b"0:-1", b"4294967295:0", b"0:4294967296",
        b"99999999999999999999999:0", b" 7 :8", b"1_0:2", b"1:2:3", b"+1:2",
        b"1:2:c:-1:5", b"1:2:c:4096:1", b"1:2:b:1:1048576",
        b"1:2:d:1:1", b"1:2:c:1", b"1:2:=:", b"1:2\n", "\u0661:2".encode(), b"1:2:c:1:1:=",
    ],
)  # fmt: skip
def test_any_other_text_is_no_owner(value: bytes) -> None:
    assert decode(value) is None
