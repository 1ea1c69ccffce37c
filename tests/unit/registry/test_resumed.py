"""After a cut the rest is asked for, whoever answers and however."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from gazami.cancel import Cancel
from gazami.errors import TransportError
from gazami.registry.faults import ConnectionFault
from gazami.registry.resumed import resumed

DATA = bytes(range(100))
URL = "https://example.com/x"


class Server:
    """Answers end after the numbers of bytes in ``cuts``, then never. It may ignore Range."""

    def __init__(self, *cuts: int, ranges: bool = True) -> None:
        self.cuts, self.ranges = list(cuts), ranges
        self.asked: list[int] = []

    @contextlib.contextmanager
    def ask(self, done: int) -> Iterator[tuple[Any, int]]:
        self.asked.append(done)
        start = done if self.ranges else 0
        yield SimpleNamespace(chunks=lambda: self.body(start), url=URL), start

    def body(self, start: int) -> Iterator[bytes]:
        length = self.cuts.pop(0) if self.cuts else None
        sent = DATA[start:] if length is None else DATA[start : start + length]
        yield from (sent[at : at + 7] for at in range(0, len(sent), 7))
        if length is not None:
            raise ConnectionFault("cut", "the connection was cut", URL)


class Patience:
    """A transport that gives up after ``attempts`` failures and does not wait."""

    def __init__(self, attempts: int = 3) -> None:
        self.attempts = attempts
        self.cancel = Cancel()

    def pause(self, failures: int) -> float | None:
        return None if failures >= self.attempts else 0.0

    def wait(self, seconds: float) -> None:
        pass


def read(server: Server, transport: Any = None, **options: Any) -> bytes:
    return b"".join(resumed(server.ask, transport or Patience(), **options))


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("cuts", [(), (0,), (30, 50), (10, 0)])
def test_every_byte_comes_once(cuts: tuple[int, ...], ranges: bool) -> None:
    server = Server(*cuts, ranges=ranges)
    assert read(server, size=len(DATA)) == DATA
    assert len(server.asked) == len(cuts) + 1


def test_another_server_goes_on_where_the_first_one_ended() -> None:
    assert read(Server(), done=40, size=len(DATA)) == DATA[40:]


def test_failures_count_together_or_in_a_row() -> None:
    with pytest.raises(TransportError, match=r"download it: .*after 3 attempts"):
        read(Server(20, 20, 20), what="download it")
    assert read(Server(20, 20, 20), in_a_row=True) == DATA
    with pytest.raises(TransportError):
        read(Server(20, 0, 0), in_a_row=True)
    with pytest.raises(TransportError):
        read(Server(0), attempts=1)


def test_a_body_that_is_short_of_the_size_is_a_cut() -> None:
    with pytest.raises(TransportError, match="ended after 100 of 120 bytes"):
        read(Server(), size=120)
    assert read(Server()) == DATA, "without a size its end is the end"


def test_a_cut_after_the_last_byte_is_none() -> None:
    assert read(Server(100), size=100) == DATA
