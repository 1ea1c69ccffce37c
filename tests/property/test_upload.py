"""An upload ends, well or with an error, whatever the registry answers, and never sends bytes that do not exist."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from gazami.registry.upload import (
    LOST,
    SMALL,
    WHOLE,
    Answer,
    Ask,
    Commit,
    Done,
    GaveUp,
    Head,
    MountBlob,
    Send,
    SendAll,
    Start,
    advance,
    begin,
)

STEPS = 50_000
"""Far more than any upload takes here, where progress comes in at most 40 bytes or some 64 pieces."""

BAD = [LOST, 307, 400, 403, 404, 413, 416, 503]
GOOD = [200, 201, 202, 204]
USUAL = {
    MountBlob: Answer(202, "http://a/1"),
    Start: Answer(202, "http://a/1"),
    Send: Answer(202),
    SendAll: Answer(201),
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
            assert action.location and action.length > 0 and action.offset >= 0 and action.offset + action.length <= size
        if isinstance(action, SendAll):
            assert action.location and 0 < size <= WHOLE and not upload.offset
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


MISHAPS = ("lost", "unanswered", "503", "429", "416", "400", "404", "413", "half", "no location", "wrong range", "forgets",
           "not this way")  # fmt: skip


@dataclass(slots=True)
class Registry:
    """A registry that stores what reaches it and commits only bytes that are right, with mishaps on the way."""

    size: int
    mishaps: list[str]
    mounts: bool
    session: int = 0
    """The number of the session that is open, and the bytes that it has."""
    received: int = 0
    stored: bool = False
    requests: int = 0
    sent: int = 0
    kinds: list[type] = field(default_factory=list)

    def answer(self, action: object) -> Answer:
        self.requests += 1
        self.kinds.append(type(action))
        mishap = self.mishaps.pop() if self.mishaps else ""
        if mishap == "lost":
            return Answer(LOST)
        if mishap in ("503", "429", "416", "400", "404", "413") and not isinstance(action, Head):
            return Answer(int(mishap))
        if mishap == "forgets":
            self.session, self.received = self.session + 1, 0
        if mishap == "half" and isinstance(action, Send):
            self.received = action.offset + action.length // 2
            self.sent += action.length // 2
            return Answer(LOST)
        if mishap == "half" and isinstance(action, SendAll):
            self.received = self.size // 2
            self.sent += self.received
            return Answer(LOST)
        if mishap == "not this way" and isinstance(action, SendAll):
            return Answer(202, self._here(), 0)
        told = self._told(action)
        if mishap == "unanswered":
            return Answer(LOST)
        if mishap == "no location":
            return Answer(told.status, None, told.received)
        if mishap == "wrong range":
            return Answer(told.status, told.location, (told.received or 0) * 2 + 1)
        return told

    def _told(self, action: object) -> Answer:
        match action:
            case Head():
                return Answer(200 if self.stored else 404)
            case MountBlob():
                self.stored = self.stored or self.mounts
                return Answer(201) if self.mounts else self._open()
            case Start():
                return self._open()
            case Send(location, offset, length):
                if location != self._here() or offset != self.received:
                    return Answer(416 if location == self._here() else 404)
                self.received += length
                self.sent += length
                return Answer(202, self._here(), self.received)
            case SendAll(location):
                if location != self._here() or self.received:
                    return Answer(404 if location != self._here() else 400)
                self.stored, self.received, self.sent = True, self.size, self.sent + self.size
                return Answer(201)
            case Ask(location):
                return Answer(204, self._here(), self.received) if location == self._here() else Answer(404)
            case Commit(location):
                if location != self._here():
                    return Answer(404)
                self.stored = self.stored or self.received == self.size
                return Answer(201) if self.received == self.size else Answer(400)
            case _:
                raise AssertionError(action)

    def _open(self) -> Answer:
        self.session, self.received = self.session + 1, 0
        return Answer(202, self._here())

    def _here(self) -> str:
        return f"http://r/{self.session}"


@settings(max_examples=1500, deadline=None)
@given(
    size=st.integers(0, 100) | st.integers(1 << 21, 1 << 23),
    attempts=st.integers(2, 5),
    mounts=st.sampled_from([(), ("a",), ("a", "b")]),
    can_mount=st.booleans(),
    mishaps=st.lists(st.sampled_from(MISHAPS) | st.just(""), max_size=25),
)
def test_no_success_is_claimed_for_bytes_that_are_not_stored(
    size: int, attempts: int, mounts: tuple[str, ...], can_mount: bool, mishaps: list[str]
) -> None:
    registry = Registry(size, list(mishaps), can_mount)
    upload = begin(size, mounts, attempts)
    while not isinstance(upload.action, (Done, GaveUp)):
        assert registry.requests < 400, registry.kinds[-20:]
        upload = advance(upload, registry.answer(upload.action))
    if isinstance(upload.action, Done):
        assert registry.stored
    elif not mishaps:
        raise AssertionError("gave up without a reason")


@given(size=st.integers(0, 1 << 23), attempts=st.integers(2, 5), mounts=st.sampled_from([(), ("a",), ("a", "b")]))
def test_a_registry_without_mishaps_gets_each_byte_once_and_few_requests(size: int, attempts: int, mounts: tuple[str, ...]) -> None:
    registry = Registry(size, [], False)
    upload = begin(size, mounts, attempts)
    while not isinstance(upload.action, (Done, GaveUp)):
        upload = advance(upload, registry.answer(upload.action))
    assert upload.action == Done("moved") and registry.stored and registry.sent == size
    most = 2 if 0 < size <= SMALL else 3 if 0 < size <= WHOLE else 4
    assert registry.requests <= most + len(mounts)


@given(status=st.sampled_from([202, 302, 400, 403, 404, 405, 410, 411, 413, 416, 501]), mounts=st.sampled_from([(), ("a",)]))
def test_a_registry_that_takes_no_blob_with_its_digest_costs_no_attempt(status: int, mounts: tuple[str, ...]) -> None:
    """It is no trouble of the moment: neither a pause nor the only attempt is spent on it."""
    registry = Registry(10, [], False)
    upload = begin(10, mounts, attempts=1)
    while not isinstance(upload.action, (Done, GaveUp)):
        refused = isinstance(upload.action, SendAll)
        upload = advance(upload, Answer(status, "http://r/x") if refused else registry.answer(upload.action))
        assert not upload.pause.failures
    assert upload.action == Done("moved") and registry.stored and registry.sent == 10
