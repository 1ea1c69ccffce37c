"""``gazami build --call=…`` and ``--check``: look at the Dockerfile of a build and print what is asked, build nothing."""

from __future__ import annotations

from collections.abc import Mapping

from gazami.cli.commands.dockerfile import Reading, read_dockerfile, write_out
from gazami.cli.environ import without_credentials
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import CACHE, CALL, CHECK, NO_PUSH
from gazami.cli.request.build import build_request
from gazami.dockerfile.parser import parse
from gazami.dockerfile.suggest import did_you_mean
from gazami.errors import UsageError
from gazami.plan.describe import describe_target, describe_targets
from gazami.report.described import outline_json, outline_text, targets_json, targets_text
from gazami.report.findings import Checked, as_check_json
from gazami.report.findings_text import as_text

METHODS = ("build", "check", "outline", "targets")


def run_call(flags: Flags, environ: Mapping[str, str]) -> int:
    """Print the answer; the exit status. ``check`` ends with 1 when it has findings. Raises :class:`GazamiError`."""
    method, json = ("check", False) if flags[CHECK] else _method(flags[CALL])
    quiet = flags.having(NO_PUSH, "true").having(CACHE, "false")
    request = build_request(quiet, without_credentials(environ)).request
    text, status = _answer(method, read_dockerfile(request, knows_secrets=True), json=json)
    write_out(text)
    return status


def _method(value: str) -> tuple[str, bool]:
    """``outline,format=json`` → the method and whether JSON is wanted."""
    method, *settings = value.split(",")
    if method not in METHODS:
        raise UsageError(f"--call={method}: no such method{did_you_mean(method, METHODS)}", hint=f"one of {', '.join(METHODS)}")
    for setting in settings:
        if setting not in ("format=json", "format=text"):
            raise UsageError(f"--call: {setting!r} is not a setting", hint=f"--call={method},format=json")
    return method, "format=json" in settings


def _answer(method: str, reading: Reading, *, json: bool) -> tuple[str, int]:
    source, inputs = reading.source, reading.inputs
    if method == "check":
        findings, _ = reading.findings(source)
        text = as_check_json(findings, source) if json else as_text([Checked(source, findings)])
        return text, int(bool(findings))
    dockerfile = parse(source)
    if method == "targets":
        targets = describe_targets(dockerfile)
        return targets_json(targets, source) if json else targets_text(targets), 0
    outline = describe_target(dockerfile, source, inputs)
    return outline_json(outline, source) if json else outline_text(outline), 0
