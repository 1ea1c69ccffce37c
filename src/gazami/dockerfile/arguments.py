"""The forms of an instruction's arguments: JSON words, words with quotes, ``key=value`` pairs, command lines, sources. Pure."""

from __future__ import annotations

import json
import re

from gazami.dockerfile.heredoc import Heredoc, joined, parse_heredoc_word
from gazami.dockerfile.instructions import CommandLine
from gazami.errors import DockerfileError

_BLANKS = re.compile(r"[\t\v\f\r ]+")


def first_word(text: str) -> tuple[str, str]:
    """The first word and the rest."""
    parts = _BLANKS.split(text.strip(), maxsplit=1)
    return parts[0], parts[1].strip() if len(parts) == 2 else ""


def words_of(rest: str) -> tuple[str, ...]:
    """The words between blanks."""
    return tuple(_BLANKS.split(rest)) if rest else ()


def json_words(text: str) -> tuple[str, ...] | None:
    """The words of an exec form, or None when the text is not a JSON array. Raises when one is not a string."""
    text = text.lstrip()
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list):
        return None
    if not all(isinstance(each, str) for each in value):
        raise DockerfileError("only string type is allowed in the JSON form", hint="put every element in double quotes")
    return tuple(each.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for each in value)


def _no_constant(name: str) -> None:
    raise ValueError(name)


def command_line(rest: str, heredocs: tuple[Heredoc, ...] = ()) -> CommandLine:
    words = json_words(rest)
    if words is not None:
        return CommandLine(words, shell=False)
    return CommandLine((rest,) if rest else (), shell=True, heredocs=heredocs)


def copy_arguments(keyword: str, rest: str, heredocs: tuple[Heredoc, ...]) -> tuple[tuple[str, ...], str, tuple[Heredoc, ...]]:
    """Sources, destination, and the here-documents among the sources."""
    words = json_words(rest)
    if words is None:
        words = words_of(rest)
    else:
        heredocs = ()
    if len(words) < 2:
        raise DockerfileError(
            f"{keyword} requires at least two arguments, but only one was provided"
            if words
            else f"{keyword} requires at least two arguments",
            hint=f"{keyword} source… destination",
        )
    words = joined(words) if heredocs else words
    if heredocs and parse_heredoc_word(words[-1]):
        raise DockerfileError(f"{keyword} cannot accept a heredoc as a destination")
    sources = tuple(word for word in words[:-1] if not (heredocs and parse_heredoc_word(word)))
    return sources, words[-1], heredocs


def key_values(keyword: str, rest: str, escape: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    """The pairs of ENV and LABEL, and whether they are in the old form ``ENV key value``."""
    words = quoted_words(rest, escape)
    if not words:
        raise DockerfileError(f"{keyword} requires at least one argument", hint=f"{keyword} key=value")
    if "=" not in words[0]:
        parts = _BLANKS.split(rest, maxsplit=1)
        if len(parts) < 2:
            raise DockerfileError(f"{keyword} must have two arguments", hint=f"{keyword} key=value")
        return ((parts[0], parts[1]),), True
    pairs: list[tuple[str, str]] = []
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise DockerfileError(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value",
                hint="put a value that holds blanks in quotes",
            )
        if not name:
            raise DockerfileError(f"{keyword} names can not be blank")
        pairs.append((name, value))
    return tuple(pairs), False


def quoted_words(rest: str, escape: str) -> tuple[str, ...]:
    """Words separated by blanks, quotes and escapes kept in them."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    at = 0
    while at < len(rest):
        char = rest[at]
        at += 1
        if not quote and char.isspace():
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        word = word if word is not None else []
        if char == escape and quote != "'":
            if at < len(rest):
                word.append(char + rest[at])
                at += 1
            continue
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        word.append(char)
    if word is not None:
        words.append("".join(word))
    return tuple(words)
