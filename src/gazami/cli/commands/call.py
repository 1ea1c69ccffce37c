"""``gazami build --call=…`` and ``--check``: look at the Dockerfile of a build and print what is asked, build nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from gazami.cli.environ import Surroundings, working_directory
from gazami.cli.flags.argv import Parsed
from gazami.cli.reading import Reading, read_dockerfile, write_out
from gazami.cli.request import build_request
from gazami.dockerfile.parser import parse
from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import UsageError
from gazami.plan.describe import describe_target, describe_targets
from gazami.report.described import outline_json, outline_text, targets_json, targets_text
from gazami.report.findings import as_check_json, as_text

METHODS = ("build", "check", "outline", "targets")


def run_call(parsed: Parsed, environ: Mapping[str, str]) -> int:
    """Print the answer; the exit status. ``check`` ends with 1 when it has findings. Raises :class:`GazamiError`."""
    method, json = ("check", False) if parsed.flag("check") else _method(parsed.text("call"))
    quiet = replace(parsed, values={**parsed.values, "no-push": True, "cache": False})
    around = Surroundings(environ, working_directory(), os.uname().machine, os.getuid())
    text, status = _answer(method, read_dockerfile(build_request(quiet, around).request, knows_secrets=True), json=json)
    write_out(text)
    return status


def _method(value: str) -> tuple[str, bool]:
    """``outline,format=json`` → the method and whether JSON is wanted."""
    method, *settings = value.split(",")
    if method not in METHODS:
        raise UsageError(
            f"--call={method}: no such method{did_you_mean(method, METHODS)}", hint=f"one of {', '.join(METHODS)}"
        )
    for setting in settings:
        if setting not in ("format=json", "format=text"):
            raise UsageError(f"--call: {setting!r} is not a setting", hint=f"--call={method},format=json")
    return method, "format=json" in settings


def _answer(method: str, reading: Reading, *, json: bool) -> tuple[str, int]:
    source, inputs = reading.source, reading.inputs
    if method == "check":
        findings, _ = reading.findings(source)
        return (as_check_json if json else as_text)(findings, source), int(bool(findings))
    dockerfile = parse(source)
    if method == "targets":
        targets = describe_targets(dockerfile)
        return targets_json(targets, source) if json else targets_text(targets), 0
    outline = describe_target(dockerfile, source, inputs)
    return outline_json(outline, source) if json else outline_text(outline), 0
