"""gazami's own checks of a Dockerfile's habits: what builds, and yet is seldom what one wants. ``gazami lint`` has them; a build
and ``--check`` have Docker's checks alone.

Those of RUN read its script as far as that is sure (:mod:`gazami.dockerfile.shell_commands`), and are silent when SHELL names a
shell of another family.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from gazami.dockerfile import instructions as ast
from gazami.dockerfile import rules
from gazami.dockerfile.heredoc import Heredoc
from gazami.dockerfile.rules import Rule, RuleHit
from gazami.dockerfile.shell_commands import ShellCommand, shell_commands
from gazami.errors import UsageError
from gazami.image.reference import parse_reference
from gazami.plan.expand import ExpandedStage
from gazami.plan.steps import ImageBase
from gazami.values import fast_dataclass

_SHELLS = frozenset({"sh", "bash", "ash", "dash", "ksh", "zsh"})
_INTERPRETERS = _SHELLS | {"python", "python3", "perl", "node", "ruby", "php"}
_DOWNLOADS = frozenset({"curl", "wget"})
_APT = frozenset({"apt-get", "apt"})
_ASKS = frozenset({"install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep", "remove", "purge", "autoremove"})
_WITH_VALUE = frozenset({"-o", "-c", "-t", "--option", "--config-file", "--target-release", "--default-release", "-a"})
_YES = frozenset({"--yes", "--assume-yes", "--force-yes", "-q=2", "--quiet=2"})
_ARCHIVE = re.compile(r"\.(?:tar(?:\.[A-Za-z0-9]+)?|t[gbx]z2?|txz|tbz2?|tzst|gz|bz2|xz|zst|lzma)\Z")
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|git@")
_STRING = r"(?:'[^']*'|\"(?:[^\"\\]|\\.)*\")"
_LIST = re.compile(rf"\[\s*+{_STRING}(?:\s*+,\s*+{_STRING})*+\s*+(?:,\s*+)?\]\Z")
_PIPEFAIL = re.compile(r"\bpipefail\b")
_PARENTS = 50
"""Stages below a stage that are asked for a SHELL or for apt's configuration."""


@fast_dataclass(frozen=True, slots=True)
class ReadRun:
    """A RUN, or the one of an ONBUILD, as its shell reads it: ``shell`` are the words of SHELL, if there is one."""

    written: ast.Written
    run: ast.Run
    commands: tuple[ShellCommand, ...]
    script: str
    shell: tuple[str, ...]


@fast_dataclass(frozen=True, slots=True)
class HabitFacts:
    """A stage. ``kept``: its files are in an image, so that what it leaves behind is too. ``runs`` are those whose commands can be
    read."""

    read: ExpandedStage
    kept: bool
    runs: tuple[ReadRun, ...]


def habit_facts(read: ExpandedStage, *, kept: bool) -> HabitFacts:
    return HabitFacts(read, kept, tuple(_runs(read)))


HabitCheck: TypeAlias = Callable[[HabitFacts], Iterator[RuleHit]]


# -- base images and files ------------------------------------------------------------------------------------------------


def unpinned_base(facts: HabitFacts) -> Iterator[RuleHit]:
    stage = facts.read.stage
    if not isinstance(stage.base, ImageBase) or stage.base.reference != stage.base_text:
        return
    try:
        reference = parse_reference(stage.base_text)
    except UsageError:
        return
    if reference.digest is None and reference.tag == "latest":
        tag = "the tag latest, which changes" if stage.base_text.endswith(":latest") else "no tag, which means latest"
        yield RuleHit(stage.from_.written, f"Base image {stage.base_text} has {tag}: name a version or a digest")


def add_instead_of_copy(facts: HabitFacts) -> Iterator[RuleHit]:
    """Silent for a source that may be what only ADD can do: a URL, a repository, an archive, a variable."""
    for written, each in _instructions(facts.read):
        if isinstance(each, ast.Add) and each.flags.unpack is not True and not any(map(_needs_add, each.sources)):
            yield RuleHit(written, "ADD only copies local files here: use COPY")


def _needs_add(source: str) -> bool:
    return bool("$" in source or _REMOTE.match(source) or _ARCHIVE.search(source) or source.endswith(("*", "?", "]")))


def exec_form_not_json(facts: HabitFacts) -> Iterator[RuleHit]:
    for written, each in _instructions(facts.read):
        match each:
            case ast.Run() | ast.Cmd() | ast.Entrypoint() if each.command.shell and each.command.words:
                text = each.command.words[0]
            case ast.Healthcheck() if each.test[:1] == ("CMD-SHELL",):
                text = each.test[-1]
            case ast.Copy() | ast.Add() | ast.Volume():
                text = written.text.partition(" ")[2].lstrip()
            case _:
                continue
        if why := _not_json(text.strip(), surely=isinstance(each, ast.Cmd | ast.Entrypoint)):
            yield RuleHit(written, f"This is not an exec form, since it is not JSON: {why}")


def _not_json(text: str, *, surely: bool) -> str:
    """How a text that looks like a JSON list becomes one; empty for any other. ``surely``: brackets mean that it is to be one."""
    if not (text.startswith("[") and text.endswith("]")) or text.startswith("[["):
        return ""
    if _LIST.match(text):
        if re.search(r",\s*\]\Z", text):
            return "remove the comma after the last word"
        return "use double quotes instead of single quotes" if "'" in re.sub(r"\"(?:[^\"\\]|\\.)*\"", "", text) else ""
    return "put each word in double quotes, with commas between them" if surely and not text.startswith("[ ") else ""


# -- commands -------------------------------------------------------------------------------------------------------------


def apt_get_assume_yes(facts: HabitFacts) -> Iterator[RuleHit]:
    if _mentions(facts.read, "Assume-Yes"):
        return
    for run in facts.runs:
        for before, command in zip((None, *run.commands), run.commands, strict=False):
            verb, options = _apt(command)
            if command.piped and before is not None and before.program == "yes":
                continue
            if verb in _ASKS and not any(map(_says_yes, options)):
                yield RuleHit(run.written, f"{_name(command)} {verb} without -y asks a question, and nobody answers in a build")


def _says_yes(option: str) -> bool:
    """Level 2 of ``-q`` means yes; a variable may be anything."""
    letters = option[1:] if option[1:].isalpha() else ""
    return option in _YES or option.startswith("$") or "y" in letters or letters.count("q") > 1


def apt_get_recommends(facts: HabitFacts) -> Iterator[RuleHit]:
    if _mentions(facts.read, "Install-Recommends"):
        return
    for run in facts.runs:
        for command in run.commands:
            verb, options = _apt(command)
            if verb == "install" and not any("no-install-recommends" in each or each.startswith("$") for each in options):
                yield RuleHit(
                    run.written, f"{_name(command)} install without --no-install-recommends also installs recommended packages"
                )


def apt_get_lists(facts: HabitFacts) -> Iterator[RuleHit]:
    """Only in stages whose files are in an image. A cache mount holds the lists too."""
    if not facts.kept:
        return
    for run in facts.runs:
        if any(_apt(command)[0] == "update" for command in run.commands):
            cleans = any(_apt(command)[0] in ("distclean", "dist-clean") for command in run.commands)
            if not cleans and not any("/var/lib/apt" in text for text in (run.script, *run.run.flags.mounts)):
                yield RuleHit(
                    run.written,
                    "The package lists stay in the layer: end the RUN with rm -rf /var/lib/apt/lists/*, or mount a cache there",
                )


def sudo_in_run(facts: HabitFacts) -> Iterator[RuleHit]:
    for run in facts.runs:
        if any(command.program == "sudo" for command in run.commands):
            yield RuleHit(run.written, "sudo is not needed in RUN: change the user with USER")


def cd_in_run(facts: HabitFacts) -> Iterator[RuleHit]:
    for run in facts.runs:
        first = run.commands[0] if run.commands else ShellCommand(("",))
        if first.program == "cd" and len(first.words) == 2 and run.script.lstrip().startswith("cd"):  # not in a subshell
            place = first.words[1]
            if len(run.commands) == 1:
                yield RuleHit(run.written, f"cd has no effect on the next instruction: use WORKDIR {place}")
            else:
                yield RuleHit(run.written, f"RUN begins with cd: use WORKDIR {place}")


def pipe_to_shell(facts: HabitFacts) -> Iterator[RuleHit]:
    """A failed download is an empty script, which ends well."""
    for run in facts.runs:
        if any(_PIPEFAIL.search(word) for word in run.shell) or _PIPEFAIL.search(run.script):
            continue
        for before, command in zip(run.commands, run.commands[1:], strict=False):
            target = _without_sudo(command)
            if command.piped and before.program in _DOWNLOADS and target.program in _INTERPRETERS:
                yield RuleHit(
                    run.written,
                    f"{before.program} | {target.program} without pipefail: if the download fails, the script is empty and the "
                    "step succeeds; download to a file first, or use bash with set -o pipefail",
                )


# -- what they read -------------------------------------------------------------------------------------------------------


def _instructions(read: ExpandedStage) -> Iterator[tuple[ast.Written, ast.Instruction]]:
    """Those of the stage, triggers without their ONBUILD."""
    for each in read.instructions:
        given = each.given
        yield given.written, given.inner if isinstance(given, ast.Onbuild) else given


def _lineage(read: ExpandedStage) -> list[ExpandedStage]:
    """The stages that this one is built from, the first one first, and itself."""
    found = [read]
    while found[-1].parent is not None and len(found) < _PARENTS:
        found.append(found[-1].parent)
    return found[::-1]


def _runs(read: ExpandedStage) -> Iterator[ReadRun]:
    """What the stage runs in a shell whose language is known."""
    *parents, _ = _lineage(read)
    shell: tuple[str, ...] = ()
    for parent in parents:
        shell = next((each.given.words for each in parent.instructions[::-1] if isinstance(each.given, ast.Shell)), shell)
    for written, each in _instructions(read):
        if isinstance(each, ast.Shell):
            shell = each.words
        elif isinstance(each, ast.Run):
            command = each.command
            if not command.shell:
                yield ReadRun(written, each, (ShellCommand(command.words),) if command.words else (), " ".join(command.words), ())
            elif not shell or re.split(r"[/\\]", shell[0])[-1] in _SHELLS:
                script = _script(command.words[0] if command.words else "", command.heredocs)
                yield ReadRun(written, each, shell_commands(script), script, shell)


def _script(text: str, heredocs: Sequence[Heredoc]) -> str:
    """The text, or the here-document that it hands to a shell. Other here-documents are data."""
    if not heredocs or not text.lstrip().startswith(("<<", *_SHELLS)):
        return text
    first = heredocs[0].text
    head, _, _ = first.partition("\n")
    other = head.startswith("#!") and not any(word.rpartition("/")[2] in _SHELLS for word in head[2:].split())
    alone = not shell_commands(text) or shell_commands(text)[0].program in _SHELLS
    return "" if other else first if alone else text


def _mentions(read: ExpandedStage, setting: str) -> bool:
    """Whether an instruction up to here may write that setting of apt."""
    return any(
        setting in each.given.written.text or any(setting in doc.body for doc in _heredocs(each.given))
        for stage in _lineage(read)
        for each in stage.instructions
    )


def _heredocs(given: ast.Instruction) -> tuple[Heredoc, ...]:
    match given:
        case ast.Run():
            return given.command.heredocs
        case ast.Copy() | ast.Add():
            return given.heredocs
        case _:
            return ()


def _apt(command: ShellCommand) -> tuple[str, tuple[str, ...]]:
    """What apt-get is to do, and its options; an empty text for another program."""
    words = _without_sudo(command).words
    if not words or words[0].rpartition("/")[2] not in _APT:
        return "", ()
    options: list[str] = []
    verb = ""
    values = False
    for word in words[1:]:
        if values:
            options[-1] += word
            values = False
        elif word.startswith("-"):
            options.append(word)
            values = word in _WITH_VALUE
        elif word.startswith("$") and re.search(r"opt|flag|arg", word, re.IGNORECASE):
            options.append(word)
        elif not verb:
            verb = word
    return verb, tuple(options)


def _name(command: ShellCommand) -> str:
    return _without_sudo(command).program


def _without_sudo(command: ShellCommand) -> ShellCommand:
    words = command.words
    if command.program != "sudo":
        return command
    at = 1
    while at < len(words) and (words[at].startswith("-") or "=" in words[at]):
        at += 1
    return ShellCommand(words[at:] or words[:1], piped=command.piped)


HABIT_CHECKS: tuple[tuple[Rule, HabitCheck], ...] = (
    (rules.UNPINNED_BASE, unpinned_base),
    (rules.ADD_INSTEAD_OF_COPY, add_instead_of_copy),
    (rules.EXEC_FORM_NOT_JSON, exec_form_not_json),
    (rules.APT_GET_ASSUME_YES, apt_get_assume_yes),
    (rules.APT_GET_RECOMMENDS, apt_get_recommends),
    (rules.APT_GET_LISTS, apt_get_lists),
    (rules.SUDO_IN_RUN, sudo_in_run),
    (rules.CD_IN_RUN, cd_in_run),
    (rules.PIPE_TO_SHELL, pipe_to_shell),
)
