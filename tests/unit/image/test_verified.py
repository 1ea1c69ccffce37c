"""The one reader that checks bytes against what was promised of them."""

from __future__ import annotations

import hashlib

import pytest

from gazami.errors import IntegrityError
from gazami.image.digest import Digest, digest_of, verified


def read(chunks: list[bytes], digest: Digest, size: int | None = None) -> bytes:
    return b"".join(verified(chunks, digest, size, IntegrityError))


@pytest.mark.parametrize("size", [6, None])
def test_right_bytes_pass_in_any_pieces(size: int | None) -> None:
    for chunks in ([b"abcdef"], [b"abc", b"", b"def"], [bytes([each]) for each in b"abcdef"]):
        assert read(chunks, digest_of(b"abcdef"), size) == b"abcdef"
    assert read([], digest_of(b""), None if size is None else 0) == b""


def test_any_algorithm_that_is_a_digest_s_own() -> None:
    digest = Digest(f"sha512:{hashlib.sha512(b'x').hexdigest()}")
    assert read([b"x"], digest) == b"x"
    with pytest.raises(IntegrityError, match="the digest sha512:"):
        read([b"y"], digest)


@pytest.mark.parametrize(
    ("chunks", "found"),
    [
        ([b"abcdeX"], "the digest sha256:"),
        ([b"abc"], "3 bytes instead of 6"),
        ([b"abcdef", b"g"], "more than the expected 6 bytes"),
        ([], "0 bytes"),
    ],
)
def test_wrong_bytes_do_not_end_well(chunks: list[bytes], found: str) -> None:
    with pytest.raises(IntegrityError, match=found):
        read(chunks, digest_of(b"abcdef"), 6)


def test_what_is_too_much_is_not_handed_out() -> None:
    got: list[bytes] = []
    with pytest.raises(IntegrityError):
        for chunk in verified([b"abc", b"d", b"e"], digest_of(b"abc"), 3, IntegrityError):
            got.append(chunk)
    assert got == [b"abc"]
