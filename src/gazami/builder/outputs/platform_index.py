"""One index of images that several builds make, each on a machine of its platform (``--index``): the last one assembles it.

Each build pushes its image under a tag that names the run and the platform, then looks for those of all others. A build that sees
all of them pushes the index to the destinations. Two that finish at the same moment may both do so: equal members make equal bytes.
No coordinator is needed.
"""

from __future__ import annotations

from gazami.builder.request import IndexOptions, Pairs
from gazami.events import Emit, Exported, Message
from gazami.image.manifest import DOCKER_MANIFEST, DOCKER_MANIFEST_LIST, OCI_INDEX, Descriptor, Index, encode_index
from gazami.image.platform import Platform
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.values import replace


def member_tag(run: str, platform: Platform) -> str:
    """The tag of one build's image: ``gazami-RUN-OS-ARCH[-VARIANT]``."""
    return f"gazami-{run}-{str(platform).replace('/', '-')}"


def members(options: IndexOptions, platform: Platform, references: tuple[Reference, ...]) -> tuple[Reference, ...]:
    """Where the image of one platform goes: one name in each repository of the destinations."""
    tag = member_tag(options.run, platform)
    return tuple({each.context: each.with_tag(tag) for each in references}.values())


def assemble(options: IndexOptions, references: tuple[Reference, ...], registry: RegistryClient, emit: Emit) -> Index | None:
    """Push the index to every destination, if all members are there now. Raises the registry's errors."""
    here = registry.for_cache()  # the destinations' own registries, no mirrors of them
    made: Index | None = None
    for context in {each.context: each for each in references}.values():
        found = tuple(
            (platform, here.head_manifest(context.with_tag(member_tag(options.run, platform)))) for platform in options.platforms
        )
        missing = [str(platform) for platform, descriptor in found if descriptor is None]
        if missing:
            emit(Message("info", f"The build that finishes last pushes the index; missing so far: {', '.join(missing)}"))
            return None
        made = index_of(
            tuple(replace(descriptor, platform=platform) for platform, descriptor in found if descriptor is not None),
            options.annotations,
        )
        if options.annotations and made.media_type == DOCKER_MANIFEST_LIST:
            emit(Message("warning", "Docker's manifest list has no annotations: use --image-format=oci"))
        for reference in references:
            if reference.context == context.context:
                registry.push_manifest(reference, made.raw, made.media_type)
                emit(Exported("index", str(reference), made.digest))
    return made


def index_of(descriptors: tuple[Descriptor, ...], annotations: Pairs = ()) -> Index:
    """Docker's manifest list for Docker's images, an OCI index as soon as one is OCI's. Only that has annotations. Pure: equal
    members, equal bytes."""
    docker = all(each.media_type == DOCKER_MANIFEST for each in descriptors)
    bare = tuple(Descriptor(each.media_type, each.digest, each.size, (), each.platform) for each in descriptors)
    return encode_index(bare, DOCKER_MANIFEST_LIST) if docker else encode_index(bare, OCI_INDEX, annotations)
