"""What instructions need from outside of the build, read from a plan or from a Dockerfile alone. Pure.

Only what is certain counts: a file by a literal name in a build context, which no earlier step can make, a required secret, an
agent. Wildcards may match nothing, and what an earlier stage or another image holds is not known before the build.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Literal

from gazami.context.git_url import is_git
from gazami.dockerfile import instructions as ast
from gazami.dockerfile.mounts import Mount
from gazami.errors import DockerfileError, Source, Span
from gazami.plan.expand import ExpandedInstruction, ExpandedStage
from gazami.plan.outline import Outline
from gazami.plan.steps import ContextSource, CopyStep, FilesFrom, NamedSource, RunMount, RunStep, StagePlan, Step
from gazami.rootfs.glob import has_wildcard
from gazami.values import fast_dataclass

_URLS = ("http://", "https://")


@fast_dataclass(frozen=True, slots=True)
class FileNeed:
    """``path`` in the files of a context, as a COPY's source, the pattern of a ``COPY --parents``, or a mount's source."""

    span: Span
    source: Source
    files: ContextSource | NamedSource
    path: str
    how: Literal["copy", "parents", "mount"] = "copy"


@fast_dataclass(frozen=True, slots=True)
class SecretNeed:
    """A secret without which the build fails."""

    span: Span
    source: Source
    id: str


@fast_dataclass(frozen=True, slots=True)
class AgentNeed:
    """An agent that a command gets; a build without one fails if it is ``required``."""

    span: Span
    source: Source
    id: str
    required: bool


Need = FileNeed | SecretNeed | AgentNeed


def needs_of(stage: StagePlan) -> Iterator[Need]:
    """What the steps of a stage need, in order."""
    for step in stage.steps:
        yield from needs_of_step(step)


def needs_of_step(step: Step) -> Iterator[Need]:
    """What one step needs."""
    match step:
        case CopyStep():
            sources = tuple(source for source in step.sources if not is_remote(source, add=step.add))
            yield from _copied(sources, step.files, step.common.span, step.common.source, parents=step.flags.parents)
        case RunStep():
            for each in step.mounts:
                yield from _mounted(each, step.common.span, step.common.source)
        case _:
            return


def needs_as_expanded(stage: ExpandedStage, outline: Outline) -> Iterator[Need]:
    """What a stage needs as far as its text says so. A word with a variable that its base may define is left out."""
    for each in stage.instructions:
        span = each.given.written.span
        match each.instruction:
            case ast.Copy() | ast.Add() as instruction:
                files = _files(instruction, stage, outline)
                add = isinstance(instruction, ast.Add)
                sources = tuple(text for text in _sources(each, stage) if not is_remote(text, add=add))
                parents = instruction.flags.parents
                if files is not None:
                    yield from _copied(sources, files, span, outline.source, parents=parents)
            case ast.Run() if stage.certain or not any(part.missing for part in each.texts):
                for mount in each.mounts:
                    bound = RunMount(mount, _mount_files(mount, stage, outline))
                    yield from _mounted(bound, span, outline.source)
            case _:
                pass


def is_url(source: str) -> bool:
    return source.startswith(_URLS)


def is_local(value: str) -> bool:
    """Whether a named context is a folder of this machine."""
    return not is_git(value) and not is_url(value)


def is_remote(source: str, *, add: bool) -> bool:
    """Whether a source lies on another machine: only ADD's can."""
    return add and (is_git(source) or is_url(source))


def secret_id(mount: Mount) -> str:
    """The id of a secret mount; by default from its target."""
    return mount.id or mount.source or posixpath.basename(mount.target) or mount.env or ""


def _copied(sources: tuple[str, ...], files: FilesFrom, span: Span, source: Source, *, parents: bool) -> Iterator[FileNeed]:
    if isinstance(files, ContextSource | NamedSource):
        for path in sources:
            if not has_wildcard(path):
                yield FileNeed(span, source, files, path, "parents" if parents else "copy")


def _mounted(wanted: RunMount, span: Span, source: Source) -> Iterator[Need]:
    mount, files = wanted.mount, wanted.files
    if mount.type == "bind" and isinstance(files, ContextSource | NamedSource):
        yield FileNeed(span, source, files, mount.source, "mount")
    elif mount.type == "secret" and mount.required:
        yield SecretNeed(span, source, secret_id(mount))
    elif mount.type == "ssh":
        yield AgentNeed(span, source, mount.id or "default", mount.required)


def _sources(each: ExpandedInstruction, stage: ExpandedStage) -> tuple[str, ...]:
    found = (part for part in each.texts if part.part == "source" and (stage.certain or not part.missing))
    return tuple(part.text for part in found) if each.error is None else ()


def _files(instruction: ast.Copy | ast.Add, stage: ExpandedStage, outline: Outline) -> FilesFrom | None:
    """Where a copy's files come from, None for a ``--from`` that is a mistake."""
    if isinstance(instruction, ast.Add):
        return ContextSource()
    try:
        return outline.copy_source(instruction.flags.from_, stage.stage)
    except DockerfileError:
        return None


def _mount_files(mount: Mount, stage: ExpandedStage, outline: Outline) -> FilesFrom | None:
    if not mount.from_:
        return ContextSource() if mount.type == "bind" else None
    try:
        return outline.named_source(mount.from_, stage.stage)
    except DockerfileError:
        return None
