"""Every command line of gazami in the pages is one that gazami takes: its command, its flags and their values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazami.cli.command import Command
from gazami.cli.commands.build import EXECUTOR
from gazami.cli.commands.rows import SUBCOMMANDS, called, command
from gazami.cli.flags.argv import parse
from gazami.errors import UsageError

ROOT = Path(__file__).parents[2]
PAGES = [
    page for page in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"] if page.parent.name != "adr"
]
FENCE = re.compile(r"^ *```[a-z]*\n(.*?)^ *```$", re.M | re.S)
INLINE = re.compile(r"`((?:gazami|/kaniko/executor) [^`\n]+)`")
PROGRAM = re.compile(r"(?:^|[|;&(]|\$ |=|RUN |run: |- )\s*(?:\.venv/bin/)?(gazami|/kaniko/executor|executor) (?=[a-z-])")
ENDS = set("|&;<>()")


def written(text: str) -> Iterator[tuple[str, str]]:
    """The program and what follows it, for each call in a text."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            yield from calls(line)
    for line in INLINE.findall(re.sub(FENCE, "", text)):
        for program, rest in calls(line):
            yield program, re.sub(r" (?:-t|--format)$", "", rest)  # prose names a flag without its value


def calls(line: str) -> Iterator[tuple[str, str]]:
    for found in PROGRAM.finditer(line):
        yield found[1], line[found.end() :]


def words_of(rest: str) -> list[str]:
    """Up to the end of the command; dots that stand for more flags are left out."""
    lexer = shlex.shlex(rest.replace("…", ""), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in lexer:
        if set(word) <= ENDS:
            break
        if word not in ("...", "[flags]"):
            words.append(word)
    return words


def check(program: str, rest: str) -> None:
    """Raises :class:`UsageError`."""
    words = words_of(rest)
    found: Command
    if program == "gazami":
        name, words = called(words)
        if not name:
            if words and words[0] in ("--version", "--help", "-h", "help"):
                return
            raise UsageError(f"no command: {rest}")
        found = command(name)
        if name in SUBCOMMANDS and words and not words[0].startswith("-"):
            assert words[0] in SUBCOMMANDS[name] or "|" in rest
    else:
        if words and words[0] in ("doctor", "login", "push", "version"):
            found, words = command(words[0]), words[1:]
        else:
            found = EXECUTOR
    parse(words, found.table, found.elsewhere)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_gazami_takes_what_a_page_says(page: Path) -> None:
    wrong = []
    for program, rest in written(page.read_text()):
        try:
            check(program, rest)
        except (UsageError, ValueError) as error:
            wrong.append(f"{program} {rest}: {error}")
    assert not wrong


def test_there_are_many() -> None:
    assert sum(len(list(written(page.read_text()))) for page in PAGES) > 100


@pytest.mark.parametrize(
    "line", ["gazami biuld .", "gazami build . --pussh", "gazami ls x --tag y", "x | gazami push --gzip", "executor --loadd"]
)
def test_a_wrong_one_is_found(line: str) -> None:
    [(program, rest)] = calls(line)
    with pytest.raises(UsageError):
        check(program, rest)
