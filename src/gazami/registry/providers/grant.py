"""A provider is a name, the hosts that it is for, and a way to get a credential; answers are kept while they live.

Nothing is asked for a host that a provider is not for, and nothing before a registry has asked who we are.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from gazami.errors import HostError
from gazami.registry.credentials import Credential, Lookup
from gazami.registry.flights import Flights
from gazami.values import fast_dataclass

MARGIN = 120.0
"""Seconds before its end from which on a credential is replaced: an upload that begins now has to end with it."""

FAILED_FOR = 60.0
"""Seconds until a provider that had nothing is asked again."""


class Unavailable(HostError):
    """A provider has no credential; the message says why and becomes part of the registry error."""


@fast_dataclass(frozen=True, slots=True)
class Grant:
    """A credential, ``lifetime`` in seconds from now (None: does not end), and in words where it came from."""

    credential: Credential
    lifetime: float | None = None
    how: str = ""


@fast_dataclass(frozen=True, slots=True)
class _Kept:
    lookup: Lookup
    until: float | None


class Provider:
    """A ``CredentialSource`` that asks ``get`` for hosts that are ``for_host``, once and again when the answer ends."""

    def __init__(
        self, name: str, for_host: Callable[[str], bool], get: Callable[[str], Grant], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``get`` is given the registry and raises :class:`Unavailable`."""
        self.name = name
        self._for_host = for_host
        self._get = get
        self._clock = clock
        self._kept: Flights[str, _Kept] = Flights()

    def lookup(self, registry: str, repository: str) -> Lookup:
        """Raises nothing but :class:`Cancelled`: what has no credential says why in ``asked``."""
        if not self._for_host(registry):
            return Lookup()
        kept = self._kept.get(registry, lambda: self._ask(registry))
        if kept.until is not None and kept.until <= self._clock():
            self._kept.forget(registry, kept)
            kept = self._kept.get(registry, lambda: self._ask(registry))
        return kept.lookup

    def _ask(self, registry: str) -> _Kept:
        try:
            grant = self._get(registry)
        except Unavailable as error:
            until = self._clock() + FAILED_FOR
            return _Kept(Lookup(None, (f"{self.name}: {error.message}",), until), until)
        until_or_never = None
        if grant.lifetime is not None:
            until_or_never = self._clock() + max(grant.lifetime - MARGIN, grant.lifetime / 2)
        asked = (f"{self.name}: {grant.how or 'used'}",)
        return _Kept(Lookup(grant.credential, asked, until_or_never), until_or_never)
