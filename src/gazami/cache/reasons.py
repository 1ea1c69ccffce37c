"""Why a key is another than last time's, in words. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from gazami.cache.listing import FileChanges
from gazami.foreign import read_json

_SHOWN = 160
_WORDS = {
    "command": "the command changed",
    "the layers below": "the base image changed",
    "the steps before": "an earlier step changed",
    "the image it takes files from": "the image that it takes files from changed",
    "instruction": "another instruction was here",
    "sources": "its sources changed",
    "destination": "its destination changed",
    "directory": "WORKDIR changed",
    "user": "USER changed",
    "form": "the way layers are written changed (--compression, --reproducible)",
    "platform": "the platform changed",
}
"""By the name of an input of ``cache.keys``."""

Difference = tuple[str, str | None, str | None]
"""The name of an input, and its values then and now; None where there was or is none."""


def in_words(found: Sequence[Difference], files: FileChanges, *, fully: bool = False) -> tuple[str, ...]:
    """The reasons, the files first. ``fully``: all files, and the old and the new text of what is short."""
    told = files.in_words(all_of_them=fully)
    stages = [name for name, _, _ in found if name.startswith("stage ")]
    texts = [f"{told} (from {stages[0]})" if stages else told] if told else []
    for name, old, new in found:
        of_files = name.startswith(("content of ", "stage "))
        if told and (of_files or name == "the steps before"):
            continue  # the files say more
        if name == "the steps before" and len(found) > 1:
            continue
        texts.append(_one(name, old, new, fully=fully))
    return tuple(dict.fromkeys(texts))


def _one(name: str, old: str | None, new: str | None, *, fully: bool) -> str:
    if name.startswith("stage "):
        return f"{name} changed, from which it takes files"
    text = _WORDS.get(name) or _changed(name, old, new)
    if fully and old is not None and new is not None and not name.startswith("variable ") and _is_text(old) and _is_text(new):
        text += f": {_short(old)} → {_short(new)}"
    return text


def _changed(name: str, old: str | None, new: str | None) -> str:
    return f"{name} {'is new' if old is None else 'is gone' if new is None else 'changed'}"


def _is_text(value: str) -> bool:
    """Whether a value says something to people: no digest or key does."""
    return not value.startswith(("sha256:", "…")) and not (len(value) == 64 and all(each in "0123456789abcdef" for each in value))


def _short(value: str) -> str:
    """A command without the quotes of its list, and without the shell around it."""
    with contextlib.suppress(ValueError):
        if isinstance(words := read_json(value), list) and words and all(isinstance(each, str) for each in words):
            value = words[-1] if len(words) == 3 and words[1].startswith("-") else " ".join(words)
    return value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…"
