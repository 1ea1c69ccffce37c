"""The keys of a plan's steps, computed when they are asked for: what no cacheable step depends on is never hashed."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.builder.inputs import ContentInputs, Named
from gazami.builder.request import BuildRequest
from gazami.cache.keys import (
    CacheableStep,
    Inputs,
    RunSettings,
    after,
    files_of,
    key_of,
    step_inputs,
)
from gazami.errors import Cancelled, GazamiError
from gazami.image.digest import Digest
from gazami.plan.scope import proxy_env
from gazami.plan.steps import (
    CopyStep,
    FilesFrom,
    ImageBase,
    ImageSource,
    MetadataStep,
    Plan,
    RunStep,
    ScratchBase,
    StageBase,
    StagePlan,
    StageSource,
    WorkdirStep,
)
from gazami.registry.resolved import Resolved
from gazami.values import dataclass, field


@dataclass(slots=True)
class StepKeys:
    """``definition`` and ``content`` give the two kinds of inputs that ``cache.keys`` describes."""

    plan: Plan
    images: Mapping[ImageBase, Resolved]
    contents: ContentInputs
    settings: RunSettings
    form: str
    """How layers are written: their compression, and whether they have times."""
    _inputs: dict[tuple[int, int], Inputs] = field(default_factory=dict)

    def definition(self, stage: StagePlan, position: int) -> Inputs:
        """Raises :class:`GazamiError` kinds, with the step's place, when what it copies is missing."""
        known = self._inputs.get((stage.index, position))
        if known is None:
            known = self._made(stage, position, self._below(stage, position), self._by_definition)
            self._inputs[stage.index, position] = known
        return known

    def content(self, stage: StagePlan, position: int, diff_ids: tuple[Digest, ...]) -> Inputs:
        """``diff_ids`` are the layers that the stage has before the step; stages copied from must have been built."""
        return self._made(stage, position, files_of(diff_ids), self._by_content)

    def _made(self, stage: StagePlan, position: int, below: tuple[str, str], named: Named) -> Inputs:
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
        for earlier in range(position - 1, -1, -1):
            if not isinstance(stage.steps[earlier], MetadataStep):
                return after(key_of(self.definition(stage, earlier)))
        match stage.base:
            case ScratchBase():
                return files_of(())
            case ImageBase():
                return files_of(self.images[stage.base].config.diff_ids)
            case StageBase(index):
                return self._result(self.plan.stage(index))

    def _result(self, stage: StagePlan) -> tuple[str, str]:
        """What stands for the files of a whole stage."""
        return self._below(stage, len(stage.steps))

    def _by_definition(self, files: FilesFrom) -> tuple[str, str] | None:
        match files:
            case StageSource(index):
                return "the stage it takes files from", self._result(self.plan.stage(index))[1]
            case _:
                return self._by_content(files)

    def _by_content(self, files: FilesFrom) -> tuple[str, str] | None:
        match files:
            case ImageSource(image):
                return "the image it takes files from", files_of(self.images[image].config.diff_ids)[1]
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


def run_settings(request: BuildRequest) -> RunSettings:
    sandbox = request.sandbox
    return RunSettings(
        request.plan.platform,
        sandbox.add_hosts,
        sandbox.shm_size,
        sandbox.ulimits,
        request.context.ignore_paths,
        request.snapshot.mode,
        frozenset(proxy_env(dict(request.plan.build_args))),
    )


def near_tag(stage: StagePlan, position: int) -> str:
    """The tag under which the newest entry of a place in the Dockerfile lies, to explain a miss there."""
    return f"near-{key_of((('stage', stage.name), ('step', str(position))))[:40]}"
