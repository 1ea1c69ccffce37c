"""``gazami diff``: how the configs and the files of two images differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gazami.cli.command import Command, Execution, task
from gazami.cli.commands.images import open_images, plain
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, LIST
from gazami.cli.flags.option import Group, Option
from gazami.cli.flags.options import STATE_DIR
from gazami.cli.flags.registries import PLATFORM, QUIETLY, READING, table
from gazami.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gazami.builder.contents.compared import Comparison
    from gazami.builder.contents.differences import ConfigDifference, Fact, Facts, FileDifference

_USAGE = """\
Compare two images: their configs, and their files as a container would see them. How files are spread over layers, the
history and annotations do not count.

Usage:
  gazami diff A B [flags]

Each is the name of an image in a registry, or the path of an OCI layout or an archive: oci:DIR[:NAME], ./DIR, FILE.tar.

Examples:
  gazami diff registry.example.com/app:1.0 registry.example.com/app:1.1
  gazami diff old.tar ./out --ignore /var/log --ignore '*.pyc'
  gazami diff old.tar new.tar --json | jq -r '.files[].path'
"""

_NOTES = """\
A line begins with + for what only B has, - for what only A has, ~ for what differs.

Exit status: 0 no difference, 1 some difference, 2 trouble.
"""

TIMES = Option("times", BOOL, Group.OUTPUT, "Compare times too: of files, and of the image.", "false")
JSON = Option("json", BOOL, Group.OUTPUT, "Print the differences as JSON.", "false")
IGNORE = Option("ignore", LIST, Group.OUTPUT, "Leave out the paths that match a shell pattern, and what lies below them; '*' "
                "matches slashes too.", metavar="PATTERN")  # fmt: skip

_VERSION = 1
_SIGNS = {"added": "+", "removed": "-", "changed": "~"}
_SIDES = ("A", "B")
_LONGEST = 300
"""Characters of a value that a line shows."""


def _diff(flags: Flags, run: Execution) -> int:
    from gazami.builder.contents.compared import compare

    if len(flags.positionals) != 2:
        raise UsageError("two images are needed", hint="gazami diff old.tar registry.example.com/app:1.1")
    with open_images(tuple(flags.positionals), flags, run) as (first, second):
        found = compare(first, second, flags[IGNORE], times=flags[TIMES])
    run.say(json.dumps(_document(found), indent=2) + "\n" if flags[JSON] else _text(found))
    return 0 if found.equal else 1


# -- JSON ------------------------------------------------------------------------------------------------------------------------


def _document(found: Comparison) -> dict[str, Any]:
    images = {
        side: {"name": each.name, "digest": each.digest, "platform": str(each.config.platform)}
        for side, each in zip(_SIDES, (found.first, found.second), strict=True)
    }
    return {
        "version": _VERSION,
        "equal": found.equal,
        "images": images,
        "config": [
            {"field": each.field, **({"key": each.key} if each.key else {}), "change": each.how, "A": each.first, "B": each.second}
            for each in found.config
        ],
        "files": [
            {
                "path": plain(each.path),
                "change": each.how,
                **({"differs": list(each.names)} if each.names else {}),
                **({"A": _plain_facts(each.first)} if each.first else {}),
                **({"B": _plain_facts(each.second)} if each.second else {}),
            }
            for each in found.files
        ],
    }


def _plain_facts(facts: Facts) -> Facts:
    return {name: plain(value) if isinstance(value, str) else _plain_names(value) for name, value in facts.items()}


def _plain_names(value: Fact) -> Fact:
    return {plain(name): text for name, text in value.items()} if isinstance(value, dict) else value


# -- text ------------------------------------------------------------------------------------------------------------------------


def _text(found: Comparison) -> str:
    lines = ["config:", *map(_config_line, found.config)] if found.config else []
    lines += ["files:", *_file_lines(found.files)] if found.files else []
    if found.equal:
        return "no difference\n"
    counts = [f"{count} {how}" for how in _SIGNS if (count := sum(each.how == how for each in found.files))]
    told = f" ({', '.join(counts)})" if counts else ""
    return "\n".join([*lines, f"differences: {len(found.config)} of the config, {len(found.files)} of files{told}"]) + "\n"


def _config_line(each: ConfigDifference) -> str:
    name = f"{each.field} {_shown(each.key)}" if each.key else each.field
    if each.how == "changed":
        return f"  ~ {name}: {_value(each.first)} -> {_value(each.second)}"
    value = each.second if each.first is None else each.first
    return f"  {_SIGNS[each.how]} {name}" + (f": {_value(value)}" if value != "" else "")


def _file_lines(files: tuple[FileDifference, ...]) -> Iterator[str]:
    """A directory that one side alone has stands for what it holds."""
    number = 0
    while number < len(files):
        each = files[number]
        number += 1
        path, kind = _shown(each.path), (each.second or each.first)["kind"]
        if each.how == "changed":
            yield f"  ~ {path}  {', '.join(_changed(name, each) for name in each.names)}"
            continue
        below = 0
        if kind == "directory":
            while number < len(files) and files[number].how == each.how and files[number].path.startswith(f"{each.path}/"):
                below, number = below + 1, number + 1
        yield f"  {_SIGNS[each.how]} {path}{_kept(kind, each, below)}"


def _kept(kind: Fact, each: FileDifference, below: int) -> str:
    from gazami.report.units import size

    facts = each.second or each.first
    if kind == "file":
        return f"  {size(int(str(facts['size'])))}"
    if kind == "symlink":
        return f" -> {_shown(str(facts['link']))}"
    if kind == "directory":
        return f"/  and {below} below" if below else "/"
    return f"  {kind}"


def _changed(name: str, each: FileDifference) -> str:
    old, new = each.first.get(name), each.second.get(name)
    if name == "digest":
        return "content"
    if name == "xattrs":
        return f"xattrs {_names(old)} -> {_names(new)}" if _names(old) != _names(new) else f"values of xattrs {_names(new)}"
    return f"{name} {_value(old)} -> {_value(new)}"


def _names(xattrs: Fact) -> str:
    return _shown(" ".join(xattrs)) if isinstance(xattrs, dict) and xattrs else "none"


def _value(value: Fact) -> str:
    if value is None:
        return "none"
    return _shown(json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)) or '""'


def _shown(text: str) -> str:
    from gazami.foreign import printable

    text = printable(text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


COMMAND = Command(
    "diff", _USAGE, table((TIMES, IGNORE, JSON, STATE_DIR), (PLATFORM, *READING, *QUIETLY)), task(_diff), notes=_NOTES
)
