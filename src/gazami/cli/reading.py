"""A Dockerfile with what it is read with, for commands that look at it and build nothing."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from gazami.builder.dockerfile import find_dockerfile, find_ignore, inputs_of
from gazami.builder.request import BuildRequest
from gazami.context.ignore import Ignore
from gazami.context.schemes import fetch_context
from gazami.errors import Source
from gazami.plan.outline import Inputs
from gazami.values import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    source: Source
    inputs: Inputs
    ignore: Ignore


def read_dockerfile(request: BuildRequest) -> Reading:
    """Look where a build of ``request`` looks. Raises :class:`GazamiError`."""
    wishes = request.context
    with tempfile.TemporaryDirectory(prefix="gazami-") as folder:
        context = fetch_context(wishes.context, wishes.sub_path, Path(folder))
        source, path = find_dockerfile(wishes.dockerfile, context.folder)
        return Reading(source, inputs_of(request), find_ignore(path, context))


def write_out(text: str) -> None:
    """To standard output; bytes of the Dockerfile that are not UTF-8 become replacement characters."""
    sys.stdout.write(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
