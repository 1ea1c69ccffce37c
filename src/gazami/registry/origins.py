"""Pull from the first source that has the image: mirrors in their order, then the registry itself where that is allowed.

The source of an image's manifest is asked first for its blobs. A host that could not be reached is asked last from then on, so that
a dead mirror costs its patience once and not for every layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from gazami.errors import RegistryError, TransportError
from gazami.events import Emit, Message
from gazami.registry.mirrors import PullSource, none_has, places
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.image.reference import Reference
    from gazami.registry.options import RegistryOptions
    from gazami.registry.pull import Origin
    from gazami.registry.session import Session

T = TypeVar("T")

IMPATIENT = 3
"""Attempts at a mirror that has another place behind it."""


class OpenSession(Protocol):
    def __call__(self, registry: str, scheme: str | None, attempts: int) -> Session: ...


@fast_dataclass(frozen=True, slots=True)
class Candidate:
    place: PullSource
    origin: Origin


class Origins:
    """Safe to use from several threads: what it remembers only changes the order in which sources are asked."""

    def __init__(self, options: RegistryOptions, open_session: OpenSession, emit: Emit) -> None:
        self._options = options
        self._open = open_session
        self._emit = emit
        self._gave: dict[str, PullSource] = {}
        self._away: set[str] = set()

    def of(self, reference: Reference) -> tuple[Candidate, ...]:
        """The sources of an image, the likely ones first."""
        from gazami.registry.pull import Origin

        gave = self._gave.get(reference.context)
        found = sorted(places(reference, self._options), key=lambda place: (place != gave, place.registry in self._away))
        patience = self._options.retry.attempts
        return tuple(
            Candidate(
                place,
                Origin(
                    self._open(place.registry, place.scheme, patience if number == len(found) else min(patience, IMPATIENT)),
                    place.repository,
                ),
            )
            for number, place in enumerate(found, start=1)
        )

    def first(self, reference: Reference, work: Callable[[Origin], T]) -> T:
        """The result of ``work`` from the first source where it does not fail.

        Raises the registry's own error, or :func:`mirrors.none_has` where only mirrors may be asked.
        """
        failures: list[tuple[PullSource, RegistryError]] = []
        candidates = self.of(reference)
        for candidate in candidates:
            try:
                result = work(candidate.origin)
            except RegistryError as error:
                failures.append((candidate.place, error))
                if len(failures) < len(candidates):
                    self.failed(reference, candidate, error)
            else:
                self._gave[reference.context] = candidate.place
                return result
        own = next((error for place, error in failures if not place.mirror), None)
        raise own or none_has(reference, failures)

    def failed(self, reference: Reference, candidate: Candidate, error: RegistryError) -> None:
        """Warn that the next source is tried."""
        if type(error) is TransportError:
            self._away.add(candidate.place.registry)
        text = f"cannot pull {reference} from {candidate.place}, trying the next source: {error.message}"
        self._emit(Message("warning", text))
