"""The life of a build. Open this first.

request → context → Dockerfile → outline → bases resolved → plan → stages → image → export. ``--dryrun`` ends at the plan.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gazami.builder.dockerfile import find_dockerfile, find_ignore, inputs_of, source_date_epoch
from gazami.builder.export import Exporter, Finished, finish
from gazami.builder.indexes import Indexes
from gazami.builder.layer_cache import open_cache
from gazami.builder.layers import LayerFiles
from gazami.builder.named import is_layout, resolve_layout
from gazami.builder.registries import open_registry
from gazami.builder.request import BuildRequest
from gazami.builder.sources import Sources
from gazami.builder.stages import Stages, shared_bases
from gazami.builder.tools import Tools, hide
from gazami.builder.workspace import Workspace
from gazami.cache.inline import inline_note
from gazami.cancel import Cancel
from gazami.context.ignore import Ignore
from gazami.context.schemes import fetch_context
from gazami.dockerfile.check_options import check_options
from gazami.dockerfile.instructions import Dockerfile
from gazami.dockerfile.parser import parse
from gazami.errors import GazamiError, Source
from gazami.events import (
    BaseResolved,
    BuildFinished,
    Emit,
    PlanReady,
    Warned,
)
from gazami.image.digest import Digest
from gazami.image.manifest import OCI_MANIFEST
from gazami.image.reference import parse_reference
from gazami.layer.pack import Packing
from gazami.plan.compile import Missing, ResolvedImage, compile_plan
from gazami.plan.lint import findings_as_events, lint, violation
from gazami.plan.outline import Inputs, Outline, outline
from gazami.plan.render import render_plan
from gazami.plan.steps import (
    ImageBase,
    Plan,
    ScratchBase,
    StageBase,
    StagePlan,
)
from gazami.registry.client import RegistryClient
from gazami.registry.resolved import Resolved
from gazami.registry.transfer import Uploads
from gazami.rootfs.folder import FolderTree


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
        inputs = inputs_of(request)
        outlined = outline(dockerfile, source, inputs)
        images: dict[ImageBase, Resolved] = {}
        plan = make_plan(outlined, inputs, registry, images, emit)
        ignore = find_ignore(dockerfile_path, context)
        _check(dockerfile, source, inputs, ignore, images, plan, emit)
        if request.dryrun:
            return BuildResult(plan_text=render_plan(plan))
        folder = FolderTree(str(context.folder), hide(ignore, ()))
        stop = cancel.part()  # a failed stage stops the others, and not what is being stored in the cache
        layers = LayerFiles(workspace, registry, emit, stop, keep_blobs=_keeps_blobs(request))
        packing = _packing(request, plan, images)
        indexes = Indexes(Path(request.sandbox.state_dir) / "indexes")
        tools = Tools(
            request, workspace, registry, layers, emit, stop, packing, images, indexes, folder, str(context.folder)
        )
        tools.shared_bases = shared_bases(plan, images)
        tools.epoch = source_date_epoch(inputs.build_args)
        try:
            sources = Sources(tools)
            with Uploads(registry) as uploads, open_cache(plan, tools, sources.tree_of, cancel) as caching:
                exporter = Exporter(request.output, registry, layers, emit)
                if request.output.push and request.output.check_push:
                    exporter.check_permissions()
                image = Stages(plan, tools, exporter, uploads, sources, caching).build()
                notes = request.output.annotations
                if caching is not None and request.cache.inline:
                    notes = (*notes, inline_note(caching.keys_of(image.config.diff_ids)))
                finished = finish(image, notes, tools.timestamp(tools.now()))
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


def _check(
    dockerfile: Dockerfile,
    source: Source,
    inputs: Inputs,
    ignore: Ignore,
    images: Mapping[ImageBase, Resolved],
    plan: Plan,
    emit: Emit,
) -> None:
    """Tell the findings of the build checks. Raises :class:`DockerfileError` for them where the Dockerfile says so."""
    known = {base: ResolvedImage(found.digest, found.config) for base, found in images.items()}
    findings = lint(dockerfile, source, inputs, ignore, known, frozenset(stage.index for stage in plan.stages))
    for event in findings_as_events(findings):
        emit(event)
    if check_options(dockerfile, source, inputs.build_args).error and (error := violation(findings)):
        raise error


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
    return bool(request.output.tar_paths or request.output.oci_layout_paths or request.output.exports)
