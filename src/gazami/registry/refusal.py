"""From a registry's refusal to an error that says what happened and what to do next. No I/O."""

from __future__ import annotations

from gazami.errors import AuthenticationError, NotFoundError, RegistryError, TransportError
from gazami.registry.retry import RETRYABLE
from gazami.registry.wire import Complaint
from gazami.values import fast_dataclass

_CLOUDS = ("Amazon ECR:", "Google:", "Azure:")


@fast_dataclass(frozen=True, slots=True)
class Refusal:
    """What is known of an answer that is not the wanted one. ``what`` completes "cannot …"; ``url`` is redacted."""

    what: str
    url: str
    status: int
    complaints: tuple[Complaint, ...] = ()
    registry: str = ""
    scopes: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    authenticated: bool = False
    attempts: int = 1


def error_of(refusal: Refusal) -> RegistryError:
    said = "; ".join(str(each) for each in refusal.complaints if str(each))
    message = f"cannot {refusal.what}: status {refusal.status}" + (f", {said}" if said else "")
    if refusal.status in (401, 403):
        return _authentication_error(refusal, message)
    if refusal.status == 404:
        spelling = "check the spelling of the name and the tag"
        private = "" if refusal.authenticated else "; a private repository looks missing until you log in"
        return NotFoundError(message, url=refusal.url, status=404, hint=spelling + private)
    if refusal.status == 429:
        limit = "the registry limits requests: log in for a higher limit, or try again later"
        return TransportError(_tried(message, refusal), url=refusal.url, status=429, hint=limit)
    if refusal.status in RETRYABLE:
        return TransportError(_tried(message, refusal), url=refusal.url, status=refusal.status)
    hint: str | None = None
    if refusal.status == 400 and "HTTPS server" in said:
        hint = "the registry speaks TLS: remove --insecure for it"
    elif refusal.status == 412:
        hint = (
            f"{refusal.registry or 'the registry'} hands out only images of this project that are signed, or have no known "
            "vulnerabilities: sign the image, or take it from another project"
        )
    elif refusal.status == 405:
        hint = "the registry does not allow this; it may be a read-only mirror"
    return RegistryError(message, url=refusal.url, status=refusal.status, hint=hint)


def _authentication_error(refusal: Refusal, message: str) -> AuthenticationError:
    message += f" from {refusal.url}"
    if refusal.scopes:
        message += f"\nasked for {' '.join(refusal.scopes)}"
    if refusal.asked:
        message += "\ncredentials: " + "; ".join(refusal.asked)
    else:
        message += "\nno credentials: no docker config, and no variable or cloud for this registry"
    if refusal.authenticated:
        hint = f"the credentials for {refusal.registry} do not allow this: check user, password and permissions"
    elif any(each.startswith(_CLOUDS) for each in refusal.asked):
        hint = f"fix what the cloud reports, or give credentials for {refusal.registry} in a docker config.json"
    else:
        hint = f"run gazami login {refusal.registry}, or give its credentials in a docker config.json"
    return AuthenticationError(message, url=refusal.url, status=refusal.status, hint=hint)


def _tried(message: str, refusal: Refusal) -> str:
    return f"{message} after {refusal.attempts} attempts" if refusal.attempts > 1 else message
