"""What led to an error, as texts. Pure."""

from __future__ import annotations

import re

_CONNECTION = re.compile(r"\A\w+\(host=[^)]*\): ")
"""How urllib3 begins the text of a connection's error: with the object."""


def causes(error: BaseException) -> list[str]:
    """What the errors say that led to this one, outermost first, without repetitions of what is said already."""
    said = str(error)
    found: list[str] = []
    cause = error.__cause__
    while cause is not None and len(found) < 5:
        text = _CONNECTION.sub("", str(cause)) or type(cause).__name__
        if text not in said:
            found.append(text)
            said += text
        cause = cause.__cause__
    return found
