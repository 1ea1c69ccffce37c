"""Conversations with registries: one for each registry and direction, opened when it is first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gazami.registry.flights import Flights
from gazami.values import fast_dataclass, field, replace

if TYPE_CHECKING:
    from gazami.image.reference import Reference
    from gazami.registry.credentials import Keychain
    from gazami.registry.options import Direction, RegistryOptions
    from gazami.registry.session import Session
    from gazami.registry.transport import Transport


@fast_dataclass(slots=True)
class Sessions:
    """They share the connections of ``transport``."""

    options: RegistryOptions
    keychain: Keychain
    transport: Transport
    _open: Flights[tuple[str, Direction, str | None, int], Session] = field(default_factory=Flights)

    def of(self, reference: Reference, direction: Direction) -> Session:
        return self._get(reference.registry, direction, None, self.options.retry.attempts)

    def pull(self, registry: str, scheme: str | None, attempts: int) -> Session:
        """A session with a mirror, which may name its scheme, or with the registry itself."""
        return self._get(registry, "pull", scheme, attempts)

    def _get(self, registry: str, direction: Direction, scheme: str | None, attempts: int) -> Session:
        from gazami.registry.auth import Authorizer
        from gazami.registry.routing import route, trust
        from gazami.registry.session import Session

        def begin() -> Session:
            trusted, way = (trust(registry, self.options.trust, direction), route(registry, self.options.trust, direction))
            if scheme is not None:
                way = replace(way, schemes=("http",) if scheme == "http" else ("https",))
            authorizer = Authorizer(registry, self.keychain, self.transport, trusted)
            return Session(registry, way, trusted, self.transport, authorizer, attempts)

        return self._open.get((registry, direction, scheme, attempts), begin)


@fast_dataclass(frozen=True, slots=True)
class Greeting:
    """A registry's answer to ``/v2/``; ``date`` is the header, empty without one."""

    url: str
    status: int
    date: str = ""


def greet(session: Session) -> Greeting:
    """Ask a registry whether it is one and knows us. Raises :class:`AuthenticationError` where it refuses the credential,
    :class:`TransportError` where no answer comes."""
    from gazami.registry.session import Call

    call = Call("GET", "/v2/", "", ())
    with session.send(call) as response:
        if response.status in (401, 403):
            raise session.refusal(response, f"log in to {session.registry}", call)
        return Greeting(response.url, response.status, response.header("Date") or "")
