"""The life of a build. Open this first.

request → context → Dockerfile → outline → bases resolved → plan (``prepared``) → cache looked up → work planned → stages → image →
gate → outputs. ``--dryrun`` ends at the look-ups.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from gazami.builder.attempt import Attempt, attempt
from gazami.builder.inputs.prepared import Prepared, prepared
from gazami.builder.inputs.registries import open_registry
from gazami.builder.outputs.export import Exporter, Finished, finish
from gazami.builder.outputs.gate import check
from gazami.builder.outputs.uploading import Uploading
from gazami.errors import IntegrityError, NotFoundError
from gazami.events import BuildFinished, Emit, ImageMade, Message
from gazami.registry.transfer import Uploads
from gazami.values import fast_dataclass
from gazami.worker import Worker

if TYPE_CHECKING:
    from gazami.builder.request import BuildRequest
    from gazami.builder.stages.failed_shell import Console
    from gazami.cancel import Cancel
    from gazami.image.digest import Digest
    from gazami.image.reference import Reference


@fast_dataclass(frozen=True, slots=True)
class BuildResult:
    """``digest`` is the manifest's. There is nothing ``finished`` where the image existed already, nor after a dry run, which has
    ``plan_text``."""

    digest: Digest | None = None
    finished: Finished | None = None
    plan_text: str = ""


def build(request: BuildRequest, emit: Emit, cancel: Cancel, console: Console | None = None) -> BuildResult:
    """Carry out a request; ``console`` is the terminal of the person who made it, if there is one. Raises :class:`GazamiError`;
    nothing temporary is left behind, however it ends."""
    started = time.monotonic()
    if request.output.existing != "push" and request.output.push and not request.dryrun:
        from gazami.builder.outputs.existing import skipped

        with open_registry(request.registry, request.credentials, emit, cancel) as registry:
            if (digest := skipped(request.output, registry, emit)) is not None:
                return BuildResult(digest)
    with prepared(request, emit, cancel) as ready:
        if request.dryrun:
            from gazami.plan.render import render_plan

            with attempt(request, ready, emit, cancel) as tried:
                return BuildResult(plan_text=render_plan(ready.plan, _cache_notes(tried)))
        if request.print_plan:
            from gazami.plan.render import render_plan

            emit(Message("info", render_plan(ready.plan)))
        finished = _carry_out(request, ready, emit, cancel, console)
    layers = [layer.descriptor for layer in finished.image.layers]
    emit(
        BuildFinished(
            time.monotonic() - started,
            finished.manifest.digest,
            sum(layer.size for layer in layers),
            len(layers),
            request.output.destinations if request.output.push else (),
            finished.manifest.config.digest,
            ready.registry.transport.requests,
        )
    )
    return BuildResult(finished.manifest.digest, finished)


def _carry_out(request: BuildRequest, ready: Prepared, emit: Emit, cancel: Cancel, console: Console | None) -> Finished:
    """Build the stages and write the outputs; all again without the cache where that names a layer that is gone or damaged."""
    with attempt(request, ready, emit, cancel, console=console) as tried:
        try:
            return _build_and_export(tried)
        except (NotFoundError, IntegrityError) as error:
            found = tried.cache is not None and (tried.cache.hits or tried.packer.files.blobs.local)
            if not found or request.cache.only:
                raise
            emit(Message("warning", f"a cached layer is missing or damaged, building again without the cache: {error.message}"))
    with attempt(request, ready, emit, cancel, hides_hits=True, console=console) as tried:
        return _build_and_export(tried)


def _build_and_export(tried: Attempt) -> Finished:
    request, registry, layers = tried.request, tried.ready.registry, tried.packer.files
    with contextlib.ExitStack() as leaving, Uploads(registry) as uploads:
        exporter = Exporter(request.output, registry, layers, tried.emit, request.plan.platform)
        leaving.callback(exporter.close_uploads)
        allowed = Worker("check", lambda: _make_ready(tried, exporter))
        try:
            hits = tried.look_up()
        finally:
            allowed.join()
        allowed.result()  # before anything runs
        image = tried.build(hits, Uploading(exporter, uploads, request.snapshot.single))
        notes = request.output.annotations
        if tried.cache is not None and request.cache.inline:
            from gazami.cache.inline import inline_note

            notes = (*notes, inline_note(tried.cache.keys_of(image.config.diff_ids)))
        finished = finish(image, notes, tried.clock.timestamp(tried.clock.now()))
        check(finished, layers, bytes_leave=request.output.writes_layers)
        blobs = finished.manifest.layers
        config = finished.config.decode("utf-8", "replace")
        tried.emit(ImageMade(config, tuple(each.digest for each in blobs), tuple(each.size for each in blobs)))
        exporter.export(finished, uploads)
    return finished


def _make_ready(tried: Attempt, exporter: Exporter) -> None:
    """Have repositories that may be pushed to."""
    if tried.request.create_repositories:
        from gazami.builder.outputs.repositories import create_repositories

        environ = dict(tried.request.credentials.environment)
        create_repositories(_pushed_to(tried.request), environ, tried.ready.registry, tried.emit)
    exporter.check_permissions()


def _pushed_to(request: BuildRequest) -> list[Reference]:
    """The destinations, and the repository of the cache."""
    from gazami.builder.cached.places import main_places
    from gazami.image.reference import parse_reference

    output, cache = request.output, request.cache
    texts = list(output.destinations) if output.push else []
    places = main_places(cache, output) if cache.enabled and cache.push else ()
    texts += [place for place in places if not place.startswith("oci:")]
    return [parse_reference(text) for text in texts]


def _cache_notes(tried: Attempt) -> dict[tuple[int, int], str]:
    """What the cache has, for a dry run; nothing without a cache."""
    if tried.cache is None:
        return {}
    hits = tried.look_up()
    return {
        (stage.number, position): "cache hit" if (stage.number, position) in hits else "cache miss"
        for stage in tried.ready.plan.stages
        for position in range(len(stage.steps))
        if tried.cache.is_cacheable(stage, position)
    }
