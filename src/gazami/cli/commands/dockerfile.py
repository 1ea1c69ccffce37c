"""A Dockerfile with what it is read with, for commands that look at it and build nothing."""

from __future__ import annotations

import sys
from pathlib import Path

from gazami.builder.files.own_places import visible
from gazami.builder.inputs.check import Given
from gazami.builder.inputs.dockerfile import find_dockerfile, find_ignore, inputs_of
from gazami.builder.inputs.findings import input_findings
from gazami.builder.inputs.needs import is_local
from gazami.builder.request import BuildRequest
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import CONTEXT, DOCKERFILE, NO_PUSH
from gazami.cli.request.build import build_request
from gazami.context.ignore import Ignore
from gazami.context.local import local_folder
from gazami.dockerfile.check_options import CheckOptions
from gazami.dockerfile.rules import INPUT_MISSING, Finding
from gazami.errors import Source, UsageError
from gazami.plan.inputs import PlanInputs, context_name
from gazami.plan.lint import lint_text
from gazami.rootfs.folder import FolderTree
from gazami.values import fast_dataclass, replace


def request_of(flags: Flags, around: Surroundings, *, context: str, dockerfile: str) -> BuildRequest:
    """The request of a build that reads the same Dockerfile, so that both find the same in it."""
    flags = replace(flags, positionals=()).having(NO_PUSH, "true")
    return build_request(flags.having(CONTEXT, context).having(DOCKERFILE, dockerfile), around).request


@fast_dataclass(frozen=True, slots=True)
class Reading:
    """``path`` is None for standard input."""

    source: Source
    path: Path | None
    inputs: PlanInputs
    ignore: Ignore
    given: Given

    def findings(self, source: Source, *, habits: bool = False) -> tuple[tuple[Finding, ...], CheckOptions]:
        """Those of the build checks, and what a build would lack; ``source`` is the text under the name to show.
        ``habits``: gazami's own rules, too."""
        findings, options = lint_text(source, self.inputs, self.ignore, habits=habits)
        lacking = (
            each
            for each in input_findings(source, self.inputs, self.given)
            if each.level == "error" or options.allows(INPUT_MISSING)
        )
        return tuple(sorted((*findings, *lacking), key=lambda finding: finding.span.start)), options


def read_dockerfile(request: BuildRequest, *, knows_secrets: bool) -> Reading:
    """Look where a build of ``request`` looks, contexts that have to be fetched excepted. Raises :class:`GazamiError`.
    ``knows_secrets``: those of the request are all there are."""
    options = request.context
    scheme, separator, rest = options.context.partition("://")
    if separator and scheme != "dir":
        raise UsageError(f"cannot read a {scheme}:// context without a build", hint="run it in a folder that has the files")
    context = local_folder(rest if separator else options.context, options.sub_path)
    source, path = find_dockerfile(options.dockerfile, context, given=options.dockerfile_given)
    ignore = find_ignore(path, context)
    sandbox = request.sandbox
    given = Given(
        FolderTree(str(context), visible(ignore)),
        str(context),
        lambda name: _further(name, request),
        frozenset(name for name, _, _ in sandbox.secrets) if knows_secrets else None,
        dict(sandbox.ssh) if knows_secrets else None,
    )
    return Reading(source, path, inputs_of(request.plan, request.context.named), ignore, given)


def _further(name: str, request: BuildRequest) -> FolderTree | None:
    """A further context that is a folder."""
    value = {context_name(each): value for each, value in request.context.named}[name]
    if not is_local(value):
        return None
    folder = local_folder(value.removeprefix("dir://"))
    return FolderTree(str(folder), visible(find_ignore(None, folder)))


def write_out(text: str) -> None:
    """To standard output; bytes of the Dockerfile that are not UTF-8 become replacement characters."""
    sys.stdout.write(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
