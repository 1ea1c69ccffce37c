"""However a log is cut and read again, every line of it is seen once and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gazami.events import Message
from gazami.kubernetes.log import Position
from gazami.report.records import decode, encode

STAMPS = ["2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00.12Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:01.5Z"]


@st.composite
def logs(draw: st.DrawFn) -> list[str]:
    """Lines with stamps that do not go back; records are numbered."""
    stamps = sorted(draw(st.lists(st.sampled_from(STAMPS), min_size=1, max_size=12)), key=STAMPS.index)
    number, lines = 0, []
    for stamp in stamps:
        if draw(st.booleans()):
            number += 1
            lines.append(f"{stamp} {encode(Message('info', draw(st.sampled_from('ab'))), number)}")
        else:
            lines.append(f"{stamp} {draw(st.sampled_from(['same', 'same', 'other', '']))}")
    return lines


@given(logs(), st.lists(st.integers(0, 400), max_size=4))
def test_a_log_that_is_cut_and_read_again(lines: list[str], cuts: list[int]) -> None:
    position, seen = Position(decode), []
    whole = "\n".join(lines) + "\n"
    for cut in [*cuts, len(whole)]:
        position.begin()
        *complete, rest = whole[:cut].split("\n")
        # a client cannot tell a line that a cut has shortened: one of ours may come too
        pieces = [*complete, *([rest] if '{"' in rest else [])]
        seen += [text for line in pieces if (text := position.take(line)) is not None]
    assert seen == [line.partition(" ")[2] for line in lines]
    assert not position.lost


def test_records_that_are_gone_are_counted() -> None:
    position = Position(decode)
    assert position.take(f"{STAMPS[0]} {encode(Message('info', 'x'), 4)}")
    assert position.lost == 3


def test_a_line_that_is_cut_is_shown_when_nothing_more_will_come() -> None:
    position = Position(decode)
    assert position.take(f'{STAMPS[0]} {{"gazami":1,') is None
    assert position.take(f'{STAMPS[0]} {{"gazami":1,', final=True) == '{"gazami":1,'
