"""Here-documents: which words announce one, and where its body ends (dockerfile reference, here-documents)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gazami.dockerfile.words import split_raw, split_unquoted
from gazami.values import fast_dataclass, replace

_WORD = re.compile(r"(\d*)<<(-?)\s*([^<]*)\Z")
_SIGN = re.compile(r"\d*<<-?\Z")


@fast_dataclass(frozen=True, slots=True)
class Heredoc:
    """``body`` has its line ends; leading tabs are still there when ``chomp`` asks for their removal."""

    name: str
    expand: bool
    chomp: bool
    descriptor: int = 0
    body: str = ""
    apart: bool = False
    """There are blanks before the name, so it may be a shift of the shell's arithmetic, unless a line ends the body."""

    @property
    def text(self) -> str:
        """The body as a file gets it: without leading tabs for ``<<-``."""
        return re.sub(r"^\t+", "", self.body, flags=re.MULTILINE) if self.chomp else self.body


def heredocs_of(line: str) -> tuple[Heredoc, ...]:
    """The here-documents that a logical line announces, without bodies, in the order in which the bodies follow."""
    if "<<" not in line:
        return ()
    found = []
    for word in joined(split_raw(line)):
        heredoc = parse_heredoc_word(word)
        if heredoc is not None:
            found.append(replace(heredoc, apart=" " in word.rstrip() and _SIGN.match(word.split(" ")[0]) is not None))
    return tuple(found)


def joined(words: Iterable[str]) -> tuple[str, ...]:
    """Words in which a ``<<`` that stands alone has its name again, after a blank (BuildKit 0.22)."""
    out: list[str] = []
    for word in words:
        if out and _SIGN.match(out[-1]):
            out[-1] = f"{out[-1]} {word}"
        else:
            out.append(word)
    return tuple(out)


def parse_heredoc_word(word: str) -> Heredoc | None:
    """Read ``3<<-"EOF"``; None when the word is not a here-document. Raises on broken quotes in the delimiter."""
    found = _WORD.match(word)
    if not found or not found.group(3).strip():
        return None
    delimiter = found.group(3).removeprefix("\ufeff")  # BuildKit's scanner skips a byte order mark where a word begins
    raw, plain = split_raw(delimiter), split_unquoted(delimiter)
    if len(raw) != 1 or len(plain) != 1:
        return None
    return Heredoc(name=plain[0], expand=raw[0] == plain[0], chomp=found.group(2) == "-", descriptor=int(found.group(1) or 0))


def ends(line: str, heredoc: Heredoc) -> bool:
    """Whether a physical line is the terminator."""
    text = line.rstrip("\r\n")
    return (text.lstrip("\t") if heredoc.chomp else text) == heredoc.name
