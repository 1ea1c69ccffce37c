"""One attempt at carrying out a plan: its collaborators are made here, each from what it uses.

A plan is tried again without the cache where that named a layer that is gone. A stage that fails stops all users of the same
collaborators, so an attempt has its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gazami.builder.clock import Clock
from gazami.builder.files.blob_files import BlobFiles
from gazami.builder.files.kept_trees import KeptTrees
from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.files.packer import Packer
from gazami.builder.files.trees import Trees
from gazami.builder.inputs.check import Given, missing, raise_errors
from gazami.builder.inputs.epoch import source_date_epoch
from gazami.builder.inputs.fetched import Fetched
from gazami.builder.inputs.needs import FileNeed, needs_of, needs_of_step
from gazami.builder.inputs.readers import read_once
from gazami.builder.outputs.check import unwritable
from gazami.builder.stages.carry_out import Observer, Stages
from gazami.builder.stages.copying import Copying
from gazami.builder.stages.isolation import Isolation, IsolationInputs
from gazami.builder.stages.root import Roots
from gazami.builder.stages.sources import Sources
from gazami.builder.stages.work import Position, StageWork, layers_of_roots, plan_work, shared_bases
from gazami.events import Emit, Message, StagesNeeded
from gazami.image.manifest import OCI_MANIFEST
from gazami.layer.pack import Packing
from gazami.plan.scope import proxy_env
from gazami.plan.steps import ImageBase, Plan, RunStep, StagePlan
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.cached.base_layers import BaseLayers
    from gazami.builder.cached.cache_mounts import CacheMounts
    from gazami.builder.cached.step_cache import StepCache
    from gazami.builder.cached.step_leases import StepLeases
    from gazami.builder.cached.stores import Stores
    from gazami.builder.inputs.prepared import Prepared
    from gazami.builder.outputs.uploading import Uploading
    from gazami.builder.request import BuildRequest, FormatOptions
    from gazami.builder.stages.failed_shell import Console, FailedShell
    from gazami.builder.stages.running import Running
    from gazami.cache.keys import RunSettings
    from gazami.cancel import Cancel
    from gazami.image.model import Image, Layer
    from gazami.registry.resolved import Resolved


@fast_dataclass(frozen=True, slots=True)
class Attempt:
    """What one attempt works with. ``cancel`` is the whole build's switch; the stages' own one is that of the layers' files."""

    request: BuildRequest
    ready: Prepared
    emit: Emit
    cancel: Cancel
    clock: Clock
    sources: Sources
    packer: Packer
    cache: StepCache | None
    console: Console | None
    """The terminal for a shell in a step that fails."""
    closing: contextlib.ExitStack
    """What is closed with the attempt, after the outputs and when the cache has what it stores."""

    def look_up(self) -> Container[Position]:
        """The steps whose layers the cache has."""
        if self.cache is None:
            return ()
        self.cache.look_up(self.sources.trees.kept)
        return self.cache.hits

    def build(self, hits: Container[Position], uploading: Uploading) -> Image:
        """Build the stages that are needed; the target's image."""
        plan, works = self.ready.plan, plan_work(self.ready.plan, hits)
        self._check_secrets(works)
        self.emit(StagesNeeded(tuple(work.stage.number for work in works)))
        observers: tuple[Observer, ...] = (uploading,)
        if self.cache is not None:
            from gazami.builder.cached.step_cache import Storing

            observers += (Storing(self.cache, uploading.wait_for),)
        isolation = self.closing.enter_context(self._isolation(works))
        mounts = self._cache_mounts(isolation)
        ignored = tuple(path.strip("/") for path in self.request.context.ignore_paths)
        stages = Stages(
            self.sources,
            Roots(isolation, self.packer.files, self.request.snapshot, ignored),
            self.clock,
            Copying(self.sources, self.packer, self.emit),
            self._running(works, isolation, mounts),
            self.ready.registry.transport,
            self.cache,
            observers,
            uploading.follow if uploading.follows else None,
        )
        try:
            stages.build(works)
        finally:
            if mounts is not None and not self.cancel.is_set:
                mounts.save()
        if not self.request.output.exports:
            isolation.begin_clearing()
        return self.sources.stages[plan.target].image

    def _check_secrets(self, works: Sequence[StageWork]) -> None:
        """Raise for the secrets and agents that the steps to come need and that were not given."""
        needs = (need for work in works for step in work.missed for need in needs_of_step(step))
        given = _given(self.request, self.sources.fetched, self.ready, known=True)
        raise_errors(missing((need for need in needs if not isinstance(need, FileNeed)), given))

    def _isolation(self, works: Sequence[StageWork]) -> Isolation:
        sandbox, credentials = self.request.sandbox, self.request.credentials
        images = self.sources.images
        surroundings = IsolationInputs(
            tuple(layer for image in images.values() for layer in image.manifest.layers),
            layers_of_roots(works, self.ready.plan, images),
            local=(self.ready.context.folder, self.request.cache.directory),
            own=self.ready.own_places,
            credentials=credentials.docker_config_files,
            unread=(*credentials.secret_files, *(value for _, kind, value in sandbox.secrets if kind == "file")),
        )
        stop = self.packer.files.cancel
        return Isolation(sandbox, surroundings, self.ready.workspace, self.emit, stop, self.cancel, self.ready.standby)

    def _credential_files(self) -> tuple[str, ...]:
        """Files that no step is shown unless somebody names them."""
        credentials, secrets = self.request.credentials, self.request.sandbox.secrets
        files = (value for _, kind, value in secrets if kind == "file")
        return tuple(filter(os.path.exists, (*credentials.docker_config_files, *credentials.secret_files, *files)))

    def _cache_mounts(self, isolation: Isolation) -> CacheMounts | None:
        if self.cache is None or not self.request.cache.mounts:
            return None
        from gazami.builder.cached.cache_mounts import CacheMounts

        return CacheMounts(self.cache.stores, isolation, self.packer.files, self.request.cache.mounts)

    def _running(self, works: Sequence[StageWork], isolation: Isolation, mounts: CacheMounts | None) -> Running | None:
        """None, and nothing of a sandbox is imported, where no command is to be run."""
        if not any(isinstance(step, RunStep) for work in works for step in work.missed):
            return None
        from gazami.builder.stages.mounting import Mounting
        from gazami.builder.stages.running import Running, hostname_of
        from gazami.builder.stages.volumes import volumes_of
        from gazami.sandbox.kernel.mountinfo import mounts as mounted

        options, build_args = self.request.sandbox, self.ready.inputs.build_args
        namespace = build_args.get("BUILDKIT_CACHE_MOUNT_NS", "")
        own = (self.ready.context.folder, self.request.cache.directory, *self.ready.own_places, *self._credential_files())
        volumes = volumes_of(options.volumes, mounted, own)
        mounting = Mounting(isolation, self.sources, self.packer, options.secrets, options.ssh, namespace, mounts, volumes)
        hostname = hostname_of(build_args)
        return Running(mounting, self.packer, options, hostname, self.emit, self._keeps_failed(), self._shell())

    def _shell(self) -> FailedShell | None:
        """What opens a shell in a step that fails, where that is wanted and somebody is there."""
        if self.request.sandbox.failed != "shell":
            return None
        if self.console is None:
            text = "--on-failure=shell: standard input and error are no terminal, so there is none; tar:FILE keeps the files"
            self.emit(Message("warning", text))
            return None
        from gazami.builder.stages.failed_shell import FailedShell

        leases = self.cache.leases if self.cache is not None else None
        return FailedShell(self.console, self.emit, leases.give_up if leases is not None else None)

    def _keeps_failed(self) -> Callable[[RunStep, tuple[Layer, ...]], None] | None:
        """What keeps the files of a step that fails, where somebody wants them."""
        failed = self.request.sandbox.failed_files
        if failed is None:
            return None
        from gazami.builder.outputs.failed_root import FailedRoot

        return FailedRoot(failed, self.packer.files, self.emit).keep


@contextlib.contextmanager
def attempt(
    request: BuildRequest, ready: Prepared, emit: Emit, cancel: Cancel, *, hides_hits: bool = False, console: Console | None = None
) -> Iterator[Attempt]:
    """``hides_hits``: no layer of the cache is used. Raises for all that is missing before anything runs."""
    stop = cancel.part()  # a failed stage stops the others, and not what is being stored in the cache
    plan, images = ready.plan, ready.images.found
    with contextlib.ExitStack() as stack:
        stores = _stores(request, ready, emit, cancel, hides_hits=hides_hits)
        kept = KeptTrees(ready.workspace.state / "indexes", stores, ready.images.cache)
        once = read_once(plan, images, request.output, kept.has_image)
        own = _base_layers(request, stores, images)
        local = {**ready.images.blobs, **(own.files() if own is not None else {})}
        blobs = BlobFiles(ready.workspace.blobs, ready.registry, stop, local, once if own is None else frozenset())
        layers = LayerFiles(ready.workspace, blobs, emit, stop)
        stack.callback(layers.close)
        closing = stack.enter_context(contextlib.ExitStack())
        leases = _leases(stores, ready)
        if leases is not None:
            stack.callback(leases.close)  # when everything is stored
        if stores is not None:
            stack.enter_context(stores)
        if own is not None:
            stack.callback(own.store, tuple(local), ready.workspace.blobs)
        agent = dict(request.sandbox.ssh).get("default", "")
        fetched = Fetched(
            ready.inputs.contexts, ready.registry.transport, lambda: ready.access(stop), agent, ready.own_places,
            ready.workspace, emit,
        )  # fmt: skip
        given = _given(request, fetched, ready, known=not request.cache.enabled)
        needs = (need for stage in plan.stages for need in needs_of(stage))
        raise_errors((*missing(needs, given), *unwritable(request.output, request.sandbox.failed_files)))
        clock = _clock(request, ready, fetched, emit)
        sources = Sources(ready.context, images, Trees(layers, kept, shared_bases(plan, images)), fetched)
        packer = Packer(layers, _packing(request.output.format, plan, images), clock.newest, lists_members=stores is not None)
        cache = _cache(request, plan, stores, sources, layers, clock, leases=leases) if stores is not None else None
        yield Attempt(request, ready, emit, cancel, clock, sources, packer, cache, console, closing)


def _stores(request: BuildRequest, ready: Prepared, emit: Emit, cancel: Cancel, *, hides_hits: bool) -> Stores | None:
    """The places of the layer cache; None, and nothing of one is imported, where the build has none."""
    if not request.cache.enabled:
        return None
    from gazami.builder.cached.places import open_stores

    return open_stores(request.cache, request.output, ready.registry, emit, cancel, hides_hits=hides_hits)


def _base_layers(request: BuildRequest, stores: Stores | None, images: Mapping[ImageBase, Resolved]) -> BaseLayers | None:
    """The layers of bases that this machine keeps; None where the build's cache is not its own."""
    if stores is None or not request.cache.bound:
        return None
    from gazami.builder.cached.base_layers import BaseLayers

    return BaseLayers(stores, tuple(images.values()))


def _leases(stores: Stores | None, ready: Prepared) -> StepLeases | None:
    """Leases on steps; none, and nothing of them is imported, where no command may be run."""
    if stores is None or not any(isinstance(step, RunStep) for stage in ready.plan.stages for step in stage.steps):
        return None
    from gazami.builder.cached.places import step_leases

    return step_leases(stores, ready.registry)


def _cache(
    request: BuildRequest,
    plan: Plan,
    stores: Stores,
    sources: Sources,
    layers: LayerFiles,
    clock: Clock,
    *,
    leases: StepLeases | None,
) -> StepCache:
    from gazami.builder.cached.inputs import ContentInputs
    from gazami.builder.cached.keys import StepKeys
    from gazami.builder.cached.step_cache import StepCache

    contents = ContentInputs(layers, sources.fetched, sources.tree_of)
    keys = StepKeys(plan, sources.images, contents, _run_settings(request), _form(request, clock))
    return StepCache(
        plan, keys, stores, layers, without=_without_hits(plan, request.cache.stages_without, stores.emit), leases=leases
    )


def _without_hits(plan: Plan, names: tuple[str, ...], emit: Emit) -> frozenset[int]:
    found = {stage.number for stage in plan.stages if stage.name in names or str(stage.number) in names}
    known = {word for stage in plan.stages for word in (stage.name, str(stage.number))}
    for name in names:
        if name not in known:
            emit(Message("warning", f"--no-cache-filter: the build has no stage {name}"))
    return frozenset(found)


def _given(request: BuildRequest, fetched: Fetched, ready: Prepared, *, known: bool) -> Given:
    """What the build was given. A step that the cache has needs no secret, so secrets may not be ``known`` to be needed yet."""
    secrets = frozenset(name for name, _, _ in request.sandbox.secrets)
    agents = dict(request.sandbox.ssh)
    return Given(ready.context, ready.context.folder, fetched.local_context, secrets if known else None, agents if known else None)


def _clock(request: BuildRequest, ready: Prepared, fetched: Fetched, emit: Emit) -> Clock:
    """What time the image has, and the latest that new files may have."""
    epoch = source_date_epoch(ready.outlined, ready.inputs, request.context.context, ready.context, fetched)
    if request.snapshot.reproducible:
        return Clock(epoch=epoch or datetime.fromtimestamp(0, UTC), newest=0)
    if request.output.format.rewrite_timestamp and epoch is not None:
        return Clock(epoch=epoch, newest=int(epoch.timestamp()))
    if request.output.format.rewrite_timestamp:
        emit(Message("warning", "rewrite-timestamp has no effect without SOURCE_DATE_EPOCH"))
    return Clock(epoch=epoch)


def _packing(form: FormatOptions, plan: Plan, images: Mapping[ImageBase, Resolved]) -> Packing:
    """Compression, and the media types: those asked for, else the base's; zstd exists only in OCI's."""
    oci = form.media == "oci" or (form.media is None and form.compression == "zstd")
    if form.media is None and not oci:
        oci = _manifest_type(plan, plan.stage(plan.target), images) == OCI_MANIFEST
    return Packing(form.compression, form.level, oci)


def _manifest_type(plan: Plan, stage: StagePlan, images: Mapping[ImageBase, Resolved]) -> str:
    *_, first = plan.lineage(stage)
    return images[first.base].manifest.media_type if isinstance(first.base, ImageBase) else OCI_MANIFEST


def _run_settings(request: BuildRequest) -> RunSettings:
    from gazami.cache.keys import RunSettings

    sandbox = request.sandbox
    return RunSettings(
        request.plan.platform,
        sandbox.add_hosts,
        sandbox.limits.shm_size,
        sandbox.limits.ulimits,
        request.context.ignore_paths,
        request.snapshot.mode,
        frozenset(proxy_env(dict(request.plan.build_args))),
        sandbox.network,
    )


def _form(request: BuildRequest, clock: Clock) -> str:
    """How layers are written, as an input of cache keys."""
    if request.snapshot.reproducible:
        return f"{request.output.format.compression}, no times"
    return request.output.format.compression + (f", no times after {clock.newest}" if clock.newest is not None else "")
