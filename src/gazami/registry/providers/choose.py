"""The table of providers: their names on the command line, in the order in which they are asked.

The modules are imported when the first registry wants to know who we are, which many builds never meet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from gazami.registry.credentials import CredentialSource, Keychain, Lookup
from gazami.registry.transport import Transport

if TYPE_CHECKING:
    from gazami.registry.providers.web import Web


class Providers:
    """A source that asks the providers called ``names``; names that are not in the table are left out."""

    def __init__(self, names: tuple[str, ...], environ: Mapping[str, str], transport: Transport, named: Iterable[str] = ()) -> None:
        """``named`` are the hosts that the user wrote outside of Dockerfiles."""
        self._named = tuple(named)
        self._names = frozenset(names)
        self._environ = environ
        self._transport = transport
        self._lock = threading.Lock()
        self._keychain: Keychain | None = None

    def lookup(self, registry: str, repository: str) -> Lookup:
        with self._lock:
            if self._keychain is None:
                self._keychain = Keychain(self._sources())
        return self._keychain.lookup(registry, repository)

    def _sources(self) -> list[CredentialSource]:
        from gazami.registry.providers.azure import azure
        from gazami.registry.providers.ecr import ecr
        from gazami.registry.providers.google import google
        from gazami.registry.providers.variables import GitLab, HostVariables
        from gazami.registry.providers.web import Web

        table: dict[str, Callable[[Mapping[str, str], Web], CredentialSource]] = {
            "env": lambda environ, web: HostVariables(environ, self._named),
            "google": google,
            "ecr": ecr,
            "acr": azure,
            "gitlab": lambda environ, web: GitLab(environ),
        }
        plain = Web(self._transport)
        return [
            make(self._environ, amazon(self._environ, self._transport) if name == "ecr" else plain)
            for name, make in table.items()
            if name in self._names
        ]


def amazon(environ: Mapping[str, str], transport: Transport) -> Web:
    """How Amazon's services are asked: ``AWS_CA_BUNDLE`` is trusted besides the system's authorities."""
    from gazami.registry.providers.web import Web
    from gazami.registry.routing import Trust

    bundle = environ.get("AWS_CA_BUNDLE")
    return Web(transport, Trust(authorities=(bundle,))) if bundle else Web(transport)
