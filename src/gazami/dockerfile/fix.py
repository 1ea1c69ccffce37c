"""What ``gazami lint --fix`` writes: the text of a Dockerfile without the findings that have one obvious remedy. Pure.

Every fix edits physical lines, so that all else stays byte for byte. One that is not sure (an instruction over several lines, a
value whose quotes would have to be read anew) leaves the line to its author, and the finding stays. A fixed file means the same:
only MAINTAINER becomes a label, which the image then has instead of an author.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from gazami.dockerfile import checks, rules
from gazami.dockerfile import instructions as ast
from gazami.dockerfile.arguments import first_word, quoted_words
from gazami.dockerfile.check_options import CheckOptions, check_options
from gazami.dockerfile.parser import parse
from gazami.dockerfile.rules import Rule
from gazami.errors import Source
from gazami.values import fast_dataclass

_BOM = "\ufeff"
_ONE_LINE = re.compile(r"(?P<indent>\s*)(?P<keyword>[^\s]+)(?P<blanks>[ \t]+)(?P<rest>\S(?:.*\S)?)(?P<end>\s*)\Z")
_AS = re.compile(r"(?P<head>.*\S[ \t]+)(?P<as>[aA][sS])(?P<tail>[ \t]+\S+\s*)\Z")
_BLANK = " \t\r"
"""Further kinds of blanks are not the same to all forms."""
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*\Z")
_AUTHORS = "org.opencontainers.image.authors"


@fast_dataclass(frozen=True, slots=True)
class Fixed:
    """The text, and how often each rule changed it."""

    text: str
    counts: Mapping[str, int]


@fast_dataclass(frozen=True, slots=True)
class _Edit:
    """Line number → its new text, None for a line that goes."""

    rule: str
    lines: Mapping[int, str | None]


_Physical: TypeAlias = Sequence[str]
_Fix: TypeAlias = Callable[[ast.Dockerfile, _Physical], Iterator[tuple[ast.Written, _Edit]]]


def fix(source: Source, build_args: Mapping[str, str]) -> Fixed:
    """Apply every fix whose rule is not skipped. Fixing twice changes nothing more.

    Raises :class:`DockerfileError` for a text that is no Dockerfile: nothing is fixed in one.
    """
    mark, text = (_BOM, source.text[1:]) if source.text.startswith(_BOM) else ("", source.text)
    counts: Counter[str] = Counter()
    for apply in _FIXES:
        read = Source(source.name, text)
        dockerfile = parse(read)
        options = check_options(dockerfile, read, build_args)
        text, done = _applied(apply, dockerfile, text.split("\n"), options)
        counts += done
    return Fixed(mark + text, dict(counts))


def _applied(apply: _Fix, dockerfile: ast.Dockerfile, lines: list[str], options: CheckOptions) -> tuple[str, Counter[str]]:
    counts: Counter[str] = Counter()
    new: dict[int, str | None] = {}
    for written, edit in apply(dockerfile, lines):
        if options.with_comments(written.comments).allows(_RULES[edit.rule]):
            new |= edit.lines
            counts[edit.rule] += 1
    kept = (new.get(number, line) for number, line in enumerate(lines, 1))
    return "\n".join(line for line in kept if line is not None), counts


# -- fixes ----------------------------------------------------------------------------------------------------------------


def _casing(dockerfile: ast.Dockerfile, lines: _Physical) -> Iterator[tuple[ast.Written, _Edit]]:
    case = checks.keyword_case(dockerfile)
    for hit in checks.consistent_instruction_casing(dockerfile):
        number, keyword = hit.written.span.start, hit.written.keyword
        line = lines[number - 1]
        before, found, after = line.partition(keyword)
        if found and not before.strip() and (not after or after[0].isspace() or after[0] == dockerfile.escape):
            yield hit.written, _Edit(rules.CONSISTENT_INSTRUCTION_CASING.name, {number: before + case(keyword) + after})


def _from_as(dockerfile: ast.Dockerfile, lines: _Physical) -> Iterator[tuple[ast.Written, _Edit]]:
    hits = {hit.written for hit in checks.from_as_casing(dockerfile)}
    for from_ in dockerfile.instructions:
        if isinstance(from_, ast.From) and from_.written in hits and (number := _number(from_.written)):
            found = _AS.match(lines[number - 1])
            if found and found["as"] == from_.as_keyword and found["tail"].strip() == from_.name_written:
                as_ = "AS" if from_.written.keyword.isupper() else "as"
                yield from_.written, _Edit(rules.FROM_AS_CASING.name, {number: found["head"] + as_ + found["tail"]})


def _legacy(dockerfile: ast.Dockerfile, lines: _Physical) -> Iterator[tuple[ast.Written, _Edit]]:
    for each in dockerfile.instructions:
        if isinstance(each, ast.Env | ast.Label) and each.legacy and (found := _one_line(each.written, lines)):
            key, value = first_word(found["rest"])
            value = _as_one_word(value, dockerfile.escape)
            if value and _KEY.match(key):
                line = f"{found['indent']}{found['keyword']}{found['blanks']}{key}={value}{found['end']}"
                yield each.written, _Edit(rules.LEGACY_KEY_VALUE_FORMAT.name, {each.written.span.start: line})


def _as_one_word(value: str, escape: str) -> str:
    """The value of the old form as one word of the new form; empty where that is not sure."""
    if quoted_words(f"{value} end", escape) == (value, "end"):  # what quotes it has are closed
        return value
    if any(char in value for char in f"\"'{escape}") or not value.isprintable():
        return ""
    return f'"{value}"'


def _maintainer(dockerfile: ast.Dockerfile, lines: _Physical) -> Iterator[tuple[ast.Written, _Edit]]:
    for each in dockerfile.instructions:
        if isinstance(each, ast.Maintainer) and (found := _one_line(each.written, lines)):
            name = found["rest"]
            if len(name) > 2 and name[0] == name[-1] == '"':
                name = name[1:-1]  # Docker has them in the name, where nobody wants them
            if "'" in name and any(char in name for char in f'"${dockerfile.escape}'):
                continue
            quote = "'" if any(char in name for char in f'"${dockerfile.escape}') else '"'
            keyword = "label" if found["keyword"].islower() else "LABEL"
            line = f"{found['indent']}{keyword}{found['blanks']}{_AUTHORS}={quote}{name}{quote}{found['end']}"
            yield each.written, _Edit(rules.MAINTAINER_DEPRECATED.name, {each.written.span.start: line})


def _empty_lines(dockerfile: ast.Dockerfile, lines: _Physical) -> Iterator[tuple[ast.Written, _Edit]]:
    for each in dockerfile.instructions:
        if each.written.empty_lines:
            yield each.written, _Edit(rules.NO_EMPTY_CONTINUATION.name, dict.fromkeys(each.written.empty_lines))


def _number(written: ast.Written) -> int | None:
    """The line of an instruction that is on one."""
    return written.span.start if written.span.start == written.span.end else None


def _one_line(written: ast.Written, lines: _Physical) -> re.Match[str] | None:
    """The parts of an instruction without flags on one line, when they are what the parser read."""
    number = _number(written)
    if number is None or any(char.isspace() and char not in _BLANK for char in lines[number - 1]):
        return None
    found = _ONE_LINE.match(lines[number - 1])
    if found is None or (found["keyword"], found["rest"]) != first_word(written.text) or found["rest"].startswith("--"):
        return None
    return found


_FIXES: tuple[_Fix, ...] = (_casing, _from_as, _legacy, _maintainer, _empty_lines)
"""In this order: the case of FROM decides that of AS; lines go last, since that moves the others."""

FIXABLE: tuple[Rule, ...] = (
    rules.CONSISTENT_INSTRUCTION_CASING,
    rules.FROM_AS_CASING,
    rules.LEGACY_KEY_VALUE_FORMAT,
    rules.MAINTAINER_DEPRECATED,
    rules.NO_EMPTY_CONTINUATION,
)
_RULES = {rule.name: rule for rule in FIXABLE}
