"""A lease on a cache key: one builder makes the layer of a step, the others wait for it. Pure; ``docs/adr/0021`` has the protocol.

Registries have no compare-and-swap for tags, only writes of which the last one wins. Fischer's algorithm needs no more: who reads
that nobody holds the lease writes his name, waits longer than such a write takes, and reads again; the name that is there then has
won. Where a write took longer than that, two builders make the same layer, as both would without a lease.

A holder writes again at every beat. No clock is compared with another machine's: who waits counts the seconds in which he saw
nothing change. The holder's last word is what became of the layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Literal, Protocol, TypeAlias, TypeVar

from gazami.cache.entry import EMPTY
from gazami.cache.keys import Key
from gazami.errors import RegistryError
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_MANIFEST, Descriptor, Manifest, encode_manifest
from gazami.values import fast_dataclass

State: TypeAlias = Literal["held", "stored", "failed"]

ARTIFACT = "application/vnd.gazami.cache.lease.v1+json"
CONFIG = Descriptor(ARTIFACT, digest_of(EMPTY), len(EMPTY))
_PREFIX = "dev.gazami.cache.lease."
_STATES: tuple[State, ...] = ("held", "stored", "failed")
LEASE = ".lease"
_BEATS = 8
"""Beats are counted modulo this, so that a lease leaves few manifests behind, however long it was held."""

T = TypeVar("T")
Next: TypeAlias = Literal["claim", "look", "wait", "failed", "late"]


@fast_dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: between two writes of a holder, after which a silent holder counts as dead, between two looks of who waits (more
    and more), and at least between a claim and the look that decides it."""

    beat: float = 15.0
    dead: float = 45.0
    look: float = 1.0
    longest_look: float = 5.0
    settle: float = 0.2


@fast_dataclass(frozen=True, slots=True)
class Lease:
    """``holder`` is a random name. ``stored``: the entry is in the cache; ``failed``: there will be none."""

    holder: str
    state: State = "held"
    beat: int = 0

    def renewed(self) -> Lease:
        return Lease(self.holder, "held", (self.beat + 1) % _BEATS)

    def ended(self, *, stored: bool) -> Lease:
        return Lease(self.holder, "stored" if stored else "failed")


class Held(Protocol):
    """A lease that this build has. It is given back once; until then it is renewed."""

    def release(self, *, stored: bool) -> None:
        """Only the first word counts. Raises nothing: a lease that cannot be given back runs out."""
        ...


@fast_dataclass(frozen=True, slots=True)
class Acquired(Generic[T]):
    """How the wait for a lease ended: with the layer that another build made (``found``), with the lease, or with neither, since
    the other build failed or (``late``) takes too long."""

    found: T | None = None
    held: Held | None = None
    late: bool = False


class Leases(Protocol):
    """Leases on the keys of one cache. Safe to use from several threads."""

    def acquire(self, key: Key, look_up: Callable[[], T | None], waiting: Callable[[], None]) -> Acquired[T]:
        """Wait for the lease, or for the layer; ``waiting`` is called once if that takes time. Raises what ``look_up`` raises,
        :class:`Cancelled`, and :class:`GazamiError` or :class:`OSError` where the cache keeps no leases."""
        ...

    def close(self) -> None:
        """Write what is still to be written, and end. Raises what ended the thread that writes."""
        ...


class Watch:
    """What one waiting builder has seen of a lease, and so what it does next. Times are seconds of its own steady clock."""

    def __init__(self, began: float, bound: float, dead: float) -> None:
        self._until, self._dead = began + bound, dead
        self._seen: Lease | None = None
        self._since = began
        self._again = False

    def next(self, lease: Lease | None, now: float) -> Next:
        """``claim``: nobody has it. ``look``: the entry may be there; claim it if not. ``wait``: look again later. ``failed``
        and ``late``: make the layer without a lease, since whom this one waited for has failed, and every other who waits would
        fail in his turn; or since it takes too long, whatever the lease says by then: who can write to the cache could say that
        it is free or stored for ever, and take each claim back."""
        again, self._again = self._again, True
        before, waited = self._seen, self._seen is not None and self._seen.state == "held"
        if lease != before:
            self._seen, self._since = lease, now
        if again and now >= self._until:
            return "late"
        if lease is None:
            return "look" if waited else "claim"
        if lease.state == "stored":
            return "look"
        if lease.state == "failed":
            return "failed" if waited else "claim"
        if now >= self._until:
            return "late"
        return "look" if now - self._since >= self._dead else "wait"


def lease_tag(key: Key) -> str:
    """The tag beside that of the key."""
    return key + LEASE


def encode_lease(lease: Lease) -> Manifest:
    notes = {"holder": lease.holder, "state": lease.state, "beat": str(lease.beat)}
    return encode_manifest(OCI_MANIFEST, CONFIG, (), tuple(sorted((_PREFIX + name, value) for name, value in notes.items())))


def decode_lease(manifest: Manifest) -> Lease:
    """Raises :class:`RegistryError` for what is no lease."""
    notes = dict(manifest.annotations)
    holder, beat = notes.get(_PREFIX + "holder", ""), notes.get(_PREFIX + "beat", "")
    for state in _STATES:
        if manifest.config.media_type == ARTIFACT and notes.get(_PREFIX + "state") == state and beat.isdecimal() and len(beat) < 9:
            return Lease(holder, state, int(beat))
    raise RegistryError("not a lease of a cache key")
