"""``gazami copy``: an image from where it is to somewhere else, as it is."""

from __future__ import annotations

from gazami.cli.command import Command, Execution, task
from gazami.cli.commands.places import place_of
from gazami.cli.commands.pull import check_layout_place
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.registries import BOTH, QUIETLY, table
from gazami.errors import UsageError
from gazami.values import replace

_USAGE = """\
Copy an image, or an index with the images of all platforms, without a change: its digest stays.

Usage:
  gazami copy SOURCE DESTINATION [flags]

Each is the name of an image, or the path of an OCI layout (oci:DIR[:NAME] or ./DIR[:NAME]). SOURCE may be an archive.
In one registry layers are mounted and not sent; between registries they are streamed, and nothing is stored here.

Examples:
  gazami copy debian:12 registry.example.com/mirror/debian:12
  gazami copy registry.example.com/app:1.0 oci:out
  gazami copy ./out registry.example.com/app:1.0
"""


PLATFORM = replace(options.CUSTOM_PLATFORM, help="Copy the image of this platform alone. Default: all of an index.")


def _copy(flags: Flags, run: Execution) -> int:
    from gazami.cli.request.plan import platform_of
    from gazami.image.reference import parse_reference

    if len(flags.positionals) != 2:
        raise UsageError("a source and a destination are needed", hint="gazami copy debian:12 registry.example.com/debian:12")
    first, second = flags.positionals
    source, target = place_of(first), place_of(second)
    if source is not None:
        if target is not None:
            raise UsageError("one of the two has to be in a registry", hint="cp -a copies a layout")
        return _from_files(first, second, flags, run)
    from gazami.builder.outputs.copy_image import copy_to_layout, copy_to_registry, whole

    reference = parse_reference(first)
    if target is not None:
        check_layout_place(target.path)
    platform = platform_of(flags, run.around) if flags.given(PLATFORM) else None
    with run.registry(flags, first, second) as client:
        if target is None:
            client.checks.check(parse_reference(second))  # before anything is sent
            digest = copy_to_registry(whole(reference, client, platform), parse_reference(second), client, run.emit)
        else:
            name = target.name or reference.tag or ""
            digest = copy_to_layout(whole(reference, client, platform), target.path, name, client, run.emit)
    run.say(f"{digest}\n")
    return 0


def _from_files(source: str, destination: str, flags: Flags, run: Execution) -> int:
    from gazami.builder.files.workspace import Workspace
    from gazami.builder.outputs.publish import load, publish
    from gazami.cli.request.sandbox import state_dir
    from gazami.image.reference import parse_reference

    if flags.given(PLATFORM):
        raise UsageError("--platform chooses from an index in a registry", hint="name the image of a layout: PATH@sha256:…")
    place, reference = place_of(source), parse_reference(destination)
    assert place is not None
    with Workspace(state_dir(flags[options.STATE_DIR], run.around)) as workspace, run.registry(flags, destination) as client:
        stored = load(place.path, place.name, workspace)
        run.say(f"{publish(stored, (reference,), client, run.emit)}\n")
    return 0


COMMAND = Command("copy", _USAGE, table((PLATFORM, options.STATE_DIR), (*BOTH, *QUIETLY)), task(_copy))
