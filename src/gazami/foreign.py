"""Text and JSON from outside: registries, token servers, archives, credential programs, caches.

Theory: such bytes become a value or a line of the log in one of two functions. :func:`read_json` bounds what Python's own
reader leaves open (depth, the size of numbers, ``NaN``, lone surrogates), and raises one kind of ``ValueError`` for all of
it, so that a caller's ``except ValueError`` is complete. :func:`printable` makes text that cannot steer a terminal, begin a
line of its own, or reverse the order of the letters around it. Standard library only.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

MAX_DEPTH = 64
"""Lists and objects in each other; image specs need seven, and what walks a document recursively survives this many."""

_LARGEST = 1 << 63
_CONTROL = (
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colors, cursor
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC with their text
    r"|\x1b."
)
_UNSEEN = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_BREAKS = r"[\n\u2028\u2029]"
_SURROGATES = r"[\ud800-\udfff]"


class ForeignJSONError(ValueError):
    """Bytes that are no JSON, or JSON beyond the bounds; the message says which, without the bytes."""


def read_json(raw: bytes | str) -> Any:
    """The document. Integers have 64 bits, strings no lone surrogates (they become U+FFFD, as in Go).

    Raises :class:`ForeignJSONError`. The caller bounds the size of ``raw``.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode(json.detect_encoding(raw))
        document = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=_constant)
    except ForeignJSONError:
        raise
    except json.JSONDecodeError as cause:
        raise ForeignJSONError(f"{cause.msg}, line {cause.lineno} column {cause.colno}") from None
    except UnicodeDecodeError:
        raise ForeignJSONError("not UTF-8") from None
    except (RecursionError, ValueError):
        raise ForeignJSONError(f"more than {MAX_DEPTH} levels deep") from None
    _check_depth(document)
    return _whole(document) if "\\u" in text or not text.isascii() else document


def printable(text: str) -> str:
    """``text`` on one line: escape sequences, control characters and marks of direction are left out, tabs stay."""
    import re

    if text.isprintable():
        return text
    text = re.sub(_UNSEEN, "", re.sub(_CONTROL, "", text, flags=re.DOTALL))
    return re.sub(_SURROGATES, "\ufffd", re.sub(_BREAKS, " ", text))


def printable_lines(text: str) -> str:
    """Several lines, each :func:`printable`."""
    return "\n".join(printable(line) for line in text.split("\n"))


# -- bounds -----------------------------------------------------------------------------------------------------------


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -_LARGEST <= int(digits) < _LARGEST:
        raise ForeignJSONError("a number that has more than 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ForeignJSONError("a number that is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise ForeignJSONError(f"{name} is not JSON")


def _check_depth(document: Any) -> None:
    level = [document]
    for _ in range(MAX_DEPTH):
        level = [each for holder in level for each in _parts(holder)]
        if not level:
            return
    raise ForeignJSONError(f"more than {MAX_DEPTH} levels deep")


def _parts(holder: Any) -> Any:
    if isinstance(holder, dict):
        return [each for each in holder.values() if isinstance(each, dict | list)]
    return [each for each in holder if isinstance(each, dict | list)] if isinstance(holder, list) else ()


def _whole(value: Any) -> Any:
    """The same without lone surrogates: they are in no UTF-8, so nothing that holds one could be written again."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(each) for each in value]
    if isinstance(value, dict):
        return {_whole(key): _whole(each) for key, each in value.items()}
    return value
