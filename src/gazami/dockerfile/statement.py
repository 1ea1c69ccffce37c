"""One logical line to an instruction: the grammar of each keyword (frontend reference)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.duration import parse_duration
from gazami.dockerfile.flags import Flags, Kind, parse_flags, take_flags
from gazami.dockerfile.heredoc import Heredoc, joined, parse_heredoc_word
from gazami.dockerfile.lines import Line
from gazami.dockerfile.mounts import parse_mount
from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import DockerfileError
from gazami.values import dataclass, replace

_BLANKS = re.compile(r"[\t\v\f\r ]+")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*\Z")


def check_trigger(keyword: str) -> None:
    name = keyword.upper()
    if name == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if name in ("FROM", "MAINTAINER"):
        raise DockerfileError(f"{name} isn't allowed as an ONBUILD trigger")


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


@dataclass(frozen=True, slots=True)
class Statement:
    """One logical line on its way to an instruction."""

    line: Line
    escape: str

    def parse(self) -> ast.Instruction:
        keyword, rest = self._split(self.line.text)
        place = ast.Place(
            self.line.span, keyword, self.line.text.strip(), self.line.comments, self.line.empty_continuation
        )
        return self._instruction(place, rest)

    def _split(self, text: str) -> tuple[str, str]:
        parts = _BLANKS.split(text.strip(), maxsplit=1)
        return parts[0], parts[1].strip() if len(parts) == 2 else ""

    def _instruction(self, place: ast.Place, rest: str) -> ast.Instruction:
        parser = _PARSERS.get(place.keyword.upper())
        if parser is None:
            raise DockerfileError(
                f"unknown instruction: {place.keyword}{did_you_mean(place.keyword.upper(), _PARSERS)}"
            )
        return parser(self, place, rest)

    def flags(self, rest: str, known: Mapping[str, Kind]) -> tuple[Flags, str]:
        words, rest = take_flags(rest, self.escape)
        return parse_flags(words, known), rest

    # -- instructions ---------------------------------------------------------------------------------------------

    def from_(self, place: ast.Place, rest: str) -> ast.From:
        flags, rest = self.flags(rest, {"platform": "string"})
        words = _BLANKS.split(rest) if rest else []
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
            raise DockerfileError("FROM requires either one or three arguments", hint="FROM image [AS name]")
        name = words[2].lower() if len(words) == 3 else ""
        if name and not _STAGE_NAME.match(name):
            raise DockerfileError(
                f"invalid name for build stage: {words[2]!r}, name can't start with a number or contain symbols"
            )
        written, keyword = (words[2], words[1]) if name else ("", "")
        return ast.From(place, words[0], flags.texts.get("platform", ""), name, written, keyword)

    def arg(self, place: ast.Place, rest: str) -> ast.Arg:
        rest = take_flags(rest, self.escape)[1]
        words = self._quoted_words(rest)
        if not words:
            raise DockerfileError("ARG requires at least one argument")
        pairs: list[tuple[str, str | None]] = []
        for word in words:
            name, separator, value = word.partition("=")
            if not name:
                raise DockerfileError("ARG names can not be blank")
            pairs.append((name, value if separator else None))
        return ast.Arg(place, tuple(pairs))

    def env(self, place: ast.Place, rest: str) -> ast.Env:
        rest = self.flags(rest, {})[1]
        pairs, legacy = self._pairs("ENV", rest)
        return ast.Env(place, pairs, legacy)

    def label(self, place: ast.Place, rest: str) -> ast.Label:
        rest = self.flags(rest, {})[1]
        pairs, legacy = self._pairs("LABEL", rest)
        return ast.Label(place, pairs, legacy)

    def run(self, place: ast.Place, rest: str) -> ast.Run:
        flags, rest = self.flags(
            rest, {"mount": "strings", "network": "string", "security": "string", "device": "strings"}
        )
        command = self._command(rest, self.line.heredocs)
        if not rest:
            raise DockerfileError("RUN requires at least one argument", hint='RUN command, or RUN ["exec", "form"]')
        mounts = flags.lists.get("mount", ())
        for text in mounts:
            if "$" not in text.replace("from=$", ""):
                parse_mount(text, lambda value: value)
        network = flags.texts.get("network", "")
        if network not in ("", "default", "none", "host"):
            raise DockerfileError(f"unsupported network mode {network!r}{did_you_mean(network, _NETWORKS)}")
        security = flags.texts.get("security", "")
        if security not in ("", "sandbox", "insecure"):
            raise DockerfileError(f"security {security!r} is not valid", hint="sandbox or insecure")
        return ast.Run(place, command, mounts, network, security, flags.lists.get("device", ()))

    def copy(self, place: ast.Place, rest: str) -> ast.Copy:
        flags, rest = self.flags(
            rest,
            {"from": "string", "chown": "string", "chmod": "string", "link": "bool", "parents": "bool",
             "exclude": "strings"},
        )  # fmt: skip
        sources, dest, heredocs = self._sources("COPY", rest)
        source = flags.texts.get("from", "")
        if "$" in source:
            raise DockerfileError(
                f"'{source}' in --from= cannot hold a variable",
                hint="define a stage for it: FROM $IMAGE AS name, then COPY --from=name",
            )
        return ast.Copy(
            place, sources, dest, source, flags.texts.get("chown", ""), flags.texts.get("chmod", ""),
            flags.booleans.get("link", False), flags.booleans.get("parents", False), flags.lists.get("exclude", ()),
            heredocs,
        )  # fmt: skip

    def add(self, place: ast.Place, rest: str) -> ast.Add:
        flags, rest = self.flags(
            rest,
            {"chown": "string", "chmod": "string", "link": "bool", "keep-git-dir": "bool", "checksum": "string",
             "unpack": "bool", "exclude": "strings"},
        )  # fmt: skip
        sources, dest, heredocs = self._sources("ADD", rest)
        return ast.Add(
            place, sources, dest, flags.texts.get("chown", ""), flags.texts.get("chmod", ""),
            flags.booleans.get("link", False), flags.lists.get("exclude", ()), flags.texts.get("checksum", ""),
            flags.booleans.get("keep-git-dir"), flags.booleans.get("unpack"), heredocs,
        )  # fmt: skip

    def workdir(self, place: ast.Place, rest: str) -> ast.Workdir:
        return ast.Workdir(place, self._one("WORKDIR", rest))

    def user(self, place: ast.Place, rest: str) -> ast.User:
        return ast.User(place, self._one("USER", rest))

    def expose(self, place: ast.Place, rest: str) -> ast.Expose:
        rest = self.flags(rest, {})[1]
        words = tuple(_BLANKS.split(rest)) if rest else ()
        if not words:
            raise DockerfileError("EXPOSE requires at least one argument", hint="EXPOSE 8080/tcp")
        return ast.Expose(place, words)

    def volume(self, place: ast.Place, rest: str) -> ast.Volume:
        rest = self.flags(rest, {})[1]
        words = json_words(rest)
        if words is None:
            words = tuple(_BLANKS.split(rest)) if rest else ()
        if not words:
            raise DockerfileError("VOLUME requires at least one argument")
        if any(not word for word in words):
            raise DockerfileError("VOLUME specified can not be an empty string")
        return ast.Volume(place, words)

    def cmd(self, place: ast.Place, rest: str) -> ast.Cmd:
        return ast.Cmd(place, self._command(self.flags(rest, {})[1]))

    def entrypoint(self, place: ast.Place, rest: str) -> ast.Entrypoint:
        return ast.Entrypoint(place, self._command(self.flags(rest, {})[1]))

    def shell(self, place: ast.Place, rest: str) -> ast.Shell:
        rest = self.flags(rest, {})[1]
        words = json_words(rest)
        if words is None:
            raise DockerfileError("SHELL requires the arguments to be in JSON form", hint='SHELL ["/bin/bash", "-c"]')
        if not words:
            raise DockerfileError("SHELL requires at least one argument")
        return ast.Shell(place, words)

    def stopsignal(self, place: ast.Place, rest: str) -> ast.StopSignal:
        return ast.StopSignal(place, self._one("STOPSIGNAL", take_flags(rest, self.escape)[1], flags=False))

    def healthcheck(self, place: ast.Place, rest: str) -> ast.Healthcheck:
        words, rest = take_flags(rest, self.escape)
        kind, command = self._split(rest) if rest else ("", "")
        if not kind:
            raise DockerfileError("HEALTHCHECK requires at least one argument", hint="HEALTHCHECK CMD command, or NONE")
        if kind.upper() == "NONE":
            if command:
                raise DockerfileError("HEALTHCHECK NONE takes no arguments")
            return ast.Healthcheck(place, ("NONE",))
        flags = parse_flags(words, dict.fromkeys(_HEALTHCHECK_FLAGS, "string"))
        if kind.upper() != "CMD":
            raise DockerfileError(f"Unknown type {kind!r} in HEALTHCHECK (try CMD)")
        parsed = self._command(command)
        if not command or not parsed.words:
            raise DockerfileError("Missing command after HEALTHCHECK CMD")
        test = ("CMD-SHELL", parsed.words[0]) if parsed.shell else ("CMD", *parsed.words)
        times = [_duration(name, flags.texts.get(name, "")) for name in _HEALTHCHECK_FLAGS[:4]]
        return ast.Healthcheck(place, test, times[0], times[1], times[2], times[3], _retries(flags))

    def onbuild(self, place: ast.Place, rest: str) -> ast.Onbuild:
        rest = self.flags(rest, {})[1] if rest.startswith("--") else rest
        if not rest:
            raise DockerfileError("ONBUILD requires at least one argument")
        keyword = self._split(rest)[0]
        check_trigger(keyword)
        inner = replace(self, line=replace(self.line, text=rest)).parse()
        bodies = "".join(f"\n{doc.body}{doc.name}" for doc in self.line.heredocs)
        return ast.Onbuild(place, rest + bodies, inner)

    def maintainer(self, place: ast.Place, rest: str) -> ast.Maintainer:
        return ast.Maintainer(place, self._one("MAINTAINER", rest))

    # -- arguments ------------------------------------------------------------------------------------------------

    def _one(self, keyword: str, rest: str, *, flags: bool = True) -> str:
        if flags:
            rest = self.flags(rest, {})[1]
        if not rest:
            raise DockerfileError(f"{keyword} requires exactly one argument")
        return rest

    def _command(self, rest: str, heredocs: tuple[Heredoc, ...] = ()) -> ast.Command:
        words = json_words(rest)
        if words is not None:
            return ast.Command(words, shell=False)
        return ast.Command((rest,) if rest else (), shell=True, heredocs=heredocs)

    def _sources(self, keyword: str, rest: str) -> tuple[tuple[str, ...], str, tuple[Heredoc, ...]]:
        words = json_words(rest)
        if words is None:
            words = tuple(_BLANKS.split(rest)) if rest else ()
            heredocs = self.line.heredocs
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

    def _pairs(self, keyword: str, rest: str) -> tuple[tuple[tuple[str, str], ...], bool]:
        words = self._quoted_words(rest)
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

    def _quoted_words(self, rest: str) -> tuple[str, ...]:
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
            if char == self.escape and quote != "'":
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


_NETWORKS = ("default", "none", "host")
_HEALTHCHECK_FLAGS = ("interval", "timeout", "start-period", "start-interval", "retries")


def _duration(flag: str, text: str) -> int:
    if not text:
        return 0
    value = parse_duration(text)
    if value is None:
        raise DockerfileError(f"invalid duration {text!r} for --{flag}", hint="a number and a unit: 30s, 1m30s, 500ms")
    if value < 0:
        raise DockerfileError(f"Interval {text!r} for --{flag} must not be negative")
    if 0 < value < 10**6:
        raise DockerfileError(f"Interval {text!r} for --{flag} cannot be less than 1ms")
    return value


def _retries(flags: Flags) -> int:
    text = flags.texts.get("retries", "")
    if not text:
        return 0
    try:
        value = int(text) if text.isascii() and "_" not in text else -1
    except ValueError:
        raise DockerfileError(f"--retries must be a number, not {text!r}") from None
    if not 0 <= value < 1 << 31:
        raise DockerfileError(f"--retries cannot be negative ({text})")
    return value


_PARSERS: dict[str, Callable[[Statement, ast.Place, str], ast.Instruction]] = {
    "ADD": Statement.add,
    "ARG": Statement.arg,
    "CMD": Statement.cmd,
    "COPY": Statement.copy,
    "ENTRYPOINT": Statement.entrypoint,
    "ENV": Statement.env,
    "EXPOSE": Statement.expose,
    "FROM": Statement.from_,
    "HEALTHCHECK": Statement.healthcheck,
    "LABEL": Statement.label,
    "MAINTAINER": Statement.maintainer,
    "ONBUILD": Statement.onbuild,
    "RUN": Statement.run,
    "SHELL": Statement.shell,
    "STOPSIGNAL": Statement.stopsignal,
    "USER": Statement.user,
    "VOLUME": Statement.volume,
    "WORKDIR": Statement.workdir,
}
KEYWORDS = tuple(_PARSERS)
