"""The commands of a shell script, for checks that look at what a RUN calls. Pure.

This is no shell: words keep their variables, substitutions are commands of their own, and keywords, assignments and redirections
are left out. What it cannot read it reads as best it can; a check has to be silent where it is not sure.
"""

from __future__ import annotations

import re

from gazami.values import fast_dataclass

_KEYWORDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "}", "time", "fi", "done", "esac"})
_WRAPPERS = frozenset({"env", "exec", "command", "nice", "nohup"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_OPERATOR = re.compile(r"&&|\|\||;;|\|&|[;&|()\n]")
_REDIRECTION = re.compile(r"(<<<|<<-?|<>|>>|>\||>&|<&|&>>?|[<>])")
_PLAIN = re.compile(r"[^\s\\'\"`$;&|()<>#]+")
_DEEPEST = 8
"""Substitutions inside of substitutions that are looked at."""


@fast_dataclass(frozen=True, slots=True)
class ShellCommand:
    """``words`` are without quotes. ``piped``: its input is the output of the command before it in the list."""

    words: tuple[str, ...]
    piped: bool = False

    @property
    def program(self) -> str:
        """The first word's last part: ``apt-get`` of ``/usr/bin/apt-get``."""
        return self.words[0].rpartition("/")[2]


def shell_commands(script: str, depth: int = 0) -> tuple[ShellCommand, ...]:
    """The simple commands in the order of the text; those of a substitution stand before the command that uses it."""
    return tuple(_Reader(script, depth).read())


class _Reader:
    def __init__(self, text: str, depth: int) -> None:
        self.text, self.depth = text, depth
        self.at = 0
        self.found: list[ShellCommand] = []
        self.words: list[str] = []
        self.word: list[str] | None = None
        self.piped = False
        self.skips = ""
        """The redirection whose word comes next."""
        self.bodies: list[tuple[str, bool]] = []

    def read(self) -> list[ShellCommand]:
        while self.at < len(self.text):
            self._next()
        self._end_command("")
        return self.found

    def _next(self) -> None:
        char = self.text[self.at]
        if plain := _PLAIN.match(self.text, self.at):
            self._take(plain[0], len(plain[0]))
        elif char == "#" and self.word is None:
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        elif redirection := _REDIRECTION.match(self.text, self.at):
            self._redirect(redirection[0])
        elif operator := _OPERATOR.match(self.text, self.at):
            self.at = operator.end()
            self._end_command(operator[0])
        elif char.isspace():
            self._end_word()
            self.at += 1
        else:
            self._quoted(char)

    def _take(self, text: str, length: int) -> None:
        if self.word is None:
            self.word = []
        self.word.append(text)
        self.at += length

    def _quoted(self, char: str) -> None:
        """A quote, an escape, or what begins with a dollar sign."""
        match char:
            case "\\":
                escaped = self.text[self.at + 1 : self.at + 2]
                self._take("" if escaped == "\n" else escaped, 2)
            case "'":
                end = self.text.find("'", self.at + 1)
                end = len(self.text) if end < 0 else end
                self._take(self.text[self.at + 1 : end], end + 1 - self.at)
            case '"':
                self._double()
            case "`":
                end = self.text.find("`", self.at + 1)
                end = len(self.text) if end < 0 else end
                self._inner(self.text[self.at + 1 : end])
                self._take("`", end + 1 - self.at)
            case "$" if self.text.startswith("$(", self.at):
                self._substitution()
            case _:
                self._take(char, 1)

    def _double(self) -> None:
        self._take("", 1)
        while self.at < len(self.text) and self.text[self.at] != '"':
            if self.text[self.at] == "\\":
                self._take(self.text[self.at + 1 : self.at + 2], 2)
            elif self.text.startswith("$(", self.at):
                self._substitution()
            else:
                self._take(self.text[self.at], 1)
        self.at += 1

    def _substitution(self) -> None:
        """``$(…)``; its end is where the parentheses are even, quotes apart."""
        level, end, quote = 0, self.at + 1, ""
        while end < len(self.text):
            char = self.text[end]
            if char == "\\" and quote != "'":
                end += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == "(":
                level += 1
            elif char == ")":
                level -= 1
                if not level:
                    break
            end += 1
        self._inner(self.text[self.at + 2 : end])
        self._take("$()", end + 1 - self.at)

    def _inner(self, script: str) -> None:
        if self.depth < _DEEPEST:
            self.found += shell_commands(script, self.depth + 1)

    def _redirect(self, sign: str) -> None:
        if self.word is not None and "".join(self.word).isdigit():
            self.word = None
        self._end_word()
        self.skips = sign
        self.at += len(sign)

    def _end_word(self) -> None:
        if self.word is None:
            return
        word = "".join(self.word)
        self.word = None
        if self.skips in ("<<", "<<-"):
            self.bodies.append((word, self.skips == "<<-"))
        elif not self.skips:
            self.words.append(word)
        self.skips = ""

    def _end_command(self, operator: str) -> None:
        self._end_word()
        self.skips = ""
        words = _without_prefixes(self.words)
        if words:
            self.found.append(ShellCommand(words, piped=self.piped))
        self.words = []
        self.piped = operator in ("|", "|&") or (self.piped and not words and operator in ("(", "\n"))
        if operator == "\n":
            self._pass_bodies()

    def _pass_bodies(self) -> None:
        """The here-documents of the line that has ended are no commands."""
        for name, chomp in self.bodies:
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = end + 1
                if (line.lstrip("\t") if chomp else line) == name:
                    break
        self.bodies = []


def _without_prefixes(words: list[str]) -> tuple[str, ...]:
    """A command without keywords, assignments and programs that call another one, and without their options."""
    at = 0
    wrapped = False
    while at < len(words):
        word = words[at]
        if word in _WRAPPERS:
            wrapped = True
        elif not (word in _KEYWORDS or _ASSIGNMENT.match(word) or (wrapped and word.startswith("-"))):
            break
        at += 1
    return tuple(words[at:])
