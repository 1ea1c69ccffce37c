"""The life of a build. Open this first.

request → context → Dockerfile → outline → bases resolved → plan → stages → image → export. ``--dryrun`` ends at the plan.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import assert_never

from gazami.builder.dockerfile import find_dockerfile, find_ignore
from gazami.builder.execute import execute
from gazami.builder.export import Exporter, Finished, finish
from gazami.builder.layers import LayerFiles
from gazami.builder.named import image_layers, is_layout, named_context, resolve_layout
from gazami.builder.registries import open_registry
from gazami.builder.request import BuildRequest
from gazami.builder.squash import squash
from gazami.builder.stage import StageState
from gazami.builder.tools import Tools, hide
from gazami.builder.workspace import Workspace
from gazami.cancel import Cancel
from gazami.context.schemes import fetch_context
from gazami.dockerfile.parser import parse
from gazami.errors import GazamiError
from gazami.events import (
    BaseResolved,
    BuildFinished,
    Emit,
    Message,
    PlanReady,
    StageFinished,
    StageStarted,
    StepFailed,
    StepFinished,
    StepId,
    StepStarted,
    Warned,
)
from gazami.image.config import History
from gazami.image.digest import Digest
from gazami.image.manifest import DOCKER_MANIFEST, OCI_MANIFEST
from gazami.image.model import Image
from gazami.image.reference import parse_reference
from gazami.layer.pack import Packing
from gazami.plan.compile import Missing, ResolvedImage, compile_plan
from gazami.plan.outline import Inputs, Outline, context_name, outline
from gazami.plan.render import render_plan
from gazami.plan.steps import (
    ContextSource,
    CopyStep,
    FilesFrom,
    ImageBase,
    ImageSource,
    NamedSource,
    Plan,
    RunStep,
    ScratchBase,
    StageBase,
    StagePlan,
    StageSource,
    WorkdirStep,
    sources_of,
)
from gazami.registry.client import RegistryClient
from gazami.registry.resolved import Resolved
from gazami.registry.transfer import Uploads
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.tree import Tree


@dataclass(frozen=True, slots=True)
class BuildResult:
    """``digest`` is the manifest's; both are None after a dry run, which has ``plan_text``."""

    digest: Digest | None = None
    finished: Finished | None = None
    plan_text: str = ""


def build(request: BuildRequest, emit: Emit, cancel: Cancel) -> BuildResult:
    """Carry out a request. Raises :class:`GazamiError`; nothing temporary is left behind, however it ends."""
    started = time.monotonic()
    with Workspace(request.sandbox.state_dir) as workspace, open_registry(request.registry, emit, cancel) as registry:
        context = fetch_context(request.context.context, request.context.sub_path, workspace.root)
        source, dockerfile_path = find_dockerfile(request.context.dockerfile, context.folder)
        dockerfile = parse(source)
        inputs = Inputs(
            dict(request.plan.build_args),
            request.plan.host,
            request.plan.platform,
            request.plan.targets[0] if request.plan.targets else "",
            request.plan.labels,
            {context_name(name): value for name, value in request.context.named},
        )
        outlined = outline(dockerfile, source, inputs)
        images: dict[ImageBase, Resolved] = {}
        plan = make_plan(outlined, inputs, registry, images, emit)
        if request.dryrun:
            return BuildResult(plan_text=render_plan(plan))
        ignore = find_ignore(dockerfile_path, context)
        folder = FolderTree(str(context.folder), hide(ignore, ()))
        layers = LayerFiles(workspace, registry, emit, cancel, keep_blobs=_keeps_blobs(request))
        packing = _packing(request, plan, images)
        tools = Tools(request, workspace, registry, layers, emit, cancel, packing, images, folder, str(context.folder))
        try:
            with Uploads(registry) as uploads:
                exporter = Exporter(request.output, registry, layers, emit)
                if request.output.push and request.output.check_push:
                    exporter.check_permissions()
                image = _Stages(plan, tools, exporter, uploads).build()
                finished = finish(image, request.output)
                exporter.export(finished, uploads)
        finally:
            tools.close()
    size = sum(layer.descriptor.size for layer in finished.image.layers)
    emit(
        BuildFinished(
            time.monotonic() - started,
            finished.manifest.digest,
            size,
            len(finished.image.layers),
            request.output.destinations if request.output.push else (),
        )
    )
    return BuildResult(finished.manifest.digest, finished)


# -- the plan -------------------------------------------------------------------------------------------------------------


def make_plan(
    outlined: Outline, inputs: Inputs, registry: RegistryClient, images: dict[ImageBase, Resolved], emit: Emit
) -> Plan:
    """Resolve images until the plan can be made; ``images`` is filled on the way."""
    while True:
        known = {base: ResolvedImage(found.digest, found.config) for base, found in images.items()}
        result = compile_plan(outlined, inputs, known)
        match result:
            case Missing(wanted):
                for base in wanted:
                    images[base] = _resolve(base, outlined, registry, emit)
            case Plan():
                for warning in result.warnings:
                    emit(Warned(warning.text, warning.rule, warning.span))
                emit(
                    PlanReady(
                        tuple(
                            (stage.index, stage.name, tuple(step.common.text for step in stage.steps))
                            for stage in result.stages
                        )
                    )
                )
                return result


def _resolve(base: ImageBase, outlined: Outline, registry: RegistryClient, emit: Emit) -> Resolved:
    try:
        if is_layout(base.reference):
            found = resolve_layout(base)
        else:
            found = registry.resolve(parse_reference(base.reference), base.platform)
    except GazamiError as error:
        spans = [stage.from_.place.span for stage in outlined.stages if stage.base == base]
        raise error.at(spans[0] if spans else None, outlined.source if spans else None) from error.__cause__
    emit(BaseResolved(base.reference, found.digest))
    return found


def _packing(request: BuildRequest, plan: Plan, images: dict[ImageBase, Resolved]) -> Packing:
    """Compression, and the media types: those asked for, else the base's; zstd exists only in OCI's."""
    output = request.output
    oci = output.image_format == "oci" or (output.image_format is None and output.compression == "zstd")
    if output.image_format is None and not oci:
        oci = _manifest_type(plan, plan.stage(plan.target), images) == OCI_MANIFEST
    return Packing(output.compression, output.compression_level, oci)


def _manifest_type(plan: Plan, stage: StagePlan, images: dict[ImageBase, Resolved]) -> str:
    match stage.base:
        case ImageBase():
            return images[stage.base].manifest.media_type
        case StageBase(index):
            return _manifest_type(plan, plan.stage(index), images)
        case ScratchBase():
            return OCI_MANIFEST


def _keeps_blobs(request: BuildRequest) -> bool:
    """Whether a base's blobs are needed whole, beyond the one pass: for an archive or a layout."""
    return bool(request.output.tar_path or request.output.oci_layout_path)


# -- stages ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Stages:
    plan: Plan
    tools: Tools
    exporter: Exporter
    uploads: Uploads

    def build(self) -> Image:
        """Build the plan's stages in order; the target's image."""
        states: dict[int, StageState] = {}
        chain = self._final_chain()
        for stage in self.plan.stages:
            states[stage.index] = self._stage(stage, states, final=stage.index in chain)
        return states[self.plan.target].image

    def _final_chain(self) -> set[int]:
        """The stages whose layers are in the result: the target and the stages it is built from."""
        chain = {self.plan.target}
        stage = self.plan.stage(self.plan.target)
        while isinstance(stage.base, StageBase):
            chain.add(stage.base.index)
            stage = self.plan.stage(stage.base.index)
        return chain

    def _stage(self, stage: StagePlan, states: dict[int, StageState], *, final: bool) -> StageState:
        tools = self.tools
        started = time.monotonic()
        tools.emit(StageStarted(stage.index, stage.name, stage.base_text, len(stage.steps)))
        state = self._start(stage, states)
        own = len(state.image.layers)
        needed_later = _is_source(self.plan, stage)
        single = tools.request.snapshot.single
        for position in range(len(stage.steps)):
            tools.cancel.check()
            left = stage.steps[position:]
            state.wants_tree = needed_later or any(isinstance(each, CopyStep | WorkdirStep) for each in left)
            state.wants_root = any(isinstance(each, RunStep) for each in left)
            self._step(position, stage, state, states)
            if final and not single:
                self.exporter.upload_layers(state.image, self.uploads)
        if single and len(state.image.layers) - own > 1:
            _squash_stage(state, own)
        if final:
            self.exporter.upload_layers(state.image, self.uploads)
        tools.emit(StageFinished(stage.index, time.monotonic() - started))
        return state

    def _step(self, position: int, stage: StagePlan, state: StageState, states: dict[int, StageState]) -> None:
        step = stage.steps[position]
        emit = self.tools.emit
        identity = StepId(stage.index, step.common.number)
        emit(StepStarted(identity, len(stage.steps), step.common.text, step.common.span))
        started = time.monotonic()
        try:
            done = execute(step, state, lambda files: self._tree_of(files, states))
        except GazamiError as error:
            emit(StepFailed(identity, time.monotonic() - started, error.message))
            raise
        size = done.layer.descriptor.size if done.layer is not None else None
        emit(StepFinished(identity, time.monotonic() - started, False, size, done.files))

    def _start(self, stage: StagePlan, states: dict[int, StageState]) -> StageState:
        media_type = OCI_MANIFEST if self.tools.packing.oci else DOCKER_MANIFEST
        match stage.base:
            case ScratchBase():
                return StageState(stage, Image(stage.config, (), media_type), self.tools)
            case ImageBase():
                state = StageState(stage, self._base_image(stage.base, stage), self.tools)
                known = self.tools.base_trees.get(state.image.config.diff_ids)
                if known is not None:
                    state.tree, state.indexed = known.copy(), len(state.image.layers)
                return state
            case StageBase(index):
                parent = states[index]
                image = replace(parent.image, media_type=media_type)
                state = StageState(stage, image, self.tools)
                state.take_config(stage.config)
                if parent.indexed == len(parent.image.layers):
                    state.tree, state.indexed = parent.tree.copy(), parent.indexed
                return state

    def _base_image(self, base: ImageBase, stage: StagePlan) -> Image:
        resolved = self.tools.images[base]
        layers = tuple(self.tools.layers.register(layer) for layer in image_layers(base, resolved))
        config = replace(stage.config, diff_ids=resolved.config.diff_ids, history=_repaired(resolved))
        return Image(config, layers, OCI_MANIFEST if self.tools.packing.oci else DOCKER_MANIFEST)

    def _tree_of(self, files: FilesFrom, states: dict[int, StageState]) -> Tree:
        match files:
            case ContextSource():
                return self.tools.context
            case StageSource(index):
                return states[index].index()
            case ImageSource(image):
                return self._image_tree(image)
            case NamedSource(name):
                return named_context(name, self.tools)
        assert_never(files)

    def _image_tree(self, image: ImageBase) -> Tree:
        resolved = self.tools.images[image]
        chain = resolved.config.diff_ids
        known = self.tools.base_trees.get(chain)
        if known is None:
            known = Tree()
            for layer in image_layers(image, resolved):
                self.tools.layers.ingest(layer, known, None)
            self.tools.base_trees[chain] = known
        return known


def _shared_bases(plan: Plan, images: dict[ImageBase, Resolved]) -> frozenset[tuple[Digest, ...]]:
    """The layers of images whose index several stages (or copies) ask for."""
    used = [stage.base for stage in plan.stages if isinstance(stage.base, ImageBase) and _asks_for_index(plan, stage)]
    used += {files.image for stage in plan.stages for files in sources_of(stage) if isinstance(files, ImageSource)}
    chains = [images[base].config.diff_ids for base in used]
    return frozenset(chain for chain in chains if chains.count(chain) > 1)


def _asks_for_index(plan: Plan, stage: StagePlan) -> bool:
    return _is_source(plan, stage) or any(isinstance(step, CopyStep | WorkdirStep) for step in stage.steps)


def _is_source(plan: Plan, stage: StagePlan) -> bool:
    """Whether another stage copies from this one, or is built from it and may."""
    return any(
        StageSource(stage.index) in sources_of(other) or other.base == StageBase(stage.index) for other in plan.stages
    )


def _repaired(resolved: Resolved) -> tuple[History, ...]:
    """The base's history with exactly one non-empty entry a layer, as exporters repair it."""
    history = list(resolved.config.history)
    missing = len(resolved.config.diff_ids) - sum(not entry.empty_layer for entry in history)
    for _ in range(missing):
        history.append(History(resolved.config.created, "", "gazami.base"))
    surplus = -missing
    for position in range(len(history) - 1, -1, -1):
        if surplus > 0 and not history[position].empty_layer:
            history[position] = replace(history[position], empty_layer=True)
            surplus -= 1
    return tuple(history)


def _squash_stage(state: StageState, own: int) -> None:
    """Replace a stage's own layers by one (``--single-snapshot``); its last non-empty history entry keeps the layer."""
    tools = state.tools
    tools.emit(Message("info", f"--single-snapshot: joining {len(state.image.layers) - own} layers into one"))
    layer = tools.layers.register(squash(state.image.layers[own:], tools.layers, tools.packing))
    history = list(state.image.config.history)
    seen = 0
    for position in range(len(history) - 1, -1, -1):
        if not history[position].empty_layer:
            seen += 1
            if 1 < seen <= len(state.image.layers) - own:
                history[position] = replace(history[position], empty_layer=True)
    config = replace(
        state.image.config, diff_ids=(*state.image.config.diff_ids[:own], layer.diff_id), history=tuple(history)
    )
    state.image = replace(state.image, config=config, layers=(*state.image.layers[:own], layer))
    state.indexed = len(state.image.layers) if state.indexed else 0
