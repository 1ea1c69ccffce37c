"""``gazami tag``: another name for an image in its registry."""

from __future__ import annotations

from gazami.cli.command import Command, Execution, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.registries import QUIETLY, WRITING, table
from gazami.errors import UsageError

_USAGE = """\
Give an image in a registry further names. Nothing but its manifest is sent.

Usage:
  gazami tag REF TAG|REF [TAG|REF …] [flags]

A TAG without a slash is one in the image's own repository; a REF may be another repository of the same registry.

Examples:
  gazami tag registry.example.com/app:1.0.3 1.0 latest
  gazami tag registry.example.com/app@sha256:… registry.example.com/app:stable
"""


def _tag(flags: Flags, run: Execution) -> int:
    from gazami.builder.outputs.copy_image import copy_to_registry, whole
    from gazami.image.reference import Reference, parse_reference

    if len(flags.positionals) < 2:
        raise UsageError("an image and a tag are needed", hint="gazami tag registry.example.com/app:1.0.3 latest")
    source = parse_reference(flags.positionals[0])

    def target_of(text: str) -> Reference:
        if "/" not in text and ":" not in text:
            return parse_reference(f"{source.context}:{text}")
        found = parse_reference(text)
        if found.registry != source.registry:
            raise UsageError(f"{text} is in another registry", hint="write gazami copy")
        return found

    targets = [target_of(text) for text in flags.positionals[1:]]
    with run.registry(flags, *flags.positionals) as client:
        found = whole(source, client)
        for target in targets:
            copy_to_registry(found, target, client, run.emit)
    run.say(f"{found.top.digest}\n")
    return 0


COMMAND = Command("tag", _USAGE, table((), (*WRITING, *QUIETLY)), task(_tag))
