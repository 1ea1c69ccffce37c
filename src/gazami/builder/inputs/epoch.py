"""``SOURCE_DATE_EPOCH``: the time that the config and new history get, and that bounds new files' times (reproducible-builds.org).

The build argument says it, else the default that a global ARG has. It is a number of seconds, ``context`` for the time of the
build context, the name of a further context, or that of a stage that only fetches: ``FROM scratch`` and one ADD from elsewhere. A
context's time is its commit's, or that of an archive's newest file; a folder of this machine has none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from gazami.builder.inputs.fetched import Fetched
from gazami.builder.inputs.needs import is_local, is_remote
from gazami.context.git_url import is_git
from gazami.dockerfile import instructions as ast
from gazami.errors import UsageError
from gazami.plan.expand import expand_stages
from gazami.plan.inputs import PlanInputs, context_name
from gazami.plan.outline import Outline
from gazami.plan.steps import ScratchBase
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.tree import Tree

NAME = "SOURCE_DATE_EPOCH"
_NUMBER = re.compile(r"[0-9]{1,12}\Z")
_LATEST = 253402300799
"""The end of the year 9999."""


def source_date_epoch(outlined: Outline, inputs: PlanInputs, context: str, folder: FolderTree, fetched: Fetched) -> datetime | None:
    """The time, None for now. ``context`` is what was asked for, a path or URI, and ``folder`` its files here. Raises
    :class:`UsageError` for what is no time, and what fetching raises."""
    text = outlined.globals_.scope.values.get(NAME) or inputs.build_args.get(NAME, "")
    if not text:
        return None
    if _NUMBER.match(text) and int(text) <= _LATEST:
        return datetime.fromtimestamp(int(text), UTC)
    seconds = _time_of_context(context, folder.folder) if text == "context" else _named(text, outlined, inputs, fetched)
    return None if seconds is None else datetime.fromtimestamp(min(max(0, seconds), _LATEST), UTC)


def _named(text: str, outlined: Outline, inputs: PlanInputs, fetched: Fetched) -> int | None:
    if (value := fetched.named.get(context_name(text))) is not None:
        image = value.startswith(("docker-image://", "oci-layout://"))
        return None if image or is_local(value) else _newest(fetched.context(context_name(text)))
    for index in reversed(outlined.named.get(text.lower(), ())):
        return _time_of_stage(index, outlined, inputs, fetched)
    raise UsageError(
        f"invalid {NAME}: {text}",
        hint="give seconds since 1970, context, or the name of a context or of a stage with one remote ADD",
    )


def _time_of_context(context: str, folder: str) -> int | None:
    """Of what was fetched: a commit's time is that of all its files, an archive's that of its newest."""
    fetched = is_git(context) or context == "-" or ("://" in context and not context.startswith("dir://"))
    return _newest(FolderTree(folder)) if fetched else None


def _newest(tree: Tree) -> int:
    return max((node.mtime for _, node in tree.walk("", tree.root) if not node.is_directory), default=0)


def _time_of_stage(index: int, outlined: Outline, inputs: PlanInputs, fetched: Fetched) -> int:
    *_, stage = expand_stages(outlined, inputs, {}, (index,))
    others = [each for each in stage.instructions if not isinstance(each.given, ast.Arg)]
    instruction = others[0].instruction if len(others) == 1 and isinstance(stage.stage.base, ScratchBase) else None
    sources = [each.text for each in others[0].texts if each.part == "source"] if others else []
    if not isinstance(instruction, ast.Add) or len(sources) != 1 or not is_remote(sources[0], add=True):
        raise UsageError(
            f"invalid {NAME}: the stage {stage.stage.name} is more than FROM scratch and one remote ADD",
            hint="name a stage that fetches one file or repository and does nothing else",
        )
    flags = instruction.flags
    return fetched.time_of(sources[0], flags.checksum, keep_git_dir=flags.keep_git_dir)
