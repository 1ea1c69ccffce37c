"""Targets and outlines as the tables and the JSON that ``docker build --call`` prints. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

from gazami.errors import Source
from gazami.plan.describe import MountUse, Target, TargetOutline
from gazami.report.findings import location, without_empty


def targets_text(targets: Sequence[Target]) -> str:
    rows = [(_named(target), target.description) for target in targets]
    return _table([("TARGET", "DESCRIPTION"), *rows], 1)


def _named(target: Target) -> str:
    return " ".join(word for word in (target.name, "(default)" if target.default else "") if word)


def targets_json(targets: Sequence[Target], source: Source) -> str:
    return _json(
        {
            "targets": [
                without_empty(
                    name=target.name,
                    default=target.default,
                    description=target.description,
                    base=target.base,
                    platform=target.platform,
                    location=location(target.span),
                )
                for target in targets
            ],
            "sources": [_encoded(source)],
        }
    )


def outline_text(outline: TargetOutline) -> str:
    parts: list[str] = []
    if outline.name or outline.description:
        head = [("TARGET:", outline.name or "(default)")]
        head += [("DESCRIPTION:", outline.description)] if outline.description else []
        parts.append(_table(head, 1))
    if outline.args:
        rows = [(arg.name, arg.value or "", arg.description) for arg in outline.args]
        parts.append(_table([("BUILD ARG", "VALUE", "DESCRIPTION"), *rows], 3))
    parts += [_uses(title, uses) for title, uses in (("SECRET", outline.secrets), ("SSH", outline.ssh)) if uses]
    return "\n".join(parts)


def _uses(title: str, uses: Sequence[MountUse]) -> str:
    return _table([(title, "REQUIRED"), *((use.name, "true" if use.required else "") for use in uses)], 3)


def outline_json(outline: TargetOutline, source: Source) -> str:
    return _json(
        without_empty(
            name=outline.name,
            description=outline.description,
            args=[
                {"name": arg.name} | without_empty(description=arg.description, value=arg.value, location=location(arg.span))
                for arg in outline.args
            ],
            secrets=[_use(use) for use in outline.secrets],
            ssh=[_use(use) for use in outline.ssh],
            sources=[_encoded(source)],
        )
    )


def _use(use: MountUse) -> dict[str, Any]:
    return without_empty(name=use.name, required=use.required, location=location(use.span))


def _encoded(source: Source) -> str:
    return base64.b64encode(source.text.encode("utf-8", "surrogateescape")).decode()


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _table(rows: Sequence[tuple[str, ...]], gap: int) -> str:
    """Columns as wide as their longest cell and ``gap`` blanks."""
    widths = [max(map(len, column)) + gap for column in zip(*rows, strict=True)]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)
