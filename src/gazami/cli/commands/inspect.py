"""``gazami inspect``: what an image is, from its manifest and config alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gazami.cli.command import Command, Execution, one_positional, task
from gazami.cli.commands.places import Place, place_of
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL
from gazami.cli.flags.option import Group, Option
from gazami.cli.flags.options import STATE_DIR
from gazami.cli.flags.registries import PLATFORM, QUIETLY, READING, table

if TYPE_CHECKING:
    from gazami.image.config import ImageConfig
    from gazami.image.manifest import Index, Manifest
    from gazami.image.platform import Platform

_USAGE = """\
Say what an image is. Its layers are not fetched.

Usage:
  gazami inspect REF [flags]
  gazami inspect PATH[:NAME] [flags]

REF is the name of an image in a registry, PATH an OCI layout or an archive: oci:DIR, ./DIR, FILE.tar.

Examples:
  gazami inspect debian:12
  gazami inspect debian:12 --json | jq -r .Digest
  gazami inspect ./out
"""

RAW = Option("raw", BOOL, Group.OUTPUT, "Print the manifest or index as it is stored.", "false")
CONFIG = Option("config", BOOL, Group.OUTPUT, "Print the image's config as it is stored.", "false")
JSON = Option("json", BOOL, Group.OUTPUT, "Print everything as JSON.", "false")

_COMMAND_WIDTH = 90
"""Characters of a layer's instruction that a row shows."""


def _inspect(flags: Flags, run: Execution) -> int:
    from gazami.cli.request.plan import platform_of
    from gazami.image.manifest import Index

    text = one_positional(flags, "the reference of an image")
    platform = platform_of(flags, run.around)
    place = place_of(text)
    name, top, found = _stored(place, platform, flags, run) if place is not None else _remote(text, platform, flags, run)
    if flags[RAW]:
        run.say(top.raw)
        return 0
    manifest, config, raw = found()
    if flags[CONFIG]:
        run.say(raw)
        return 0
    known = _described(name, top, manifest, config)
    if isinstance(top, Index):
        known["Platforms"] = sorted({str(each.platform) for each in top.manifests if each.platform})
    run.say(json.dumps(known, indent=2) + "\n" if flags[JSON] else _text(known, config))
    return 0


def _remote(text: str, platform: Platform, flags: Flags, run: Execution) -> tuple[str, Manifest | Index, Any]:
    from gazami.image.reference import parse_reference

    reference = parse_reference(text)
    with run.registry(flags) as client:
        resolved = None if flags[RAW] else client.resolve(reference, platform)
        top = client.get_manifest(reference)

    def found() -> tuple[Manifest, ImageConfig, bytes]:
        assert resolved is not None
        return resolved.manifest, resolved.config, resolved.config_raw

    return str(reference.context), top, found


def _stored(place: Place, platform: Platform, flags: Flags, run: Execution) -> tuple[str, Manifest | Index, Any]:
    from gazami.builder.files.workspace import Workspace
    from gazami.builder.outputs.publish import chosen, load
    from gazami.cli.request.sandbox import state_dir

    with Workspace(state_dir(flags[STATE_DIR], run.around)) as workspace:
        stored = load(place.path, place.name, workspace)
        made = None if flags[RAW] else chosen(stored, platform, str(place.path))
    return str(place.path), stored.top, lambda: made


def _described(name: str, top: Manifest | Index, manifest: Manifest, config: ImageConfig) -> dict[str, Any]:
    return {
        "Name": name,
        "Digest": top.digest,
        "MediaType": top.media_type,
        "ManifestDigest": manifest.digest,
        "Platform": str(config.platform),
        "Created": config.created,
        "Size": sum(layer.size for layer in manifest.layers),
        "Layers": [{"Digest": layer.digest, "Size": layer.size, "MediaType": layer.media_type} for layer in manifest.layers],
        "Env": [f"{key}={value}" for key, value in config.env],
        "Entrypoint": list(config.entrypoint or ()),
        "Cmd": list(config.cmd or ()),
        "User": config.user,
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        "Annotations": dict(manifest.annotations),
    }


def _text(known: dict[str, Any], config: ImageConfig) -> str:
    from gazami.foreign import printable
    from gazami.report.units import size

    made_by = [entry.created_by for entry in config.history if not entry.empty_layer]
    lines: list[str] = []
    for key, value in known.items():
        if key == "Size":
            lines.append(f"{key + ':':<16}{size(value)} compressed")
        elif key == "Layers":
            for number, each in enumerate(value):
                by = printable(_shortened(made_by[number])) if len(made_by) == len(value) else ""
                head = "Layers:" if not number else ""
                lines.append(f"{head:<16}{each['Digest'][:19]}  {size(each['Size']):>9}  {by}".rstrip())
        elif isinstance(value, dict):
            rows = [f"{name}={text}" for name, text in sorted(value.items())]
            lines += [f"{key + ':' if not n else '':<16}{printable(row)}" for n, row in enumerate(rows)]
        elif isinstance(value, list):
            lines += [f"{key + ':' if not n else '':<16}{printable(row)}" for n, row in enumerate(value)]
        elif value:
            lines.append(f"{key + ':':<16}{printable(str(value))}")
    return "\n".join(lines) + "\n"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _COMMAND_WIDTH else text[: _COMMAND_WIDTH - 1] + "…"


COMMAND = Command("inspect", _USAGE, table((RAW, CONFIG, JSON, STATE_DIR), (PLATFORM, *READING, *QUIETLY)), task(_inspect))
