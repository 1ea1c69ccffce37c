"""``gazami doctor``: what a build would find here. Every isolation of RUN steps is tried, and other needs are looked at."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gazami.builder.files.state_directory import claim
from gazami.cli.command import Command, no_positionals
from gazami.cli.commands.doctor_checks import Check, machine_checks
from gazami.cli.environ import Surroundings, look_around
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, STRING
from gazami.cli.flags.option import Group, Option
from gazami.cli.flags.options import STATE_DIR
from gazami.cli.flags.registries import BOTH, table
from gazami.cli.request.sandbox import state_dir
from gazami.sandbox.modes import advice, mode_of
from gazami.sandbox.select import Conditions, survey
from gazami.sandbox.spec import ProbeResult

_USAGE = """\
Say what a build would find here: try each isolation mode of RUN steps as a build would (mounts, namespaces, ids), look at space,
memory, name servers and proxies, and with --tag at a registry: whether it answers, knows us, and takes a push.

Usage:
  gazami doctor [--tag REF] [flags]

Examples:
  gazami doctor
  gazami doctor -t registry.example.com/app

Ends with status 1 when no mode works (Dockerfiles without RUN build anywhere) or the registry does not take a push.
"""

TAG = Option("tag", STRING, Group.OUTPUT, "Ask the registry of this name.", metavar="REF", shorthands="t", aliases=("destination",))
JSON = Option("json", BOOL, Group.OUTPUT, "Answer in JSON.", "false")

_SUBUIDS = "apt install uidmap; usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER  # as root"


def _doctor(flags: Flags, environ: Mapping[str, str]) -> int:
    """The exit status: 0 when RUN steps can be isolated and the registry is well, 1 otherwise."""
    no_positionals(flags)
    around = look_around(environ)
    place = claim(state_dir(flags[STATE_DIR], around))
    findings = survey(place, conditions=Conditions(around.in_container, local=(around.cwd,)))
    checks = [*machine_checks(place, around), *_registry(flags, around)]
    write = sys.stdout.write
    write(as_json(findings, checks, place, around) if flags[JSON] else describe(findings, str(place), around) + _table(checks))
    isolated = any(finding.choice for finding in findings)
    return 0 if isolated and not any(check.state == "fail" for check in checks) else 1


def _registry(flags: Flags, around: Surroundings) -> list[Check]:
    if not flags[TAG]:
        return []
    from gazami.builder.inputs.registries import open_registry
    from gazami.cancel import Cancel
    from gazami.cli.commands.doctor_checks import registry_checks
    from gazami.cli.request.credentials import credential_options
    from gazami.cli.request.registry import registry_options
    from gazami.events import discard
    from gazami.image.reference import parse_reference

    reference = parse_reference(flags[TAG])
    options, credentials = registry_options(flags, around), credential_options(flags, around, flags[TAG])
    with open_registry(options, credentials, discard, Cancel()) as client:
        return list(registry_checks(reference, client))


def describe(findings: Sequence[ProbeResult], place: str, around: Surroundings) -> str:
    """The report on isolation as text. Pure."""
    chosen = _chosen(findings)
    lines = [
        f"state directory  {place}",
        f"user             uid {around.uid}, {'in' if around.in_container else 'not in'} a container",
        "",
    ]
    for finding in findings:
        mark = "chosen" if finding.mode == chosen else "works" if finding.choice else "no"
        roots = "" if finding.choice is None else ", overlay roots" if finding.choice.overlay else ", plain roots and scans"
        lines.append(f"{finding.mode:<14}{mark:<8} {finding.reason}{roots}")
    if chosen is None:
        lines += ["", "RUN steps cannot be isolated here. Dockerfiles without RUN can be built."]
    if line := fix_of(chosen, around):
        where = "in the container of the pod" if around.in_container else "on this machine"
        lines += ["", f"A better isolation needs, {where}:\n  {line}"]
    return "\n".join(lines) + "\n"


def fix_of(chosen: str | None, around: Surroundings) -> str:
    """What leads to a better mode: a line of a pod's YAML in a container, the ids of a user elsewhere; empty for the best. Pure."""
    if around.in_container:
        return advice(chosen, root=around.uid == 0)
    if around.uid == 0 or (chosen is not None and not mode_of(chosen).records_owners and mode_of(chosen).mounts):
        return ""
    return _SUBUIDS


def _table(checks: Sequence[Check]) -> str:
    lines = [""]
    for check in checks:
        lines.append(f"{check.name:<14}{check.state:<8} {check.text}")
        if check.fix:
            lines.append(f"{'':<14}{'fix':<8} {check.fix}")
    return "\n".join(lines) + "\n"


def as_json(findings: Sequence[ProbeResult], checks: Sequence[Check], place: Path, around: Surroundings) -> str:
    """The same facts for programs. Pure."""
    chosen = _chosen(findings)
    document = {
        "stateDirectory": str(place),
        "uid": around.uid,
        "inContainer": around.in_container,
        "isolation": {
            "chosen": chosen,
            "fix": fix_of(chosen, around),
            "modes": [
                {"name": each.mode, "works": each.choice is not None, "reason": each.reason,
                 "overlay": each.choice.overlay if each.choice else None}
                for each in findings
            ],
        },
        "checks": [{"name": each.name, "state": each.state, "text": each.text, "fix": each.fix} for each in checks],
    }  # fmt: skip
    return json.dumps(document, indent=2) + "\n"


def _chosen(findings: Sequence[ProbeResult]) -> str | None:
    return next((finding.mode for finding in findings if finding.choice), None)


COMMAND = Command("doctor", _USAGE, table((TAG, JSON, STATE_DIR), BOTH), _doctor)
