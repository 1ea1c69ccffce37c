"""The keys of a plan's steps, computed when they are asked for: what no cacheable step depends on is never hashed."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.builder.cached.inputs import ContentInputs, Named
from gazami.cache.keys import FROM_STAGE, CacheableStep, KeyInputs, RunSettings, after, files_of, key_of, step_inputs
from gazami.errors import Cancelled, GazamiError
from gazami.image.digest import Digest
from gazami.image.manifest import Descriptor
from gazami.plan.steps import (
    CopyStep,
    FilesFrom,
    ImageBase,
    ImageSource,
    MetadataStep,
    Plan,
    RunStep,
    StagePlan,
    StageSource,
    WorkdirStep,
    sources_of_step,
)
from gazami.registry.resolved import Resolved
from gazami.values import fast_dataclass, field


@fast_dataclass(slots=True)
class StepKeys:
    """``definition`` and ``content`` give the two forms of inputs that ``cache.keys`` describes."""

    plan: Plan
    images: Mapping[ImageBase, Resolved]
    contents: ContentInputs
    settings: RunSettings
    form: str
    """How layers are written: their compression, and whether they have times."""
    _inputs: dict[tuple[int, int], KeyInputs] = field(default_factory=dict)

    def definition(self, stage: StagePlan, position: int) -> KeyInputs:
        """Raises :class:`GazamiError` kinds, with the step's lines, when what it copies is missing."""
        todo = [(stage, position)]
        while todo:  # what a step's key is made of first, however long the chain of steps and stages is
            stage, position = todo[-1]
            missing = [each for each in self._needed(stage, position) if (each[0].number, each[1]) not in self._inputs]
            if missing:
                todo += missing
                continue
            todo.pop()
            if (stage.number, position) not in self._inputs:
                made = self._made(stage, position, self._below(stage, position), self._by_definition)
                self._inputs[stage.number, position] = made
        return self._inputs[stage.number, position]

    def _needed(self, stage: StagePlan, position: int) -> list[tuple[StagePlan, int]]:
        """The steps whose keys are inputs of a step's."""
        sources = [self.plan.stage(each.number) for each in sources_of_step(stage.steps[position]) if isinstance(each, StageSource)]
        found = [self._step_below(stage, position)] + [self._step_below(each, len(each.steps)) for each in sources]
        return [each for each in found if each is not None]

    def _step_below(self, stage: StagePlan, position: int) -> tuple[StagePlan, int] | None:
        """The nearest step with a layer below a position, in the stage or those that it is built from."""
        for each in self.plan.lineage(stage):
            for earlier in range((position if each is stage else len(each.steps)) - 1, -1, -1):
                if not isinstance(each.steps[earlier], MetadataStep):
                    return each, earlier
        return None

    def content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> KeyInputs:
        """``diff_ids`` are the layers that the stage has before the step; stages copied from must have been built."""
        return self._made(stage, position, files_of((*diff_ids, *self._blobs(self._base(stage)))), self._by_content)

    def _made(self, stage: StagePlan, position: int, below: tuple[str, str], named: Named) -> KeyInputs:
        step = stage.steps[position]
        assert isinstance(step, RunStep | CopyStep | WorkdirStep)
        try:
            contents = self.contents.of(step, named)
        except Cancelled:
            raise
        except GazamiError as error:
            raise error.at(step.common.span, step.common.source) from error.__cause__
        return step_inputs(step, below, contents, self.settings, self.form)

    def _below(self, stage: StagePlan, position: int) -> tuple[str, str]:
        below = self._step_below(stage, position)
        if below is not None:
            return after(key_of(self._inputs[below[0].number, below[1]]))
        base = self._base(stage)
        return self._files(base) if base is not None else files_of(())

    def _base(self, stage: StagePlan) -> ImageBase | None:
        *_, first = self.plan.lineage(stage)
        return first.base if isinstance(first.base, ImageBase) else None

    def _files(self, image: ImageBase) -> tuple[str, str]:
        """What names the files of an image. Its diff ids are only what its config says, and a copy onto it or from it may never
        find out that they are another image's; its blobs are what is read."""
        return files_of((*self.images[image].config.diff_ids, *self._blobs(image)))

    def _blobs(self, image: ImageBase | None) -> tuple[str, ...]:
        """The digests of the layers' blobs, and of their tables of contents, each with its place: a copy may have believed them."""
        if image is None:
            return ()
        layers = self.images[image].manifest.layers
        tables = (f"{number} {digest}" for number, layer in enumerate(layers) for digest in _table(layer))
        return (*(layer.digest for layer in layers), *tables)

    def _result(self, stage: StagePlan) -> tuple[str, str]:
        """What stands for the files of a whole stage."""
        return self._below(stage, len(stage.steps))

    def _by_definition(self, files: FilesFrom) -> tuple[str, str] | None:
        match files:
            case StageSource(index):
                return FROM_STAGE, self._result(self.plan.stage(index))[1]
            case _:
                return self._by_content(files)

    def _by_content(self, files: FilesFrom) -> tuple[str, str] | None:
        match files:
            case ImageSource(image):
                return "the image it takes files from", self._files(image)[1]
            case _:
                return None


def cacheable(stage: StagePlan, position: int, *, runs: bool, copies: bool) -> CacheableStep | None:
    """The step, if its layer may be kept (``--cache-run-layers``, ``--cache-copy-layers``)."""
    match stage.steps[position]:
        case RunStep() | WorkdirStep() as step if runs:
            return step
        case CopyStep() as step if copies:
            return step
        case _:
            return None


def near_tag(stage: StagePlan, position: int) -> str:
    """The tag of the newest entry for a step of the Dockerfile, to explain a miss."""
    return f"near-{key_of((('stage', stage.name), ('step', str(position))))[:40]}"


def _table(layer: Descriptor) -> tuple[Digest, ...]:
    if not layer.annotations:
        return ()
    from gazami.layer.contents_table import table_of

    table = table_of(layer)
    return (table.digest,) if table is not None else ()
