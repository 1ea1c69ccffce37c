"""The texts of history entries, in BuildKit's form (``created_by``)."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.dockerfile.duration import format_duration
from gazami.dockerfile.flags import flags_of
from gazami.dockerfile.instructions import Add, Copy, CopyFlags
from gazami.image.config import Healthcheck

COMMENT = "buildkit.dockerfile.v0"
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def go_quote(text: str) -> str:
    """A string as Go's ``%q`` prints it."""
    out = ['"']
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in _ESCAPES:
            out.append(_ESCAPES[char])
        elif char.isprintable():
            out.append(char)
        elif 0xDC80 <= ord(char) <= 0xDCFF:
            out.append(f"\\x{ord(char) - 0xDC00:02x}")
        elif ord(char) < 0x80:
            out.append(f"\\x{ord(char):02x}")
        else:
            out.append(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}")
    return "".join([*out, '"'])


def quoted_list(words: tuple[str, ...]) -> str:
    return "[" + " ".join(go_quote(word) for word in words) + "]"


def plain_list(words: tuple[str, ...]) -> str:
    return "[" + " ".join(words) + "]"


def pairs(keyword: str, items: tuple[tuple[str, str | None], ...]) -> str:
    """``ENV a=1 b=2``, ``ARG a``."""
    return " ".join([keyword, *(key if value is None else f"{key}={value}" for key, value in items)])


def run(argv: tuple[str, ...], args: tuple[tuple[str, str | None], ...], env: Mapping[str, str]) -> str:
    """The arguments are shown with the values that the command sees: those of ENV where that came later."""
    prefix = (f"|{len(args)}", *(f"{name}={env.get(name, value or '')}" for name, value in args)) if args else ()
    return " ".join(["RUN", *prefix, *argv, "# buildkit"])


def copy(instruction: Copy | Add) -> str:
    """COPY and ADD with variables expanded, and those of their flags that BuildKit shows."""
    values = instruction.flags
    rows = sorted((row for row in flags_of(CopyFlags) if row.shown), key=lambda row: row.shown)
    flags = [row.text(value) for row in rows if (value := getattr(values, row.name)) != row.default]
    documents = [f"<<{document.name}" for document in instruction.heredocs]
    keyword = "ADD" if isinstance(instruction, Add) else "COPY"
    return " ".join([keyword, *flags, *instruction.sources, *documents, instruction.dest, "# buildkit"])


def healthcheck(check: Healthcheck) -> str:
    times = (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    )
    parts = [f"Test:{plain_list(check.test)}", *(f"{name}:{format_duration(value)}" for name, value in times)]
    return "HEALTHCHECK {" + " ".join([*parts, f"Retries:{check.retries}"]) + "}"
