"""What the distribution protocol says in headers and small bodies (OCI distribution spec 1.1, RFC 9110). No I/O.

Everything here reads text that a registry sent, so nothing raises: what cannot be understood is None or empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from gazami.foreign import printable, read_json
from gazami.values import fast_dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*({_TOKEN})(?:\s+|\Z|(?=,))")
_PARAMETER = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|\Z)')
_LINK = re.compile(r"<([^>]*)>([^,]*)")
_RANGE = re.compile(r"(?:bytes[= ]\s*)?([0-9]{1,18})-([0-9]{1,18})(?:/(?:[0-9]+|\*))?\s*\Z")
_DIGITS = 18
"""Of a number of bytes; Python's own limit is reached far beyond."""

_LONGEST = 2000
"""Characters of an address in a message."""

_MOST = 10
"""Complaints of one answer that are told."""

_PUBLIC_QUERY = frozenset({"scope", "service", "mount", "from", "digest", "n", "last"})


@fast_dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge of a WWW-Authenticate header; ``scheme`` and parameter names are lower case."""

    scheme: str
    parameters: tuple[tuple[str, str], ...] = ()

    def get(self, name: str) -> str:
        return next((value for key, value in self.parameters if key == name), "")


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read WWW-Authenticate headers, each of which may hold several challenges (RFC 9110 §11.6.1)."""
    return tuple(challenge for header in headers for challenge in _challenges(header))


def _challenges(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = 0
    while at < len(header):
        scheme = _SCHEME.match(header, at)
        if not scheme:
            at += 1
            continue
        at = scheme.end()
        parameters: list[tuple[str, str]] = []
        while parameter := _PARAMETER.match(header, at):
            quoted, plain = parameter.group(2), parameter.group(3)
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            parameters.append((parameter.group(1).lower(), value))
            at = parameter.end()
        found.append(Challenge(scheme.group(1).lower(), tuple(parameters)))
    return found


def merge_scopes(wanted: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes that allow all of both: actions on one resource are united (distribution token spec, scope)."""
    actions: dict[str, list[str]] = {}
    for scope in (*wanted, *more):
        resource, _, listed = scope.rpartition(":")
        known = actions.setdefault(resource, [])
        known.extend(action for action in listed.split(",") if action and action not in known)
    return tuple(f"{resource}:{','.join(sorted(known))}" for resource, known in sorted(actions.items()))


@fast_dataclass(frozen=True, slots=True)
class Complaint:
    """One entry of an error body: a code such as ``MANIFEST_UNKNOWN`` and a text for people."""

    code: str
    message: str

    def __str__(self) -> str:
        if self.code and self.message:
            return f"{self.code}: {self.message}"
        return self.code or self.message


def parse_error(body: bytes) -> tuple[Complaint, ...]:
    """The complaints of an error body (distribution spec, error codes), or the start of a body that is plain text."""
    try:
        document = read_json(body)
    except ValueError:
        text = printable(" ".join(body.decode("utf-8", "replace").split()))
        return (Complaint("", text[:300]),) if text and not text.startswith("<") else ()
    if not isinstance(document, dict):
        return ()
    listed = document.get("errors")
    if isinstance(listed, list):
        return tuple(_complaint(each) for each in listed[:_MOST] if isinstance(each, dict))
    text = _text(document.get("error_description") or document.get("message") or document.get("details"))
    code = _text(document.get("error") or document.get("code") or document.get("__type"))  # the last is Amazon's
    return (Complaint(code[:100], text[:300]),) if text or code else ()


def _complaint(entry: dict[str, object]) -> Complaint:
    message = _text(entry.get("message"))
    detail = _text(entry.get("detail")) if isinstance(entry.get("detail"), str) else ""
    if detail and detail not in message:
        message = f"{message} ({detail})" if message else detail
    return Complaint(_text(entry.get("code"))[:100], message[:500])


def _text(value: object) -> str:
    """Text from a server, safe for a line of the log."""
    return printable(str(value)) if value else ""


def parse_range_end(value: str | None) -> int | None:
    """How many bytes an upload has by its ``Range: 0-<last byte>`` header; the spec's ``0-0`` is an empty upload."""
    match = _RANGE.match(value.strip()) if value else None
    if match is None or int(match.group(1)) != 0:
        return None
    last = int(match.group(2))
    return last + 1 if last else 0


def parse_content_range_start(value: str | None) -> int | None:
    """The first byte's offset in a 206 answer's ``Content-Range: bytes <first>-<last>/<size>``."""
    match = _RANGE.match(value.strip()) if value else None
    return int(match.group(1)) if match else None


def parse_length(value: str | None) -> int | None:
    return int(value) if value and value.isascii() and value.isdigit() and len(value) <= _DIGITS else None


def next_link(value: str | None) -> str | None:
    """The target of ``rel="next"`` in a Link header (RFC 8288), with which listings are paged."""
    for target, parameters in _LINK.findall(value or ""):
        if re.search(r';\s*rel\s*=\s*"?next"?\s*(?:;|\Z)', parameters, re.IGNORECASE):
            return str(target)
    return None


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait by a Retry-After header, given as seconds or as an HTTP date; ``now`` is Unix time."""
    if not value:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:_DIGITS])
    try:
        from email.utils import parsedate_to_datetime

        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def is_token(text: str) -> bool:
    """Whether a text may be the credentials of an Authorization header: visible ASCII (RFC 6750 section 2.1, and some more)."""
    return bool(text) and text.isascii() and text.isprintable()


def with_query(url: str, name: str, value: str) -> str:
    """``url`` with one more query parameter; what is there already stays as it is written."""
    parts = urlsplit(url)
    pair = f"{name}={quote(value, safe='')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{pair}" if parts.query else pair))


def host_in(url: str) -> str:
    """Host and port of a URL, for messages."""
    try:
        return printable(urlsplit(url).netloc.rpartition("@")[2])[:300]
    except ValueError:
        return "(no host)"


def redact(url: str) -> str:
    """``url`` fit for messages: no user information, no query value that might be a signature or a token."""
    try:
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return "(an address that is not a URL)"
    shown = "&".join(f"{key}={value if key in _PUBLIC_QUERY else 'REDACTED'}" for key, value in pairs)
    return printable(urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, shown, "")))[:_LONGEST]
