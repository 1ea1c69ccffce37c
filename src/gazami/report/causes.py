"""What led to an error, as texts. Pure."""

from __future__ import annotations


def causes(error: BaseException) -> list[str]:
    """What the errors say that led to this one, outermost first, without repetitions of what is said already."""
    said = str(error)
    found: list[str] = []
    cause = error.__cause__
    while cause is not None and len(found) < 5:
        text = str(cause) or type(cause).__name__
        if text not in said:
            found.append(text)
            said += text
        cause = cause.__cause__
    return found
