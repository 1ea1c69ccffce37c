"""The plan: stages of steps with every word expanded and the config after each one known."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from operator import attrgetter
from typing import TypeAlias

from gazami.dockerfile.instructions import CopyFlags
from gazami.dockerfile.mounts import Mount
from gazami.errors import Source, Span
from gazami.image.config import ImageConfig
from gazami.image.digest import Digest
from gazami.image.platform import Platform
from gazami.values import fast_dataclass, field


@fast_dataclass(frozen=True, slots=True)
class ScratchBase:
    """``FROM scratch``: no layers."""


@fast_dataclass(frozen=True, slots=True)
class StageBase:
    """An earlier stage of the same file, by number."""

    number: int


@fast_dataclass(frozen=True, slots=True)
class ImageBase:
    """An image in a registry: the reference as written (expanded) and the platform that is wanted of it.

    A reference that begins with ``oci-layout://`` is a local layout's path."""

    reference: str
    platform: Platform


Base: TypeAlias = ScratchBase | StageBase | ImageBase


@fast_dataclass(frozen=True, slots=True)
class ContextSource:
    """The main build context."""


@fast_dataclass(frozen=True, slots=True)
class StageSource:
    number: int


@fast_dataclass(frozen=True, slots=True)
class ImageSource:
    image: ImageBase


@fast_dataclass(frozen=True, slots=True)
class NamedSource:
    """A further build context (``--build-context NAME=…``) that is not an image."""

    name: str


FilesFrom: TypeAlias = ContextSource | StageSource | ImageSource | NamedSource


@fast_dataclass(frozen=True, slots=True)
class InlineFile:
    """A here-document that becomes a file."""

    name: str
    content: str


@fast_dataclass(frozen=True, slots=True)
class StepCommon:
    """``number`` counts from 1 in its stage. ``config`` is the image's after the step, without layers and history.
    ``created_by`` is the history entry's text, None where the step makes none; ``text`` is for people.
    ``source`` is the text that ``span`` points into."""

    number: int
    text: str
    span: Span
    source: Source
    config: ImageConfig
    created_by: str | None
    keyword: str


@fast_dataclass(frozen=True, slots=True)
class MetadataStep:
    """Changes the config only."""

    common: StepCommon


@fast_dataclass(frozen=True, slots=True)
class RunMount:
    """A mount with its files' origin resolved (bind and cache)."""

    mount: Mount
    files: FilesFrom | None = None


@fast_dataclass(frozen=True, slots=True)
class RunStep:
    """``argv`` includes the shell. ``env`` is the whole environment, build args and proxies included.
    ``script`` is a here-document that is run as a file."""

    common: StepCommon
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    user: str
    mounts: tuple[RunMount, ...] = ()
    network: str = "default"
    script: InlineFile | None = None


@fast_dataclass(frozen=True, slots=True)
class CopyStep:
    """COPY or ADD. ``dest`` is absolute and keeps a trailing ``/`` or ``/.``, which means "a directory"."""

    common: StepCommon
    files: FilesFrom
    sources: tuple[str, ...]
    dest: str
    inline: tuple[InlineFile, ...] = ()
    flags: CopyFlags = field(default_factory=CopyFlags)
    add: bool = False


@fast_dataclass(frozen=True, slots=True)
class WorkdirStep:
    """Make ``path`` where it is missing, owned by ``user``. Always a layer."""

    common: StepCommon
    path: str
    user: str


Step: TypeAlias = MetadataStep | RunStep | CopyStep | WorkdirStep


@fast_dataclass(frozen=True, slots=True)
class StagePlan:
    """``config`` is what the steps start from: the base's, made the stage's own. ``name`` is for people."""

    number: int
    name: str
    base: Base
    config: ImageConfig
    steps: tuple[Step, ...]
    span: Span
    base_text: str = ""

    @property
    def final_config(self) -> ImageConfig:
        return self.steps[-1].common.config if self.steps else self.config

    @property
    def runs(self) -> bool:
        return any(isinstance(step, RunStep) for step in self.steps)


@fast_dataclass(frozen=True, slots=True)
class PlanWarning:
    text: str
    rule: str | None = None
    span: Span | None = None


@fast_dataclass(frozen=True, slots=True)
class Plan:
    """``stages`` holds only those that the target needs, in the order of the file; the last one is the target.

    ``images`` are the digests that references were resolved to."""

    stages: tuple[StagePlan, ...]
    target: int
    images: tuple[tuple[ImageBase, Digest], ...] = ()
    warnings: tuple[PlanWarning, ...] = field(default=())

    def stage(self, number: int) -> StagePlan:
        return self.stages[bisect_left(self.stages, number, key=attrgetter("number"))]

    def lineage(self, stage: StagePlan) -> Iterator[StagePlan]:
        """A stage and those that it is built from, itself first."""
        yield stage
        while isinstance(stage.base, StageBase):
            stage = self.stage(stage.base.number)
            yield stage


def sources_of(stage: StagePlan) -> tuple[FilesFrom, ...]:
    """Where the files come from that a stage's steps copy or mount, in order, with repetitions."""
    return tuple(files for step in stage.steps for files in sources_of_step(step))


def sources_of_step(step: Step) -> tuple[FilesFrom, ...]:
    """Where the files come from that a step copies or mounts."""
    match step:
        case CopyStep():
            return (step.files,) if step.sources else ()
        case RunStep():
            return tuple(mount.files for mount in step.mounts if mount.files is not None)
        case _:
            return ()
