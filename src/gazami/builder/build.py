"""The life of a build. Open this first.

request → context → Dockerfile → outline → bases resolved → plan → stages → image → export. ``--dryrun`` ends at the plan.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from gazami.builder.cached.caching import Caching
from gazami.builder.cached.layer_cache import open_cache
from gazami.builder.files.blob_files import BlobFiles
from gazami.builder.files.kept_trees import Indexes
from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.files.own_places import omitted, own_places
from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.base_cache import BaseCache
from gazami.builder.inputs.check import Given, missing, raise_errors
from gazami.builder.inputs.contexts import fetch_context
from gazami.builder.inputs.dockerfile import find_dockerfile, find_ignore, inputs_of
from gazami.builder.inputs.epoch import source_date_epoch
from gazami.builder.inputs.named import local_context
from gazami.builder.inputs.needs import needs_of
from gazami.builder.inputs.planning import Images, check_plan, make_plan, warn_of_names
from gazami.builder.inputs.readers import read_once
from gazami.builder.inputs.registries import open_registry
from gazami.builder.outputs.check import unwritable
from gazami.builder.outputs.export import Exporter, Finished, finish
from gazami.builder.outputs.gate import check
from gazami.builder.request import BuildRequest, OutputWishes
from gazami.builder.stages.sources import Sources
from gazami.builder.stages.stages import Stages, shared_bases
from gazami.builder.tools import Tools, hide
from gazami.cache.inline import inline_note
from gazami.cancel import Cancel
from gazami.dockerfile.parser import parse
from gazami.errors import IntegrityError, NotFoundError
from gazami.events import (
    BuildFinished,
    Emit,
    Message,
)
from gazami.image.digest import Digest
from gazami.image.manifest import OCI_MANIFEST
from gazami.layer.pack import Packing
from gazami.plan.outline import Outline, outline
from gazami.plan.render import render_plan
from gazami.plan.steps import (
    ImageBase,
    Plan,
    StagePlan,
)
from gazami.registry.resolved import Resolved
from gazami.registry.transfer import Uploads
from gazami.rootfs.folder import FolderTree
from gazami.values import dataclass


@dataclass(frozen=True, slots=True)
class BuildResult:
    """``digest`` is the manifest's; both are None after a dry run, which has ``plan_text``."""

    digest: Digest | None = None
    finished: Finished | None = None
    plan_text: str = ""


def build(request: BuildRequest, emit: Emit, cancel: Cancel) -> BuildResult:
    """Carry out a request. Raises :class:`GazamiError`; nothing temporary is left behind, however it ends."""
    started = time.monotonic()
    with prepared(request, emit, cancel) as ready:
        if request.dryrun:
            with ready.attempt() as attempt:
                return BuildResult(plan_text=render_plan(ready.plan, _cache_notes(attempt, cancel)))
        if request.print_plan:
            emit(Message("info", render_plan(ready.plan)))
        finished = _carry_out(ready, emit, cancel)
    size = sum(layer.descriptor.size for layer in finished.image.layers)
    emit(
        BuildFinished(
            time.monotonic() - started,
            finished.manifest.digest,
            size,
            len(finished.image.layers),
            request.output.destinations if request.output.push else (),
            finished.manifest.config.digest,
        )
    )
    return BuildResult(finished.manifest.digest, finished)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a plan can be carried out with, once: a stage that fails stops all that works with the same tools."""

    plan: Plan
    tools: Tools
    sources: Sources


@dataclass(frozen=True, slots=True)
class Ready:
    """A plan whose inputs are here."""

    plan: Plan
    _make: Callable[[], Tools]
    _cancel: Cancel

    @contextlib.contextmanager
    def attempt(self) -> Iterator[Attempt]:
        """Nothing that the attempt unpacked is left behind."""
        tools = self._make()
        try:
            yield Attempt(self.plan, tools, Sources(tools))
        finally:
            if self._cancel.is_set:
                self._cancel.cleaning()
            tools.close()


@contextlib.contextmanager
def prepared(request: BuildRequest, emit: Emit, cancel: Cancel) -> Iterator[Ready]:
    """Everything up to the plan: the context is here, the Dockerfile is compiled, its images are resolved."""
    with (
        Workspace(request.sandbox.state_dir) as workspace,
        open_registry(request.registry, request.credentials, emit, cancel) as registry,
    ):
        folder = fetch_context(request, workspace, registry, emit, cancel)
        wanted, given = request.context.dockerfile, request.context.dockerfile_given
        source, dockerfile_path = find_dockerfile(wanted, folder, registry.transport, given=given)
        dockerfile = parse(source)
        inputs = inputs_of(request)
        images = Images(registry, emit, _base_cache(request))
        outlined = outline(dockerfile, source, inputs)
        warn_of_names(dockerfile, outlined, inputs, emit)
        plan = make_plan(outlined, inputs, images)
        ignore = find_ignore(dockerfile_path, folder)
        check_plan(dockerfile, source, inputs, ignore, images, plan)
        own = omitted(str(folder), own_places(request, str(workspace.state)), str(workspace.state))
        tree = FolderTree(str(folder), hide(ignore, own))

        def make() -> Tools:
            stop = cancel.part()  # a failed stage stops the others, and not what is being stored in the cache
            indexes = Indexes(workspace.state / "indexes")
            once = read_once(plan, images.found, request.output, indexes.has_image)
            layers = LayerFiles(workspace, BlobFiles(workspace.blobs, registry, stop, images.blobs, once), emit, stop)
            packing = _packing(request, plan, images.found)
            tools = Tools(
                request, workspace, registry, layers, emit, stop, packing, images.found, indexes, tree, str(folder)
            )
            check_inputs(plan, tools)
            tools.shared_bases = shared_bases(plan, images.found)
            _set_times(tools, outlined)
            return tools

        try:
            yield Ready(plan, make, cancel)
        finally:
            cancel.cleaning()


def _set_times(tools: Tools, outlined: Outline) -> None:
    """What time the image has, and the latest that new files may have."""
    request = tools.request
    tools.epoch = source_date_epoch(outlined, tools)
    if request.output.rewrite_timestamp and tools.epoch is not None:
        tools.newest = int(tools.epoch.timestamp())
    elif request.output.rewrite_timestamp and not request.snapshot.reproducible:
        tools.emit(Message("warning", "rewrite-timestamp has no effect without SOURCE_DATE_EPOCH"))
    if request.snapshot.reproducible:
        tools.epoch, tools.newest = tools.epoch or datetime.fromtimestamp(0, UTC), 0


def check_inputs(plan: Plan, tools: Tools) -> None:
    """Raise for all that is missing, and for outputs that cannot be written. A step that the cache knows needs no secret, so
    that with a cache these wait for the look-ups."""
    sandbox, cached = tools.request.sandbox, tools.request.cache.enabled
    given = Given(
        tools.context,
        tools.context_folder,
        lambda name: local_context(name, tools),
        None if cached else frozenset(name for name, _, _ in sandbox.secrets),
        None if cached else dict(sandbox.ssh),
    )
    needs = (need for stage in plan.stages for need in needs_of(stage))
    raise_errors((*missing(needs, given), *unwritable(tools.request.output)))


def _cache_notes(attempt: Attempt, cancel: Cancel) -> dict[tuple[int, int], str]:
    """What the cache has, for a dry run; nothing without a cache."""
    notes: dict[tuple[int, int], str] = {}
    with _cache(attempt, cancel) as caching:
        if caching is None:
            return notes
        caching.look_up()
        for stage in attempt.plan.stages:
            for position in range(len(stage.steps)):
                if caching.is_cacheable(stage, position):
                    hit = (stage.index, position) in caching.hits
                    notes[stage.index, position] = "cache hit" if hit else "cache miss"
    return notes


def _carry_out(ready: Ready, emit: Emit, cancel: Cancel) -> Finished:
    """Build the stages and write the outputs; all again without the cache where that names a layer that is gone or damaged."""
    with ready.attempt() as attempt, _cache(attempt, cancel) as caching:
        try:
            return _build_and_export(attempt, caching, cancel)
        except (NotFoundError, IntegrityError) as error:
            if caching is None or not caching.hits:
                raise
            emit(Message("warning", f"a layer of the cache cannot be had, building without it: {error.message}"))
    with ready.attempt() as attempt, _cache(attempt, cancel) as caching:
        if caching is not None:
            caching.forget()
        return _build_and_export(attempt, caching, cancel)


def _cache(attempt: Attempt, cancel: Cancel) -> contextlib.AbstractContextManager[Caching | None]:
    return open_cache(attempt.plan, attempt.tools, attempt.sources.tree_of, cancel)


def _build_and_export(attempt: Attempt, caching: Caching | None, cancel: Cancel) -> Finished:
    plan, tools, sources = attempt.plan, attempt.tools, attempt.sources
    output = tools.request.output
    with Uploads(tools.registry) as uploads:
        exporter = Exporter(output, tools.registry, tools.layers, tools.emit, tools.request.plan.platform)
        with ThreadPoolExecutor(1, thread_name_prefix="check") as pool:
            allowed = pool.submit(exporter.check_permissions)
            if caching is not None:
                caching.look_up()
            allowed.result()  # before anything runs
        try:
            image = Stages(plan, tools, exporter, uploads, sources, caching).build()
        finally:
            if tools.cache_mounts is not None and not cancel.is_set:
                tools.cache_mounts.save()
        notes = output.annotations
        if caching is not None and tools.request.cache.inline:
            notes = (*notes, inline_note(caching.keys_of(image.config.diff_ids)))
        finished = finish(image, notes, tools.timestamp(tools.now()))
        check(finished, tools.layers, bytes_leave=_writes_layers(output))
        exporter.export(finished, uploads)
    return finished


def _base_cache(request: BuildRequest) -> BaseCache | None:
    cache = request.cache
    return BaseCache(Path(cache.directory), cache.ttl) if cache.enabled and Path(cache.directory).is_dir() else None


def _packing(request: BuildRequest, plan: Plan, images: dict[ImageBase, Resolved]) -> Packing:
    """Compression, and the media types: those asked for, else the base's; zstd exists only in OCI's."""
    output = request.output
    oci = output.image_format == "oci" or (output.image_format is None and output.compression == "zstd")
    if output.image_format is None and not oci:
        oci = _manifest_type(plan, plan.stage(plan.target), images) == OCI_MANIFEST
    return Packing(output.compression, output.compression_level, oci)


def _manifest_type(plan: Plan, stage: StagePlan, images: dict[ImageBase, Resolved]) -> str:
    *_, first = plan.lineage(stage)
    return images[first.base].manifest.media_type if isinstance(first.base, ImageBase) else OCI_MANIFEST


def _writes_layers(output: OutputWishes) -> bool:
    """Whether layers' blobs are written to files of the user's, where nothing checks them any more."""
    return bool(output.tar_paths or output.oci_layout_paths or any(each.kind == "oci" for each in output.exports))
