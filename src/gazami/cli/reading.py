"""A Dockerfile with what it is read with, for commands that look at it and build nothing."""

from __future__ import annotations

import sys

from gazami.builder.dockerfile import find_dockerfile, find_ignore, inputs_of
from gazami.builder.request import BuildRequest
from gazami.context.ignore import Ignore
from gazami.context.local import local_folder
from gazami.errors import Source, UsageError
from gazami.plan.outline import Inputs
from gazami.values import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    source: Source
    inputs: Inputs
    ignore: Ignore


def read_dockerfile(request: BuildRequest) -> Reading:
    """Look where a build of ``request`` looks, contexts that have to be fetched excepted. Raises :class:`GazamiError`."""
    wishes = request.context
    scheme, separator, rest = wishes.context.partition("://")
    if separator and scheme != "dir":
        raise UsageError(
            f"a context of the scheme {scheme}:// is not fetched here", hint="run it in a folder that has the files"
        )
    context = local_folder(rest if separator else wishes.context, wishes.sub_path)
    source, path = find_dockerfile(wishes.dockerfile, context, given=wishes.dockerfile_given)
    return Reading(source, inputs_of(request), find_ignore(path, context))


def write_out(text: str) -> None:
    """To standard output; bytes of the Dockerfile that are not UTF-8 become replacement characters."""
    sys.stdout.write(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
