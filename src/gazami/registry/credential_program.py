"""The protocol of docker credential helpers: ``docker-credential-<name> get``, a server on stdin, JSON on stdout."""

from __future__ import annotations

from gazami.errors import HostError
from gazami.foreign import printable, read_json
from gazami.registry.flights import Flights

TIMEOUT = 60.0
"""Seconds that a program may take; some of them ask a cloud's metadata service."""

BUILT_IN = frozenset(f"docker-credential-{name}" for name in ("ecr-login", "gcr", "gcloud", "acr-env", "acr-linux", "acr", "env"))
"""Programs of the clouds, which kaniko's image brings; ``registry.providers`` has what they do."""

_NOT_FOUND = "credentials not found"


class CredentialProgram:
    """One program; each server is asked about once, also when several threads want to know."""

    def __init__(self, name: str) -> None:
        self.name = f"docker-credential-{name}"
        self._answers: Flights[str, tuple[str, str] | None] = Flights()
        self.replaced = False
        """The program is not installed, and is one whose work gazami does itself."""

    def get(self, server: str) -> tuple[str, str] | None:
        """``(user name, secret)``, or None when the program has nothing for ``server``.

        Raises :class:`HostError` when it is not installed (and not ``replaced``), fails, or answers with something
        else.
        """
        return self._answers.get(server, lambda: self._ask(server))

    def _ask(self, server: str) -> tuple[str, str] | None:
        import subprocess

        try:
            done = subprocess.run([self.name, "get"], input=server.encode(), capture_output=True, timeout=TIMEOUT, check=False)
        except FileNotFoundError:
            if self.name in BUILT_IN:
                self.replaced = True
                return None
            raise HostError(
                f"{self.name}, the credential program for {server}, is not installed",
                hint="install it in a directory of PATH, or remove it from credHelpers and credsStore of the docker config",
            ) from None
        except (OSError, subprocess.TimeoutExpired) as cause:
            raise HostError(f"cannot run {self.name} for {server}: {type(cause).__name__}") from None
        if done.returncode:
            said = printable((done.stdout.strip() or done.stderr.strip()).decode("utf-8", "replace"))
            if _NOT_FOUND in said.lower():
                return None
            raise HostError(f"{self.name} failed for {server} with status {done.returncode}: {said[:300]}")
        try:
            answer = read_json(done.stdout)
            username, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
        except (ValueError, AttributeError):
            raise HostError(f"{self.name} did not answer with JSON for {server}") from None
        return (username, secret) if username or secret else None
