"""What a submitted build reads: where its context is for the cluster, which Dockerfile it takes, which repositories it needs.

A folder of this machine is pushed to the cache's repository, so that whoever can push the image can submit it; everything else
is named to the executor as it is.
"""

from __future__ import annotations

from pathlib import Path

from gazami.builder.cached.places import main_places
from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.dockerfile import find_dockerfile, find_ignore, ignore_beside, inputs_of, read_named
from gazami.builder.outputs.repositories import create_repositories
from gazami.builder.outputs.send_context import pack_context, push_context
from gazami.builder.request import BuildRequest
from gazami.cancel import Cancel
from gazami.cli.submit.submission import Sent, sent_dockerfile
from gazami.context.artifact import encode_context
from gazami.context.git_url import is_git
from gazami.context.local import local_folder
from gazami.dockerfile.parser import parse
from gazami.errors import Source, UsageError
from gazami.events import Emit, Message
from gazami.image.reference import Reference, parse_reference
from gazami.plan.outline import outline
from gazami.plan.steps import ImageBase, ImageSource
from gazami.registry.client import RegistryClient
from gazami.registry.granted import encode_docker_config
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Placed:
    """``artifact`` is what was pushed for this build; ``dockerfile`` is None where only the executor can read it."""

    sent: Sent
    dockerfile: Source | None = None
    images: tuple[Reference, ...] = ()
    """What the Dockerfile names, as far as it can be read here."""
    artifact: Reference | None = None


def place_context(
    request: BuildRequest, run: str, workspace: Workspace, client: RegistryClient, emit: Emit, cancel: Cancel, *, push: bool
) -> Placed:
    """Bring the context to where a pod can have it. Without ``push`` only its name is worked out. Raises
    :class:`GazamiError` kinds of the files and the registry."""
    options = request.context
    folder = _local(options.context, options.sub_path)
    if folder is None:
        return _elsewhere(request)
    if options.dockerfile.startswith(("http://", "https://")):
        source, path, dockerfile = None, None, Sent((f"--dockerfile={options.dockerfile}",))
    else:
        source, path = find_dockerfile(options.dockerfile, folder, given=options.dockerfile_given)
        dockerfile = _named_or_sent(source, path, folder)
    repository = _repository(request)
    images = _images(source, request) if source else ()  # a Dockerfile with a mistake is refused before anything is sent
    layer = pack_context(folder, find_ignore(path, folder), _needed(dockerfile), workspace, emit, cancel)
    if push:
        if request.create_repositories:
            create_repositories([repository], dict(request.credentials.environment), client, emit)
        artifact = push_context(layer, repository, run, client)
    else:
        digest = encode_context(layer.descriptor, run).digest
        artifact = Reference(repository.registry, repository.repository, None, digest)
    return Placed(Sent((f"--context=registry://{artifact}",)) + dockerfile, source, images, artifact)


def credentials(request: BuildRequest, placed: Placed, client: RegistryClient) -> bytes | None:
    """A ``config.json`` with what is known about the repositories of a build, None when that is nothing."""
    texts = [*request.output.destinations, *request.cache.sources]
    texts += main_places(request.cache, request.output) if request.cache.enabled else ()
    wanted = [parse_reference(text) for text in texts]
    wanted += [placed.artifact] if placed.artifact else []
    wanted += placed.images
    found = [(each, known) for each in wanted if (known := client.keychain.lookup(each.registry, each.repository).credential)]
    return encode_docker_config(found) if found else None


def _images(source: Source, request: BuildRequest) -> tuple[Reference, ...]:
    """The images that the Dockerfile names, whatever of it is the target. Raises :class:`DockerfileError`."""
    outlined = outline(parse(source), source, inputs_of(request.plan, request.context.named))
    needs = [need for stage in outlined.stages for need in outlined.needs(stage)]
    bases = [need.image if isinstance(need, ImageSource) else need for need in needs]
    names = [base.reference for base in bases if isinstance(base, ImageBase) and "://" not in base.reference]
    return tuple(parse_reference(name) for name in dict.fromkeys(names))


def _local(context: str, sub_path: str) -> Path | None:
    """The folder of a context that is on this machine."""
    scheme, separator, rest = context.partition("://")
    if context == "-" or (scheme == "tar" and separator):
        raise UsageError(
            f"the context {context} is an archive of this machine, which does not reach the cluster",
            hint="unpack it and submit the folder, or put it where an https, s3 or gs URL reaches it",
        )
    if is_git(context) or (separator and scheme != "dir"):
        return None
    return local_folder(rest if separator else context, sub_path)


def _elsewhere(request: BuildRequest) -> Placed:
    """A context that the executor fetches. A Dockerfile that is asked for is looked for on this machine first, as in a build."""
    options = request.context
    arguments = [f"--context={options.context}", *([f"--context-sub-path={options.sub_path}"] if options.sub_path else [])]
    if options.dockerfile == "-" or (options.dockerfile_given and Path(options.dockerfile).is_file()):
        source, path = find_dockerfile(options.dockerfile, Path(), given=True)
        return Placed(
            Sent(tuple(arguments)) + sent_dockerfile(source.text, _beside(path, Path())), source, _images(source, request)
        )
    if options.dockerfile_given:
        arguments.append(f"--dockerfile={options.dockerfile}")
    return Placed(Sent(tuple(arguments)))


def _named_or_sent(source: Source, path: Path | None, folder: Path) -> Sent:
    """The context's own Dockerfile goes with the context, another one beside it."""
    if path is not None:
        inside, real = path.absolute(), path.resolve()
        root = folder.absolute()
        if inside.is_relative_to(root) and real.is_relative_to(folder.resolve()):
            return Sent((f"--dockerfile={inside.relative_to(root)}",))
        if real.is_relative_to(folder.resolve()):
            return Sent((f"--dockerfile={real.relative_to(folder.resolve())}",))
    return sent_dockerfile(source.text, _beside(path, folder))


def _needed(dockerfile: Sent) -> frozenset[str]:
    """What the executor reads of the context besides what COPY does."""
    name = dockerfile.arguments[0].partition("=")[2]
    return frozenset({".dockerignore", name, f"{name}.dockerignore"})


def _beside(path: Path | None, folder: Path) -> bytes | None:
    """The ignore file of a Dockerfile of its own."""
    return read_named(ignore_beside(path), folder) if path is not None else None


def _repository(request: BuildRequest) -> Reference:
    places = main_places(request.cache, request.output)
    if not places:
        raise UsageError(
            "a folder goes to the cluster through a registry, and none is named",
            hint="give a --destination or a --cache-repo, or take the context from a Git repository",
        )
    return parse_reference(places[0])


def told(placed: Placed, emit: Emit) -> None:
    """Say what of this machine is used where one might expect the context's."""
    if placed.artifact is None and placed.dockerfile is not None:
        emit(Message("info", f"The Dockerfile is {placed.dockerfile.name} of this machine, not of the context"))
