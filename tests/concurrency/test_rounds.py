"""How many requests of a build wait for one another. What does not wait is asked together, so a registry that is far away costs its
distance so many times, and not once a step."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.registry.faults import FaultyRegistry, faulty
from tests.programs import gazami
from tests.services import Registry, docker_registry

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]

QUIET = 0.3
"""Seconds without a new request after which those that wait are let through together."""


@dataclass
class Rounds:
    """A gate that opens when no request has come for a while, for all that wait by then: a round."""

    count: int = 0
    sizes: list[int] = field(default_factory=list)
    _arrived: int = 0
    _waiting: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def passed(self) -> None:
        with self._changed:
            this = self.count
            self._arrived += 1
            self._waiting += 1
            while self.count == this:
                seen = self._arrived
                if not self._changed.wait(QUIET) and seen == self._arrived and self.count == this:
                    self.sizes.append(self._waiting)
                    self.count, self._waiting = self.count + 1, 0
                    self._changed.notify_all()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with docker_registry(tmp_path_factory.mktemp("rounds")) as running:
        yield running


@contextmanager
def counted(registry: Registry) -> Iterator[tuple[FaultyRegistry, Rounds]]:
    with faulty(registry.host) as proxy:
        rounds = Rounds()
        proxy.gate = rounds.passed
        yield proxy, rounds


STEPS = "".join(f"WORKDIR /w{number}\nCOPY file{number} /w{number}/\n" for number in range(8))


@pytest.fixture
def context(tmp_path: Path, registry: Registry) -> Path:
    """With a base that is in the registry, and a build whose every step is in the cache there."""
    base, context = tmp_path / "base", tmp_path / "context"
    base.mkdir()
    (base / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /srv/\n")
    built(base, registry.host, tmp_path / "s1", "-d", f"{registry.host}/base")
    context.mkdir()
    for number in range(8):
        (context / f"file{number}").write_text(str(number))
    (context / "Dockerfile").write_text(f"ARG HOST\nFROM $HOST/base\n{STEPS}")
    built(context, registry.host, tmp_path / "s2", "-d", f"{registry.host}/first", *cache(registry.host))
    return context


def cache(host: str) -> tuple[str, ...]:
    return "--cache", f"--cache-repo={host}/cache", "--cache-copy-layers"


def built(context: Path, host: str, state: Path, *flags: str) -> None:
    done = gazami(
        "build", str(context), "--insecure", "--insecure-pull", f"--build-arg=HOST={host}", f"--state-dir={state}", *flags
    )
    assert done.returncode == 0, done.stderr


def test_a_pushed_build_from_the_cache(context: Path, registry: Registry, tmp_path: Path) -> None:
    """Manifest and config of the base; the look-ups, the base's files and the push check; mounts and config; the manifest."""
    with counted(registry) as (proxy, rounds):
        built(context, proxy.host, tmp_path / "s3", "-d", f"{proxy.host}/second", *cache(proxy.host))
    assert rounds.count <= 6, rounds.sizes
    assert max(rounds.sizes) >= 10


def test_a_build_whose_last_file_changed(context: Path, registry: Registry, tmp_path: Path) -> None:
    """One more, for the upload of the layer."""
    (context / "file7").write_text("changed")
    with counted(registry) as (proxy, rounds):
        built(context, proxy.host, tmp_path / "s3", "-d", f"{proxy.host}/third", *cache(proxy.host), "--no-push-cache")
    assert rounds.count <= 9, rounds.sizes


def test_a_build_that_has_no_cache(context: Path, registry: Registry, tmp_path: Path) -> None:
    with counted(registry) as (proxy, rounds):
        built(context, proxy.host, tmp_path / "s3", "-d", f"{proxy.host}/fourth")
    assert rounds.count <= 7, rounds.sizes
