"""``gazami inspect``: what an image is, from its manifest and config alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gazami.cli.command import Command, Execution, one_positional, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL
from gazami.cli.flags.option import Group, Option, Table
from gazami.cli.flags.options import CUSTOM_PLATFORM, LOGGING, REGISTRY

if TYPE_CHECKING:
    from gazami.image.manifest import Index, Manifest
    from gazami.registry.resolved import Resolved

_USAGE = """\
Say what an image is. Its layers are not fetched.

Usage:
  gazami inspect REF [flags]

Examples:
  gazami inspect debian:12
  gazami inspect debian:12 --json | jq -r .Digest
  gazami inspect debian:12 --raw
"""

RAW = Option("raw", BOOL, Group.OUTPUT, "Print the manifest or index as it is stored.", "false")
CONFIG = Option("config", BOOL, Group.OUTPUT, "Print the image's config as it is stored.", "false")
JSON = Option("json", BOOL, Group.OUTPUT, "Print everything as JSON.", "false")


def _inspect(flags: Flags, run: Execution) -> int:
    from gazami.cli.request.plan import platform_of
    from gazami.image.manifest import Index
    from gazami.image.reference import parse_reference

    reference = parse_reference(one_positional(flags, "the reference of an image"))
    with run.registry(flags) as client:
        top = client.get_manifest(reference)
        if flags[RAW]:
            run.say(top.raw)
            return 0
        platform = platform_of(flags, run.around)
        found = client.resolve(reference, platform)
        if flags[CONFIG]:
            run.say(found.config_raw)
            return 0
        known = _described(str(reference.context), top, found)
        if isinstance(top, Index):
            known["Platforms"] = sorted({str(each.platform) for each in top.manifests if each.platform})
    run.say(json.dumps(known, indent=2) + "\n" if flags[JSON] else _text(known))
    return 0


def _described(name: str, top: Manifest | Index, found: Resolved) -> dict[str, Any]:
    config = found.config
    return {
        "Name": name,
        "Digest": top.digest,
        "MediaType": top.media_type,
        "ManifestDigest": found.digest,
        "Platform": str(config.platform),
        "Created": config.created,
        "Size": sum(layer.size for layer in found.manifest.layers),
        "Layers": [{"Digest": layer.digest, "Size": layer.size, "MediaType": layer.media_type} for layer in found.manifest.layers],
        "Env": [f"{key}={value}" for key, value in config.env],
        "Entrypoint": list(config.entrypoint or ()),
        "Cmd": list(config.cmd or ()),
        "User": config.user,
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        "Annotations": dict(found.manifest.annotations),
    }


def _text(known: dict[str, Any]) -> str:
    from gazami.foreign import printable
    from gazami.report.units import size

    lines: list[str] = []
    for key, value in known.items():
        if key == "Size":
            lines.append(f"{key + ':':<16}{size(value)} compressed")
        elif key == "Layers":
            lines += [f"{'Layers:' if not n else '':<16}{each['Digest']}  {size(each['Size'])}" for n, each in enumerate(value)]
        elif isinstance(value, dict):
            rows = [f"{name}={text}" for name, text in sorted(value.items())]
            lines += [f"{key + ':' if not n else '':<16}{printable(row)}" for n, row in enumerate(rows)]
        elif isinstance(value, list):
            lines += [f"{key + ':' if not n else '':<16}{printable(row)}" for n, row in enumerate(value)]
        elif value:
            lines.append(f"{key + ':':<16}{printable(str(value))}")
    return "\n".join(lines) + "\n"


COMMAND = Command("inspect", _USAGE, Table((RAW, CONFIG, JSON, CUSTOM_PLATFORM, *REGISTRY, *LOGGING)), task(_inspect))
