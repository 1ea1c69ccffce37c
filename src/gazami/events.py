"""The facts of a build, in order: one union that feeds every display.

Producers call an :data:`Emit`; sinks in ``gazami.report`` turn events into text, JSON or a live view. An event carries
facts, never formatted sentences; sizes are bytes, durations seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from gazami.errors import Span
from gazami.values import fast_dataclass, field

Level = Literal["debug", "info", "warning"]


@fast_dataclass(frozen=True, slots=True)
class StepId:
    """A step's place: stage index (0-based) and step number in the stage (1-based)."""

    stage: int
    step: int


@fast_dataclass(frozen=True, slots=True)
class Message:
    """Free text for people: an explanation, a decision, a detail."""

    level: Level
    text: str


@fast_dataclass(frozen=True, slots=True)
class Warned:
    """A build check or another warning that has a place in the Dockerfile; ``rule`` as BuildKit names it."""

    text: str
    rule: str | None = None
    span: Span | None = None
    hint: str | None = None


@fast_dataclass(frozen=True, slots=True)
class SandboxChosen:
    """The isolation mode of RUN steps and why it was chosen."""

    mode: str
    reason: str


@fast_dataclass(frozen=True, slots=True)
class BaseResolved:
    """A base image reference and the digest of the manifest that it means for this platform."""

    reference: str
    digest: str


@fast_dataclass(frozen=True, slots=True)
class PlanReady:
    """What will be done: ``(stage index, stage name, step texts)`` of each stage to be built, in order."""

    stages: tuple[tuple[int, str, tuple[str, ...]], ...]


@fast_dataclass(frozen=True, slots=True)
class CacheChecked:
    """So many steps were looked up in the cache before anything ran, and so many were found."""

    where: str
    asked: int
    found: int
    seconds: float


@fast_dataclass(frozen=True, slots=True)
class StagesNeeded:
    """The numbers of the stages that are built after all: the cache stands in for the others."""

    numbers: tuple[int, ...]


@fast_dataclass(frozen=True, slots=True)
class StageStarted:
    stage: int
    name: str
    base: str
    steps: int


@fast_dataclass(frozen=True, slots=True)
class StageFinished:
    stage: int
    seconds: float


@fast_dataclass(frozen=True, slots=True)
class BaseStarted:
    """A step needs the files that its stage begins with, which are pulled and unpacked now; ``id`` is the step that waits."""

    id: StepId
    reference: str


@fast_dataclass(frozen=True, slots=True)
class BaseFinished:
    """The files of a stage's base are there, or (``failed``) cannot be had. The step's own time begins now."""

    id: StepId
    seconds: float
    failed: bool = False


@fast_dataclass(frozen=True, slots=True)
class StepStarted:
    """``text`` is the instruction as written (one line, heredocs abridged); ``total`` steps in its stage. ``file`` names the text
    that ``span`` points into; ``cached``: its layer is taken from the cache. ``reasons``: what it has other than the newest entry
    of the cache, for the first step of a stage that was not found. ``looked_up`` is how long it was looked for now, other builds
    waited for included."""

    id: StepId
    total: int
    text: str
    span: Span | None = None
    file: str = ""
    cached: bool = False
    reasons: tuple[str, ...] = field(default=())
    looked_up: float = 0.0


@fast_dataclass(frozen=True, slots=True)
class StepWaiting:
    """A step waits, before it begins, for the layer that another build is making; ``text`` is the instruction."""

    id: StepId
    text: str


@fast_dataclass(frozen=True, slots=True)
class StepWaited:
    """It was ``found`` in the cache then, or this build makes it: the other one is gone (``took over``), has ``failed``, or takes
    too long (``late``)."""

    id: StepId
    seconds: float
    how: Literal["found", "took over", "failed", "late"]


@fast_dataclass(frozen=True, slots=True)
class StepOutput:
    """What a RUN wrote; any number of bytes, not necessarily whole lines."""

    id: StepId
    stream: Literal["stdout", "stderr"]
    data: bytes


@fast_dataclass(frozen=True, slots=True)
class StepFinished:
    """``layer_size`` is the compressed size of the layer that the step made, ``layer`` its digest; None and empty without one.
    ``missed``: the cache was asked for it in vain."""

    id: StepId
    seconds: float
    cached: bool = False
    layer_size: int | None = None
    files: int | None = None
    missed: bool = False
    layer: str = ""


@fast_dataclass(frozen=True, slots=True)
class StepFailed:
    """A step did not end well: on its own account, or (``cancelled``) because something else ended the build."""

    id: StepId
    seconds: float
    message: str
    cancelled: bool = False


@fast_dataclass(frozen=True, slots=True)
class TransferStarted:
    """Bytes begin to move; ``key`` identifies the transfer (digest and place), ``total`` is None where unknown."""

    key: str
    direction: Literal["pull", "push"]
    what: str
    where: str
    total: int | None = None


@fast_dataclass(frozen=True, slots=True)
class TransferProgress:
    key: str
    done: int


@fast_dataclass(frozen=True, slots=True)
class TransferFinished:
    """``how``: moved over the wire, mounted from another repository, found there already, or not: it failed, or nobody wants it any
    more."""

    key: str
    how: Literal["moved", "mounted", "exists", "failed", "cancelled"]
    size: int
    seconds: float


@fast_dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A long piece of work without bytes on a wire: unpacking, scanning, packing, hashing a context; ``step`` if it is a part of
    one."""

    key: str
    what: str
    total: int | None = None
    unit: Literal["files", "bytes", ""] = ""
    step: StepId | None = None


@fast_dataclass(frozen=True, slots=True)
class PhaseProgress:
    key: str
    done: int


@fast_dataclass(frozen=True, slots=True)
class PhaseFinished:
    """The phase is over, well or (``failed``) not: every phase that has started ends."""

    key: str
    seconds: float
    failed: bool = False


@fast_dataclass(frozen=True, slots=True)
class ImageMade:
    """The image is complete and not yet where it is wanted: its ``config`` as it is stored, the compressed ``sizes`` of the layers
    with these ``digests``."""

    config: str
    digests: tuple[str, ...]
    sizes: tuple[int, ...]


@fast_dataclass(frozen=True, slots=True)
class Exported:
    """An output of the build exists: a pushed reference, an archive, a layout, a digest file."""

    kind: Literal["image", "index", "docker-archive", "oci-layout", "files", "file", "loaded"]
    where: str
    digest: str


@fast_dataclass(frozen=True, slots=True)
class BuildFinished:
    """The build is over and good. ``size`` is the sum of the compressed layers, ``image_id`` the digest of the config,
    ``requests`` how often registries and other servers were asked something."""

    seconds: float
    digest: str
    size: int
    layers: int
    destinations: tuple[str, ...] = field(default=())
    image_id: str = ""
    requests: int = 0


Event: TypeAlias = (
    Message
    | Warned
    | SandboxChosen
    | BaseResolved
    | PlanReady
    | CacheChecked
    | StagesNeeded
    | StageStarted
    | StageFinished
    | BaseStarted
    | BaseFinished
    | StepWaiting
    | StepWaited
    | StepStarted
    | StepOutput
    | StepFinished
    | StepFailed
    | TransferStarted
    | TransferProgress
    | TransferFinished
    | PhaseStarted
    | PhaseProgress
    | PhaseFinished
    | ImageMade
    | Exported
    | BuildFinished
)

Emit: TypeAlias = Callable[[Event], None]


def discard(event: Event) -> None:
    """An :data:`Emit` for callers that show nothing."""
