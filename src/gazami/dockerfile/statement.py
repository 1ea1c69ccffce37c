"""One logical line to an instruction: the grammar of each keyword (frontend reference). The forms of arguments are in
:mod:`gazami.dockerfile.arguments`."""

from __future__ import annotations

import re
from collections.abc import Callable

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.arguments import command_line, copy_arguments, first_word, json_words, key_values, quoted_words, words_of
from gazami.dockerfile.flags import parse_flags, read_flags, take_flags
from gazami.dockerfile.healthcheck import parse_healthcheck
from gazami.dockerfile.lines import Line
from gazami.dockerfile.mounts import parse_mount
from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import DockerfileError
from gazami.values import fast_dataclass, replace

_STAGE_NAME = re.compile(r"[a-z][a-z0-9\-_.]*\Z")
_NETWORKS = ("default", "none", "host")


@fast_dataclass(frozen=True, slots=True)
class _Statement:
    """A line, divided: ``flags`` are the words that begin with ``--``, ``rest`` the arguments after them; ``after`` is all that
    follows the keyword."""

    line: Line
    escape: str
    written: ast.Written
    flags: tuple[str, ...]
    rest: str
    after: str

    def without_flags(self) -> str:
        """The arguments of an instruction that has no flags."""
        parse_flags(self.flags, {})
        return self.rest

    def one(self, rest: str) -> str:
        """The one argument of an instruction: all that there is."""
        if not rest:
            raise DockerfileError(f"{self.written.keyword.upper()} requires exactly one argument")
        return rest


def parse_statement(line: Line, escape: str) -> ast.Instruction:
    """Raises :class:`DockerfileError` without a span."""
    keyword, after = first_word(line.text)
    parser = _PARSERS.get(keyword.upper())
    if parser is None:
        raise DockerfileError(f"unknown instruction: {keyword}{did_you_mean(keyword.upper(), _PARSERS)}")
    written = ast.Written(line.span, keyword, line.text.strip(), line.comments, line.empty_lines)
    flags, rest = take_flags(after, escape)
    return parser(_Statement(line, escape, written, flags, rest, after))


def check_trigger(keyword: str) -> None:
    name = keyword.upper()
    if name == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if name in ("FROM", "MAINTAINER"):
        raise DockerfileError(f"{name} isn't allowed as an ONBUILD trigger")


# -- stages and variables -------------------------------------------------------------------------------------------------


def _from(given: _Statement) -> ast.From:
    platform = parse_flags(given.flags, {"platform": "string"}).get("platform", "")
    words = words_of(given.rest)
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        raise DockerfileError("FROM requires either one or three arguments", hint="FROM image [AS name]")
    name = words[2].lower() if len(words) == 3 else ""
    if name and not _STAGE_NAME.match(name):
        raise DockerfileError(f"invalid name for build stage: {words[2]!r}, name can't start with a number or contain symbols")
    written, keyword = (words[2], words[1]) if name else ("", "")
    return ast.From(given.written, words[0], platform=str(platform), name=name, name_written=written, as_keyword=keyword)


def _arg(given: _Statement) -> ast.Arg:
    words = quoted_words(given.rest, given.escape)
    if not words:
        raise DockerfileError("ARG requires at least one argument")
    pairs: list[tuple[str, str | None]] = []
    for word in words:
        name, separator, value = word.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        pairs.append((name, value if separator else None))
    return ast.Arg(given.written, tuple(pairs))


# -- files and commands ---------------------------------------------------------------------------------------------------


def _run(given: _Statement) -> ast.Run:
    flags = read_flags(given.flags, ast.RunFlags, "RUN")
    command = command_line(given.rest, given.line.heredocs)
    if not given.rest:
        raise DockerfileError("RUN requires at least one argument", hint='RUN command, or RUN ["exec", "form"]')
    for text in flags.mounts:
        if "$" not in text.replace("from=$", ""):
            parse_mount(text, lambda value: value)
    if flags.network not in ("", *_NETWORKS):
        raise DockerfileError(f"unsupported network mode {flags.network!r}{did_you_mean(flags.network, _NETWORKS)}")
    if flags.security not in ("", "sandbox", "insecure"):
        raise DockerfileError(f"security {flags.security!r} is not valid", hint="sandbox or insecure")
    return ast.Run(given.written, command, flags)


def _copy(given: _Statement) -> ast.Copy:
    flags = read_flags(given.flags, ast.CopyFlags, "COPY")
    sources, dest, heredocs = copy_arguments("COPY", given.rest, given.line.heredocs)
    if "$" in flags.from_:
        raise DockerfileError(
            f"'{flags.from_}' in --from= cannot hold a variable",
            hint="define a stage for it: FROM $IMAGE AS name, then COPY --from=name",
        )
    return ast.Copy(given.written, sources, dest, flags=flags, heredocs=heredocs)


def _add(given: _Statement) -> ast.Add:
    flags = read_flags(given.flags, ast.CopyFlags, "ADD")
    sources, dest, heredocs = copy_arguments("ADD", given.rest, given.line.heredocs)
    return ast.Add(given.written, sources, dest, flags=flags, heredocs=heredocs)


# -- metadata -------------------------------------------------------------------------------------------------------------


def _expose(given: _Statement) -> ast.Expose:
    words = words_of(given.without_flags())
    if not words:
        raise DockerfileError("EXPOSE requires at least one argument", hint="EXPOSE 8080/tcp")
    return ast.Expose(given.written, words)


def _volume(given: _Statement) -> ast.Volume:
    rest = given.without_flags()
    words = json_words(rest)
    if words is None:
        words = words_of(rest)
    if not words:
        raise DockerfileError("VOLUME requires at least one argument")
    if any(not word for word in words):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return ast.Volume(given.written, words)


def _shell(given: _Statement) -> ast.Shell:
    words = json_words(given.without_flags())
    if words is None:
        raise DockerfileError("SHELL requires the arguments to be in JSON form", hint='SHELL ["/bin/bash", "-c"]')
    if not words:
        raise DockerfileError("SHELL requires at least one argument")
    return ast.Shell(given.written, words)


def _onbuild(given: _Statement) -> ast.Onbuild:
    rest = given.without_flags() if given.after.startswith("--") else given.after
    if not rest:
        raise DockerfileError("ONBUILD requires at least one argument")
    check_trigger(first_word(rest)[0])
    inner = parse_statement(replace(given.line, text=rest), given.escape)
    bodies = "".join(f"\n{doc.body}{doc.name}" for doc in given.line.heredocs)
    return ast.Onbuild(given.written, rest + bodies, inner)


_PARSERS: dict[str, Callable[[_Statement], ast.Instruction]] = {
    "ADD": _add,
    "ARG": _arg,
    "CMD": lambda given: ast.Cmd(given.written, command_line(given.without_flags())),
    "COPY": _copy,
    "ENTRYPOINT": lambda given: ast.Entrypoint(given.written, command_line(given.without_flags())),
    "ENV": lambda given: ast.Env(given.written, *key_values("ENV", given.without_flags(), given.escape)),
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": lambda given: parse_healthcheck(given.written, given.flags, given.rest),
    "LABEL": lambda given: ast.Label(given.written, *key_values("LABEL", given.without_flags(), given.escape)),
    "MAINTAINER": lambda given: ast.Maintainer(given.written, given.one(given.without_flags())),
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": lambda given: ast.StopSignal(given.written, given.one(given.rest)),
    "USER": lambda given: ast.User(given.written, given.one(given.without_flags())),
    "VOLUME": _volume,
    "WORKDIR": lambda given: ast.Workdir(given.written, given.one(given.without_flags())),
}
