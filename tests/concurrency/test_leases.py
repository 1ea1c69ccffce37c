"""Leases on cache keys: who gets one, who waits, and that nothing but time is lost when it goes wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
from tests.roots import busybox_root
from tests.strict_registry import Manners, Quirks, StrictRegistry, strict_registry

from gazami.cache import directory_lease
from gazami.cache.directory_lease import DirectoryLeases
from gazami.cache.keys import Key
from gazami.cache.lease import Acquired, Lease, Leases, Pace, lease_tag
from gazami.cache.repository import RepositoryStore
from gazami.cache.repository_lease import RepositoryLeases
from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError, RegistryError
from gazami.image.reference import parse_reference
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain
from gazami.registry.options import RegistryOptions
from gazami.registry.retry import RetryPolicy

KEY = Key("a" * 64)
QUICK = Pace(beat=0.2, dead=1.0, look=0.05, longest_look=0.1, settle=0.05)

pytestmark = pytest.mark.timeout(120)


class Broken(Exception):
    pass


class Place:
    """A cache in which every builder has its own leases; ``entry`` is what the cache has for the key."""

    def __init__(self, make: Callable[[Cancel, float], Leases]) -> None:
        self._make = make
        self._made: list[Leases] = []
        self.entry = ""

    def builder(self, bound: float = 30.0, cancel: Cancel | None = None) -> Leases:
        self._made.append(self._make(cancel or Cancel(), bound))
        return self._made[-1]

    def acquire(self, leases: Leases, waiting: Callable[[], None] = lambda: None) -> Acquired[str]:
        return leases.acquire(KEY, lambda: self.entry or None, waiting)

    def close(self) -> None:
        for each in self._made:
            each.close()


def in_repository(registry: StrictRegistry, cancel: Cancel, bound: float = 30.0, pace: Pace = QUICK) -> RepositoryLeases:
    client = RegistryClient(RegistryOptions(retry=RetryPolicy(attempts=1)), Keychain([]), lambda _: None, cancel)
    store = RepositoryStore(client, parse_reference(f"{registry.host}/cache"))
    return RepositoryLeases(client, lambda _: store, bound, pace)


@pytest.fixture
def registry() -> Iterator[StrictRegistry]:
    with strict_registry(Quirks()) as made:
        yield made


@pytest.fixture(params=["repository", "directory"])
def place(request: pytest.FixtureRequest, registry: StrictRegistry, tmp_path: Path) -> Iterator[Place]:
    if request.param == "repository":
        made = Place(lambda cancel, bound: in_repository(registry, cancel, bound))
    else:
        made = Place(lambda cancel, bound: DirectoryLeases(tmp_path / "cache", bound, lambda: cancel))
    yield made
    made.close()


def waits(place: Place, leases: Leases) -> tuple[Callable[[], Acquired[str]], threading.Event]:
    """Acquire in a thread, from when it waits; returns what gives the result."""
    waiting, pool = threading.Event(), ThreadPoolExecutor(1, thread_name_prefix="test")
    future = pool.submit(place.acquire, leases, waiting.set)
    pool.shutdown(wait=False)
    return lambda: future.result(20), waiting


def test_one_builds_and_the_other_takes_what_it_made(place: Place) -> None:
    first = place.acquire(place.builder())
    assert first.held is not None
    second, waiting = waits(place, place.builder())
    assert waiting.wait(10)
    time.sleep(2 * QUICK.dead)  # the holder is renewed meanwhile
    assert first.held is not None
    place.entry = "layer"
    first.held.release(stored=True)
    assert second() == Acquired("layer")
    assert place.acquire(place.builder()).found == "layer"  # without waiting


def test_of_one_that_fails_the_others_do_not_wait_for_each_other(place: Place) -> None:
    first = place.acquire(place.builder())
    others = [waits(place, place.builder()) for _ in range(3)]
    assert all(waiting.wait(10) for _, waiting in others)
    assert first.held is not None
    first.held.release(stored=False)
    assert [result() for result, _ in others] == [Acquired()] * 3
    assert place.acquire(place.builder()).held is not None  # who comes later may have it


def test_a_wait_is_bounded(place: Place) -> None:
    assert place.acquire(place.builder()).held is not None
    began = time.monotonic()
    assert place.acquire(place.builder(bound=0.3)) == Acquired(late=True)
    assert time.monotonic() - began < 5


def test_a_wait_ends_at_once_when_the_build_is_cancelled(place: Place) -> None:
    assert place.acquire(place.builder()).held is not None
    cancel = Cancel()
    second, waiting = waits(place, place.builder(cancel=cancel))
    assert waiting.wait(10)
    began = time.monotonic()
    cancel.set()
    with pytest.raises(Cancelled):
        second()
    assert time.monotonic() - began < 1


def test_two_steps_of_one_build_with_one_key_wait_for_each_other(place: Place) -> None:
    leases = place.builder()
    first = place.acquire(leases)
    second, waiting = waits(place, leases)
    assert waiting.wait(10)
    place.entry = "layer"
    assert first.held is not None
    first.held.release(stored=True)
    assert second() == Acquired("layer")


def test_only_the_first_word_counts(place: Place) -> None:
    first = place.acquire(place.builder())
    second, waiting = waits(place, place.builder())
    assert waiting.wait(10)
    assert first.held is not None
    first.held.release(stored=False)
    first.held.release(stored=True)
    assert second() == Acquired()


# -- the protocol with a registry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [0, 1])
def test_of_two_that_claim_at_once_the_last_write_wins(registry: StrictRegistry, last: int) -> None:
    """Both have read that nobody holds it, before either has written: the order of the writes decides, whichever it is."""
    both_have_read, written = threading.Barrier(2), threading.Event()
    number = threading.local()
    reads: dict[int, int] = {}

    def before(request: str) -> None:
        if not request.endswith(".lease"):
            return
        me = getattr(number, "me", None)  # a connection has a thread, and a builder a connection
        if me is None:
            me = number.me = len(reads)
            reads[me] = 0
        if request.startswith("GET") and not reads[me]:
            reads[me] = 1
            both_have_read.wait(10)
        if request.startswith("PUT") and reads[me] == 1:
            reads[me] = 2
            if me == last:
                written.wait(10)
            else:
                threading.Timer(0.02, written.set).start()

    registry.before = before
    pace = Pace(beat=30, dead=60, look=0.1, longest_look=0.2, settle=1.0)
    builders = [in_repository(registry, Cancel(), pace=pace) for _ in range(2)]
    waiting = threading.Event()
    stored: list[str] = []

    def build(leases: RepositoryLeases) -> str:
        acquired: Acquired[str] = leases.acquire(KEY, lambda: stored[0] if stored else None, waiting.set)
        if acquired.held is None:
            return f"found {acquired.found}"
        assert waiting.wait(10)
        stored.append("layer")
        acquired.held.release(stored=True)
        return "built"

    with ThreadPoolExecutor(2, thread_name_prefix="test") as pool:
        assert sorted(pool.map(build, builders)) == ["built", "found layer"]
    for each in builders:
        each.close()


def test_the_lease_of_a_holder_that_says_nothing_more_is_taken_over(registry: StrictRegistry) -> None:
    dead = in_repository(registry, cancel := Cancel())
    assert dead.acquire(KEY, lambda: None, lambda: None).held is not None
    cancel.set()  # no word of it reaches the registry any more
    second = in_repository(registry, Cancel())
    began, waiting = time.monotonic(), threading.Event()
    acquired: Acquired[str] = second.acquire(KEY, lambda: None, waiting.set)
    assert acquired.held is not None
    assert waiting.is_set()
    assert 0.9 * QUICK.dead < time.monotonic() - began < 5
    second.close()


def test_who_was_thought_dead_does_not_disturb_the_next_one_but_brings_good_news(registry: StrictRegistry) -> None:
    slow, quick = in_repository(registry, Cancel(), pace=Pace(60, 60, 0.05, 0.1, 0.05)), in_repository(registry, Cancel())
    first = slow.acquire(KEY, lambda: None, lambda: None)
    second = quick.acquire(KEY, lambda: None, lambda: None)
    assert first.held is not None
    assert second.held is not None
    slow._held[0].lost = True  # as its next beat would see
    first.held.release(stored=False)
    slow.close()
    assert state_of(registry) == "held"
    second.held.release(stored=True)
    quick.close()
    assert state_of(registry) == "stored"


def state_of(registry: StrictRegistry) -> str:
    raw = registry.manifests["cache", lease_tag(KEY)][1].decode()
    found = re.search(r'lease.state": ?"(\w+)"', raw)
    assert found
    return found[1]


@pytest.mark.parametrize("request_", ["PUT", "GET"])
def test_a_registry_that_refuses_says_so_once(request_: str) -> None:
    with strict_registry(Quirks(denied=rf"{request_} .*\.lease")) as registry:
        leases = in_repository(registry, Cancel())
        with pytest.raises(RegistryError):
            leases.acquire(KEY, lambda: None, lambda: None)
        leases.close()


def test_a_registry_that_forgets_or_keeps_the_old_one_has_no_leases(registry: StrictRegistry) -> None:
    registry.before = lambda request: registry.manifests.clear() if request.startswith("GET") else None
    leases = in_repository(registry, Cancel())
    with pytest.raises(RegistryError, match="does not keep"):
        leases.acquire(KEY, lambda: None, lambda: None)


@pytest.mark.parametrize("when", ["beat", "last word"])
def test_a_bug_in_the_thread_that_writes_reaches_the_build(
    registry: StrictRegistry, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    leases = in_repository(registry, Cancel())
    held = leases.acquire(KEY, lambda: None, lambda: None).held
    assert held is not None

    def broken(*_: object) -> None:
        raise Broken

    monkeypatch.setattr(leases, "_write", broken)
    if when == "last word":
        held.release(stored=True)
    else:
        time.sleep(3 * QUICK.beat)
    with pytest.raises(Broken):
        leases.close()


def test_a_registry_that_is_away_for_some_beats_ends_nothing(registry: StrictRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = in_repository(registry, Cancel())
    held = leases.acquire(KEY, lambda: None, lambda: None).held
    assert held is not None
    write, failures = leases._write, iter([True, True])

    def away(key: Key, lease: Lease) -> None:
        if next(failures, False):
            raise GazamiError("away")
        write(key, lease)

    monkeypatch.setattr(leases, "_write", away)
    time.sleep(5 * QUICK.beat)
    held.release(stored=True)
    leases.close()
    assert state_of(registry) == "stored"


@pytest.mark.parametrize("state", ["stored", "failed", "held"])
def test_who_takes_each_claim_back_holds_nobody_up_longer_than_the_bound(
    registry: StrictRegistry, monkeypatch: pytest.MonkeyPatch, state: Literal["stored", "failed", "held"]
) -> None:
    """Somebody who can write to the cache, and does it after every write of ours."""
    leases, number = in_repository(registry, Cancel(), bound=1.0), count()
    write = leases._write

    def spoiled(key: Key, lease: Lease) -> None:
        write(key, lease)
        write(key, Lease(str(next(number)), state))

    monkeypatch.setattr(leases, "_write", spoiled)
    began = time.monotonic()
    acquired: Acquired[str] = leases.acquire(KEY, lambda: None, lambda: None)
    assert acquired.held is None and 0.9 < time.monotonic() - began < 5


def test_nor_does_who_replaces_the_file_of_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_lease, "is_at", lambda *_: False)
    leases = DirectoryLeases(tmp_path, 0.5, Cancel)
    assert leases.acquire(KEY, lambda: None, lambda: None) == Acquired(late=True)


# -- builds ------------------------------------------------------------------------------------------------------------

PACED = """
import os, sys
import gazami.cache.repository_lease as lease
from gazami.cache.lease import Pace
lease.Pace = lambda: Pace(0.3, 2.0, 0.1, 0.3, 0.1)
from gazami.cli.main import run
sys.exit(run(sys.argv[1:], os.environ))
"""


class Builds:
    """Builds of one Dockerfile at once, each a process with a state of its own."""

    def __init__(self, place: Path, host: str) -> None:
        self.place, self.host, self.count = place, host, 0
        self.program = PACED
        self.cache = f"{host}/cache"
        (place / "base").mkdir()
        busybox_root(place / "base/root")
        (place / "base/Dockerfile").write_text("FROM scratch\nCOPY root /\n")
        done = self.start("", context=place / "base", tag="base")
        assert done.wait(60) == 0, self.log(done)

    def context(self, run: str) -> Path:
        context = self.place / f"context-{self.count}"
        context.mkdir()
        (context / "Dockerfile").write_text(f"FROM {self.host}/base\nRUN {run}\n")
        return context

    def start(self, run: str, *flags: str, context: Path | None = None, tag: str = "app") -> subprocess.Popen[bytes]:
        self.count += 1
        state, digest = (self.place / f"{name}-{self.count}" for name in ("state", "digest"))
        words = [
            "build", str(context or self.context(run)), f"-t={self.host}/{tag}", f"--state-dir={state}", "--cache",
            f"--cache-repo={self.cache}", f"--digest-file={digest}", *flags,
        ]  # fmt: skip
        with (self.place / f"log-{self.count}").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-c", self.program, *words], stdout=log, stderr=log, start_new_session=True)
        process.number = self.count  # type: ignore[attr-defined]
        return process

    def log(self, process: subprocess.Popen[bytes]) -> str:
        return (self.place / f"log-{process.number}").read_text()  # type: ignore[attr-defined]

    def digest(self, process: subprocess.Popen[bytes]) -> str:
        return (self.place / f"digest-{process.number}").read_text()  # type: ignore[attr-defined]

    def until(self, process: subprocess.Popen[bytes], text: str) -> None:
        end = time.monotonic() + 30
        while text not in self.log(process):
            assert time.monotonic() < end, self.log(process)
            assert process.poll() is None, self.log(process)
            time.sleep(0.02)


@pytest.fixture
def builds(registry: StrictRegistry, tmp_path: Path) -> Builds:
    return Builds(tmp_path, registry.host)


UNLIKE = "echo BEGIN; sleep {seconds}; head -c 16 /dev/urandom > /made"
"""A step that makes something else each time, so that who has the same digest has the same layer."""

CASES = [("repository", ("--cache-lease=on",)), ("directory", ()), ("shards", ("--cache-lease=on",))]


def place_cache(builds: Builds, where: str) -> None:
    places = {"directory": f"oci:{builds.place / 'cache'}", "shards": ",".join(f"{builds.host}/cache/{n}" for n in "abc")}
    builds.cache = places.get(where, builds.cache)


@pytest.mark.sandbox
@pytest.mark.parametrize(("where", "flags"), CASES)
def test_twelve_builders_run_a_step_once(builds: Builds, where: str, flags: tuple[str, ...]) -> None:
    place_cache(builds, where)
    running = [builds.start(UNLIKE.format(seconds=1), *flags) for _ in range(12)]
    assert [each.wait(60) for each in running] == [0] * 12, "\n".join(map(builds.log, running))
    assert sum("BEGIN" in builds.log(each).replace("echo BEGIN", "") for each in running) == 1
    assert len({builds.digest(each) for each in running}) == 1
    assert any("waiting for another build of this step: RUN echo BEGIN" in builds.log(each) for each in running)
    assert any("the other build made it" in builds.log(each) for each in running)


@pytest.mark.sandbox
@pytest.mark.parametrize("where", ["repository", "directory"])
def test_without_leases_each_builder_runs_it(builds: Builds, where: str) -> None:
    place_cache(builds, where)
    running = [builds.start(UNLIKE.format(seconds=1), "--cache-lease=off") for _ in range(2)]
    assert [each.wait(60) for each in running] == [0, 0]
    assert len({builds.digest(each) for each in running}) == 2


@pytest.mark.sandbox
@pytest.mark.parametrize(("where", "flags"), CASES[:2])
def test_who_waits_takes_over_when_the_builder_is_killed(builds: Builds, where: str, flags: tuple[str, ...]) -> None:
    place_cache(builds, where)
    run = "echo BEGIN; sleep 2; echo made > /made"
    first = builds.start(run, *flags)
    builds.until(first, "│ BEGIN")
    second = builds.start(run, *flags)
    builds.until(second, "waiting for another build")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(10)
    assert second.wait(60) == 0, builds.log(second)
    assert "the other build is gone, making it here" in builds.log(second)
    assert "│ BEGIN" in builds.log(second)


@pytest.mark.sandbox
@pytest.mark.parametrize(("where", "flags"), CASES[:2])
def test_a_step_that_fails_fails_in_all_builds_at_once(builds: Builds, where: str, flags: tuple[str, ...]) -> None:
    place_cache(builds, where)
    running = [builds.start("echo BEGIN; sleep 1; exit 9", *flags) for _ in range(3)]
    began = time.monotonic()
    assert [each.wait(60) for each in running] == [9] * 3
    assert time.monotonic() - began < 15
    assert sum("the other build failed, making it here" in builds.log(each) for each in running) == 2


@pytest.mark.sandbox
@pytest.mark.parametrize("asked", ["PUT", "GET"])
def test_a_registry_without_leases_is_a_warning_and_no_more(tmp_path: Path, asked: str) -> None:
    with strict_registry(Quirks(denied=rf"{asked} .*\.lease")) as registry:
        builds = Builds(tmp_path, registry.host)
        running = [builds.start(UNLIKE.format(seconds=1), "--cache-lease=on") for _ in range(2)]
        assert [each.wait(60) for each in running] == [0, 0]
        for each in running:
            assert builds.log(each).count("no leases in the cache") == 1, builds.log(each)


@pytest.mark.sandbox
def test_a_registry_whose_tags_cannot_move_is_a_builders_own_matter(tmp_path: Path) -> None:
    """The lease is written once and never again. Who waits thinks that the holder is dead, is refused, and builds."""
    manners = Manners(moved=(400, '{"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]}'))
    with strict_registry(Quirks(manners=manners)) as registry:
        builds = Builds(tmp_path, registry.host)
        first = builds.start(UNLIKE.format(seconds=3), "--cache-lease=on", tag="one")
        builds.until(first, "│ BEGIN")
        second = builds.start(UNLIKE.format(seconds=1), "--cache-lease=on", tag="two")
        assert [each.wait(60) for each in (first, second)] == [0, 0], builds.log(first) + builds.log(second)


@pytest.mark.sandbox
def test_a_cache_that_takes_no_layers_makes_no_stage_wait_for_another(tmp_path: Path) -> None:
    """The first refusal is a warning, and nothing is stored after it: the leases on what is not stored are given back all the same,
    or two stages with one command would wait for each other in one build."""
    with strict_registry(Quirks(denied=r"PUT .*cache/manifests/[^.]*$")) as registry:
        builds = Builds(tmp_path, registry.host)
        context = builds.context("")
        stage = f"FROM {builds.host}/base AS {{}}\nRUN sleep 1; echo > /x\nRUN sleep 1; echo > /y\nRUN sleep 1; echo > /z\n"
        last = "FROM scratch\nCOPY --from=a /z /a\nCOPY --from=b /z /b\n"
        (context / "Dockerfile").write_text(stage.format("a") + stage.format("b") + last)
        began = time.monotonic()
        done = builds.start("", "--cache-lease=on", "--cache-lease-timeout=25s", context=context)
        assert done.wait(100) == 0, builds.log(done)
        assert "cannot store layers" in builds.log(done) and "waiting for another build" in builds.log(done)
        assert time.monotonic() - began < 24, builds.log(done)


@pytest.mark.sandbox
def test_ctrl_c_ends_a_wait_at_once(builds: Builds) -> None:
    first = builds.start("echo BEGIN; sleep 3", "--cache-lease=on")
    builds.until(first, "│ BEGIN")
    second = builds.start("echo BEGIN; sleep 3", "--cache-lease=on")
    builds.until(second, "waiting for another build")
    began = time.monotonic()
    second.send_signal(signal.SIGINT)
    assert second.wait(10) == 130
    assert time.monotonic() - began < 2
    assert first.wait(30) == 0


@pytest.mark.sandbox
def test_what_a_single_builder_pays(builds: Builds, registry: StrictRegistry) -> None:
    """Four requests for each step that runs, and none for one that hits: the lease is read, written, read again and given back."""
    builds.program = PACED.replace("lease.Pace =", "_ =")
    counts: dict[str, list[int]] = {}
    for use in ("off", "on"):
        builds.cache = f"{builds.host}/cache-{use}"
        registry.seen.clear()
        for _ in range(2):
            assert builds.start("echo > /x; cp /x /y", f"--cache-lease={use}", tag=f"app-{use}").wait(60) == 0
            counts.setdefault(use, []).append(len(registry.seen))
            registry.seen.clear()
    assert counts["on"][0] - counts["off"][0] == 4, counts
    assert counts["on"][1] == counts["off"][1], counts
