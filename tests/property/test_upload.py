"""An upload ends, well or with an error, whatever the registry answers, and never sends bytes that do not exist."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gazami.registry.upload import LOST, Answer, Ask, Commit, Done, GaveUp, Head, Mount, Send, Start, advance, begin

STEPS = 50_000
"""Far more than any upload takes here, where progress comes in at most 40 bytes or some 64 pieces."""

BAD = [LOST, 307, 400, 403, 404, 413, 416, 503]
GOOD = [200, 201, 202, 204]
USUAL = {
    Mount: Answer(202, "http://a/1"),
    Start: Answer(202, "http://a/1"),
    Send: Answer(202),
    Commit: Answer(201),
    Ask: Answer(204, received=7),
}


def answers(statuses: list[int], usual: Answer | None = None) -> st.SearchStrategy[list[Answer]]:
    wild = st.builds(
        Answer,
        st.sampled_from(statuses),
        st.none() | st.just("http://b/2?x=y"),
        st.none() | st.integers(0, 40),
        st.none() | st.floats(0, 10),
    )
    return st.lists(wild if usual is None else st.just(usual) | wild, min_size=1, max_size=3)


@settings(max_examples=400)
@given(
    size=st.integers(0, 30) | st.integers(1 << 20, 1 << 26),
    mounts=st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(tuple),
    attempts=st.integers(2, 5),
    registry=st.fixed_dictionaries(
        {Head: answers([404, 403, 503])} | {kind: answers(BAD + GOOD, usual) for kind, usual in USUAL.items()}
    ),
)
def test_an_upload_ends(size: int, mounts: tuple[str, ...], attempts: int, registry: dict[type, list[Answer]]) -> None:
    """For each action the registry has a few answers, which it repeats in turn for ever."""
    upload = begin(size, mounts, attempts)
    for step in range(STEPS):
        action = upload.action
        if isinstance(action, (Done, GaveUp)):
            return
        if isinstance(action, Send):
            assert (
                action.location and action.length > 0 and action.offset >= 0 and action.offset + action.length <= size
            )
        if isinstance(action, Commit):
            assert action.location and upload.offset == size
        told = registry[type(action)]
        upload = advance(upload, told[step % len(told)])
    raise AssertionError("the upload does not end")


@given(size=st.integers(1, 100), cuts=st.lists(st.integers(1, 100), max_size=10))
def test_a_registry_that_keeps_track_gets_each_byte_once(size: int, cuts: list[int]) -> None:
    """A correct registry behind a connection that is cut after so many bytes of each PATCH: as long as each gets
    further, two attempts are enough."""
    stored: list[int] = []
    upload = begin(size, attempts=2)
    waiting = list(cuts)
    while not isinstance(upload.action, (Done, GaveUp)):
        match upload.action:
            case Send(_, offset, length):
                assert offset == len(stored)
                part = min(length, waiting.pop()) if waiting else length
                stored.extend(range(offset, offset + part))
                answer = Answer(202, "http://r/u") if part == length else Answer(LOST)
            case Commit():
                answer = Answer(201) if len(stored) == size else Answer(400)
            case Ask():
                answer = Answer(204, received=len(stored))
            case Start():
                answer = Answer(202, "http://r/u")
            case _:
                answer = Answer(404)
        upload = advance(upload, answer)
    assert upload.action == Done("moved")
    assert stored == list(range(size))
