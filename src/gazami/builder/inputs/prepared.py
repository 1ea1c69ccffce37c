"""A build up to its plan: the context is here, the Dockerfile is compiled, the images that it names are resolved."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.files.own_places import omitted, own_places, visible
from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.contexts import access_of, fetch_context
from gazami.builder.inputs.dockerfile import find_dockerfile, find_ignore, inputs_of
from gazami.builder.inputs.planning import Images, check_plan, make_plan, warn_of_names
from gazami.builder.inputs.registries import open_registry
from gazami.dockerfile.parser import parse
from gazami.plan.outline import Outline, outline
from gazami.rootfs.folder import FolderTree
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.inputs.base_cache import BaseCache
    from gazami.builder.request import BuildRequest, CacheOptions
    from gazami.cancel import Cancel
    from gazami.context.schemes import Access
    from gazami.events import Emit
    from gazami.plan.inputs import PlanInputs
    from gazami.plan.steps import Plan
    from gazami.registry.client import RegistryClient
    from gazami.sandbox.server_process import Standby


@fast_dataclass(frozen=True, slots=True)
class Prepared:
    """A plan whose inputs are here. ``access`` says how to fetch further contexts, ``own_places`` are paths that no context
    shows."""

    plan: Plan
    outlined: Outline
    inputs: PlanInputs
    images: Images
    context: FolderTree
    own_places: tuple[str, ...]
    access: Callable[[Cancel], Access]
    workspace: Workspace
    registry: RegistryClient
    standby: Standby | None = None


@contextlib.contextmanager
def prepared(request: BuildRequest, emit: Emit, cancel: Cancel) -> Iterator[Prepared]:
    """Raises :class:`GazamiError` kinds for a context, a Dockerfile or an image that is missing or invalid."""
    state_dir, options = request.sandbox.state_dir, request.registry
    with Workspace(state_dir) as workspace, open_registry(options, request.credentials, emit, cancel) as registry:

        def access(stop: Cancel) -> Access:
            build_args = dict(request.plan.build_args)
            return access_of(request.context, options, build_args, workspace.root, registry, stop)

        folder = fetch_context(request.context, lambda: access(cancel), workspace, emit, cancel)
        wanted, given = request.context.dockerfile, request.context.dockerfile_given
        source, path = find_dockerfile(wanted, folder, registry.transport, given=given)
        dockerfile = parse(source)
        inputs = inputs_of(request.plan, request.context.named)
        images = Images(registry, emit, base_cache(request.cache))
        outlined = outline(dockerfile, source, inputs)
        warn_of_names(dockerfile, outlined, inputs, emit)
        standby = None
        if outlined.runs_commands and not (request.dryrun or request.cache.enabled):  # a cache may have every layer
            from gazami.builder.inputs.standby import begun

            standby = begun()
        with standby or contextlib.nullcontext():
            compiled = make_plan(outlined, inputs, images)
            ignore = find_ignore(path, folder)
            check_plan(dockerfile, outlined, inputs, ignore, compiled, emit)
            failed = (request.sandbox.failed_files.dest,) if request.sandbox.failed_files else ()
            own = own_places(request.output, request.cache, str(workspace.state), state_dir, *failed)
            context = FolderTree(str(folder), visible(ignore, omitted(str(folder), own, str(workspace.state))))
            try:
                yield Prepared(compiled.plan, outlined, inputs, images, context, own, access, workspace, registry, standby)
            finally:
                cancel.cleaning()


def base_cache(options: CacheOptions) -> BaseCache | None:
    folder = Path(options.directory)
    if not (options.enabled and folder.is_dir()):
        return None
    from gazami.builder.inputs.base_cache import BaseCache

    return BaseCache(folder, options.ttl)
