"""An upload ends, well or with an error, under any sequence of answers, and never sends bytes that do not exist."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gazami.registry.upload import LOST, Answer, Commit, Done, GaveUp, Send, advance, begin

STATUSES = [LOST, 200, 201, 202, 204, 301, 307, 400, 401, 403, 404, 405, 408, 410, 413, 416, 429, 500, 502, 503, 504]

ANSWERS = st.builds(
    Answer,
    st.sampled_from(STATUSES),
    st.none() | st.sampled_from(["http://a/1", "http://b/2?x=y"]),
    st.none() | st.integers(0, 40),
    st.none() | st.floats(0, 10),
)


@given(
    size=st.integers(0, 30) | st.integers(1 << 20, 1 << 40),
    mounts=st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(tuple),
    attempts=st.integers(1, 5),
    answers=st.lists(ANSWERS, min_size=1, max_size=40),
)
def test_an_upload_ends(size: int, mounts: tuple[str, ...], attempts: int, answers: list[Answer]) -> None:
    """The answers are repeated for ever. A session that reports progress by single bytes may take size × attempts."""
    upload = begin(size, mounts, attempts)
    known = min(size, 40) + max((answer.received or 0) for answer in answers)
    bound = len(mounts) + 20 * (attempts + 1) * (attempts + 1) * (known + 2)
    for step in range(bound):
        if isinstance(upload.action, (Done, GaveUp)):
            break
        if isinstance(upload.action, Send):
            sent = upload.action
            assert sent.location and sent.length > 0 and sent.offset >= 0 and sent.offset + sent.length <= size
        if isinstance(upload.action, Commit):
            assert upload.action.location and upload.offset == size
        upload = advance(upload, answers[step % len(answers)])
    assert isinstance(upload.action, (Done, GaveUp))


@given(
    size=st.integers(1, 100),
    cuts=st.lists(st.integers(0, 100), max_size=10),
    chunked=st.booleans(),
)
def test_a_registry_that_keeps_track_gets_each_byte_once(size: int, cuts: list[int], *, chunked: bool) -> None:
    """A model of a correct registry behind a connection that is cut after so many bytes of each PATCH."""
    stored: list[int] = []
    upload = begin(size, attempts=len(cuts) + 2)
    waiting = list(cuts)
    while not isinstance(upload.action, (Done, GaveUp)):
        match upload.action:
            case Send(_, offset, length):
                assert offset == len(stored)
                part = min(length, waiting.pop()) if waiting else length
                stored.extend(range(offset, offset + part))
                answer = Answer(202, "http://r/u", len(stored)) if part == length else Answer(LOST)
            case Commit():
                answer = Answer(201) if len(stored) == size else Answer(400)
            case action if type(action).__name__ == "Ask":
                answer = Answer(204, "http://r/u" if chunked else None, len(stored))
            case action if type(action).__name__ == "Start":
                answer = Answer(202, "http://r/u")
            case _:
                answer = Answer(404)
        upload = advance(upload, answer)
    assert upload.action == Done("moved")
    assert stored == list(range(size))
