"""Leases in a repository of a registry: a manifest under a tag beside the key's (``cache.lease`` has the theory)."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from gazami.cache.keys import Key
from gazami.cache.lease import Acquired, Held, Lease, Pace, Watch, decode_lease, encode_lease, lease_tag
from gazami.cache.repository import RepositoryStore
from gazami.errors import Cancelled, GazamiError, NotFoundError, RegistryError
from gazami.image.manifest import Manifest
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.values import fast_dataclass
from gazami.worker import Worker

T = TypeVar("T")
_SLOWER = 1.5
_TRIPS = 4
"""A claim settles for so many times as long as it took itself: another builder's may be slower, and begin before ours is seen."""


class RepositoryLeases:
    """``store`` gives the store of a key. ``bound`` is how long a step waits, in seconds."""

    def __init__(
        self, client: RegistryClient, store: Callable[[str], RepositoryStore], bound: float, pace: Pace | None = None
    ) -> None:
        self._client, self._store = client, store
        self._bound, self._pace = bound, pace or Pace()
        self._changed = threading.Condition()
        self._held: list[_Held] = []
        self._writing: Worker[None] | None = None
        self._over = False

    def acquire(self, key: Key, look_up: Callable[[], T | None], waiting: Callable[[], None]) -> Acquired[T]:
        watch, pause = Watch(time.monotonic(), self._bound, self._pace.dead), self._pace.look
        told = False
        self._store(key).push_config()  # before the look: nothing is to lie between it and the claim
        while True:
            asked = time.monotonic()
            lease = self._read(key)
            trip = time.monotonic() - asked
            match watch.next(lease, asked + trip):
                case "wait":
                    if not told:
                        told = True
                        waiting()
                    self._pause(min(pause, self._pace.longest_look) * random.uniform(0.7, 1.0))
                    pause *= _SLOWER
                    continue
                case "failed" | "late" as why:
                    return Acquired(look_up(), late=why == "late")
                case "look":
                    if (found := look_up()) is not None:
                        return Acquired(found)
                case "claim":
                    pass
            if (held := self._claim(key, lease, trip)) is not None:
                return Acquired(held=held)

    def close(self) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        if self._writing is not None:
            self._writing.result()

    def _pause(self, seconds: float) -> None:
        cancel = self._client.transport.cancel
        cancel.wait(seconds)
        cancel.check()

    def _at(self, key: Key) -> Reference:
        return self._store(key).repository.with_tag(lease_tag(key))

    def _read(self, key: Key) -> Lease | None:
        try:
            found = self._client.get_manifest(self._at(key), anew=True)
        except NotFoundError:
            return None
        if not isinstance(found, Manifest):
            raise RegistryError(f"{self._at(key)} is not a lease but an index")
        return decode_lease(found)

    def _write(self, key: Key, lease: Lease) -> None:
        manifest = encode_lease(lease)
        self._client.push_manifest(self._at(key), manifest.raw, manifest.media_type)

    def _claim(self, key: Key, before: Lease | None, trip: float) -> Held | None:
        """The lease if this build has won it, None if another one has. ``trip`` is how long it took to read it. Raises
        :class:`RegistryError` where what was written is not there."""
        mine, asked = Lease(os.urandom(8).hex()), time.monotonic()
        self._write(key, mine)
        self._pause(max(self._pace.settle, _TRIPS * (time.monotonic() - asked + trip)))
        there = self._read(key)
        if there == mine:
            return self._hold(key, mine)
        if there is None or there == before:
            raise RegistryError(f"{self._at(key)} does not keep what is written to it")
        return None

    # -- holding --------------------------------------------------------------------------------------------------

    def _hold(self, key: Key, lease: Lease) -> Held:
        held = _Held(self._give_back, key, lease)
        with self._changed:
            self._held.append(held)
            if self._writing is None:
                self._writing = Worker("lease", self._write_on)
        return held

    def _give_back(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _write_on(self) -> None:
        """Renew what is held and write last words: one thread does it, so that the last word is the last. Ends when the build is
        over, or cancelled; what is held then runs out."""
        cancel = self._client.transport.cancel
        due = time.monotonic() + self._pace.beat
        with cancel.on_set(self._give_back):
            while not cancel.is_set:
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._over or cancel.is_set or any(each.word for each in self._held),
                        max(0.0, due - time.monotonic()),
                    )
                    ended = [each for each in self._held if each.word]
                    self._held = [each for each in self._held if not each.word]
                    held = [] if time.monotonic() < due else list(self._held)
                    if self._over and not ended:
                        return
                if held:
                    due = time.monotonic() + self._pace.beat
                for each in (*ended, *held):
                    try:
                        self._say(each)
                    except Cancelled:
                        return
                    except GazamiError:
                        continue  # it is said again at the next beat, or the lease runs out

    def _say(self, held: _Held) -> None:
        """The last word on a lease, or that its holder is alive. Another build that took the lease over gets good news only."""
        if held.word is not None:
            if held.word == "stored" or not held.lost:
                self._write(held.key, held.lease.ended(stored=held.word == "stored"))
            return
        if held.lost:
            return
        there = self._read(held.key)
        held.lost = there is None or there.holder != held.lease.holder
        if not held.lost:
            held.lease = held.lease.renewed()
            self._write(held.key, held.lease)


@fast_dataclass(slots=True)
class _Held:
    """``word`` is the last one, set by the stage's thread; the rest belongs to the thread that writes."""

    tell: Callable[[], None]
    key: Key
    lease: Lease
    lost: bool = False
    word: Literal["stored", "failed"] | None = None

    def release(self, *, stored: bool) -> None:
        if self.word is None:
            self.word = "stored" if stored else "failed"
            self.tell()
