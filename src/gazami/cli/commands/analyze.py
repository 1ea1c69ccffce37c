"""``gazami analyze``: what the layers of an image hold, its largest files, and what is in it in vain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gazami.cli.command import Command, Execution, one_positional, task
from gazami.cli.commands.images import open_images, plain
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, NUMBER
from gazami.cli.flags.option import Group, Option
from gazami.cli.flags.options import STATE_DIR
from gazami.cli.flags.registries import PLATFORM, QUIETLY, READING, table

if TYPE_CHECKING:
    from gazami.builder.contents.usage import Analysis, Hidden, Written

_USAGE = """\
Say what an image's layers hold: their sizes and instructions, the largest files, and waste: files that a later layer writes
again or deletes, and files with equal contents.

Usage:
  gazami analyze REF [flags]
  gazami analyze PATH[:NAME] [flags]

REF is the name of an image in a registry, PATH an OCI layout or an archive: oci:DIR, ./DIR, FILE.tar.

Examples:
  gazami analyze registry.example.com/app:1.0
  gazami analyze app.tar --top 30
  gazami analyze ./out --json | jq .waste.bytes
"""

JSON = Option("json", BOOL, Group.OUTPUT, "Print everything as JSON.", "false")
TOP = Option("top", NUMBER, Group.OUTPUT, "How many files of each kind are listed; 0 lists all.", "10", metavar="N")

_VERSION = 1
_INSTRUCTION = 70
"""Characters of an instruction that a row shows."""

_FATES = {"deleted": "deleted in", "replaced": "replaced in", "unchanged": "written again, unchanged, in"}


def _analyze(flags: Flags, run: Execution) -> int:
    from gazami.builder.contents.usage import analyze

    text = one_positional(flags, "the reference or the path of an image")
    top = max(0, flags[TOP]) or None
    with open_images((text,), flags, run) as (image,):
        found = analyze(image)
    run.say(json.dumps(_document(found, top), indent=2) + "\n" if flags[JSON] else "\n".join(_lines(found, top)) + "\n")
    return 0


# -- JSON ------------------------------------------------------------------------------------------------------------------------


def _document(found: Analysis, top: int | None) -> dict[str, Any]:
    from gazami.builder.contents.usage import spare

    return {
        "version": _VERSION,
        "name": found.image.name,
        "digest": found.image.digest,
        "platform": str(found.image.config.platform),
        "size": sum(layer.size for layer in found.layers),
        "bytes": found.bytes,
        "visible": {"bytes": found.kept_bytes, "files": len(found.kept)},
        "layers": [
            {
                "digest": layer.digest, "size": layer.size, "createdBy": layer.created_by, "files": layer.files,
                "bytes": layer.bytes, "deletes": layer.deletes, "hiddenBytes": layer.hidden,
            }
            for layer in found.layers
        ],
        "largest": [_file(each) for each in found.kept[:top]],
        "waste": {
            "bytes": found.hidden_bytes + found.duplicate_bytes,
            "hidden": {
                "bytes": found.hidden_bytes,
                "files": len(found.hidden),
                "list": [{**_file(each.file), "fate": each.fate, "by": each.by} for each in found.hidden[:top]],
            },
            "duplicates": {
                "bytes": found.duplicate_bytes,
                "files": sum(len(group) - 1 for group in found.duplicates),
                "list": [
                    {"bytes": spare(group), "size": group[0].size, "digest": group[0].digest,
                     "files": [{"path": plain(each.path), "layer": each.layer} for each in group]}
                    for group in found.duplicates[:top]
                ],
            },
        },
    }  # fmt: skip


def _file(each: Written) -> dict[str, Any]:
    return {"path": plain(each.path), "size": each.size, "layer": each.layer}


# -- text ------------------------------------------------------------------------------------------------------------------------


def _lines(found: Analysis, top: int | None) -> list[str]:
    from gazami.foreign import printable
    from gazami.report.units import size

    waste = found.hidden_bytes + found.duplicate_bytes
    seen = f"a container sees {size(found.kept_bytes)} in {_files(len(found.kept))}"
    packed = sum(layer.size for layer in found.layers)
    lines = [
        f"{printable(found.image.name)}  {found.image.digest}",
        f"{size(packed)} compressed, {size(found.bytes)} of files; {seen}",
        "",
        f"{'layer':>5} {'compressed':>11} {'files':>10} {'hidden':>10}  instruction",
    ]
    for place, layer in enumerate(found.layers, start=1):
        lost = size(layer.hidden) if layer.hidden else "-"
        by = _shortened(printable(layer.created_by))
        lines.append(f"{place:>5} {size(layer.size):>11} {size(layer.bytes):>10} {lost:>10}  {by}".rstrip())
    if found.kept:
        rows = (f"{size(each.size):>10}  {printable(each.path)}  (layer {each.layer})" for each in found.kept[:top])
        lines += ["", "largest files:", *rows]
    share = f", {100 * waste / found.bytes:.1f} % of {size(found.bytes)}" if found.bytes else ""
    lines += ["", f"waste: {size(waste)}{share}"]
    if found.hidden:
        lines.append(f"  hidden by later layers: {size(found.hidden_bytes)} in {_files(len(found.hidden))}")
        lines += [_hidden_row(each) for each in found.hidden[:top]]
    if found.duplicates:
        lines += _duplicate_rows(found, top)
    return lines


def _hidden_row(each: Hidden) -> str:
    from gazami.foreign import printable
    from gazami.report.units import size

    return (
        f"{size(each.file.size):>12}  {printable(each.file.path)}  (layer {each.file.layer}, {_FATES[each.fate]} layer {each.by})"
    )


def _duplicate_rows(found: Analysis, top: int | None) -> list[str]:
    from gazami.builder.contents.usage import spare
    from gazami.foreign import printable
    from gazami.report.units import size

    copies = sum(len(group) - 1 for group in found.duplicates)
    lines = [f"  duplicates: {size(found.duplicate_bytes)} in {_files(copies)}"]
    for group in found.duplicates[:top]:
        others = f" and {len(group) - 3} more" if len(group) > 3 else ""
        lines.append(f"{size(spare(group)):>12}  {printable(' = '.join(each.path for each in group[:3]))}{others}")
    return lines


def _files(count: int) -> str:
    from gazami.report.units import number

    return "1 file" if count == 1 else f"{number(count)} files"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _INSTRUCTION else text[: _INSTRUCTION - 1] + "…"


COMMAND = Command("analyze", _USAGE, table((TOP, JSON, STATE_DIR), (PLATFORM, *READING, *QUIETLY)), task(_analyze))
