"""The images that ``diff`` and ``analyze`` read: from registries, layouts and archives, open as long as they are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gazami.cli.command import Execution
from gazami.cli.commands.places import place_of
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import STATE_DIR

if TYPE_CHECKING:
    from gazami.builder.contents.opened import Opened


@contextlib.contextmanager
def open_images(texts: tuple[str, ...], flags: Flags, run: Execution) -> Iterator[tuple[Opened, ...]]:
    """One for each text, for the platform that the flags name. What archives hold is unpacked until the end."""
    from gazami.builder.contents.opened import open_remote, open_stored
    from gazami.builder.files.workspace import Workspace
    from gazami.builder.outputs.publish import load
    from gazami.cli.request.plan import platform_of
    from gazami.cli.request.sandbox import state_dir
    from gazami.image.reference import parse_reference

    platform = platform_of(flags, run.around)
    places = {text: place_of(text) for text in texts}
    references = {text: parse_reference(text) for text, place in places.items() if place is None}
    with contextlib.ExitStack() as stack:
        found: dict[str, Opened] = {}
        if references:
            client = stack.enter_context(run.registry(flags, *references))
            found |= {text: open_remote(each, platform, client) for text, each in references.items()}
        stored = {text: place for text, place in places.items() if place is not None}
        if stored:
            workspace = stack.enter_context(Workspace(state_dir(flags[STATE_DIR], run.around)))
            for text, place in stored.items():
                found[text] = open_stored(load(place.path, place.name, workspace), platform, text)
        yield tuple(found[text] for text in texts)


def plain(text: str) -> str:
    """Bytes of a name that are no UTF-8 have no form in JSON that every reader takes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
