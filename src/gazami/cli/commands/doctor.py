"""``gazami doctor``: try every isolation of RUN steps here, and say which works, which would be chosen and why not another."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gazami.builder.files.state_directory import claim
from gazami.cli.command import Command, no_positionals
from gazami.cli.environ import Surroundings, look_around
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Table
from gazami.cli.flags.options import STATE_DIR
from gazami.cli.request.sandbox import state_dir
from gazami.sandbox.modes import advice
from gazami.sandbox.select import Conditions, survey
from gazami.sandbox.spec import ProbeResult

_USAGE = """\
Try each isolation mode of RUN steps as a build would (mounts, namespaces, ids), and print what works here.

Usage:
  gazami doctor [flags]

Ends with status 1 when no mode works; Dockerfiles without RUN build anywhere.
"""


def _doctor(flags: Flags, environ: Mapping[str, str]) -> int:
    """The exit status: 0 when RUN steps can be isolated, 1 otherwise."""
    no_positionals(flags)
    around = look_around(environ)
    place = str(claim(state_dir(flags[STATE_DIR], around)))
    findings = survey(Path(place), conditions=Conditions(around.in_container, local=(around.cwd,)))
    sys.stdout.write(describe(findings, place, around))
    return 0 if any(finding.choice for finding in findings) else 1


def describe(findings: Sequence[ProbeResult], place: str, around: Surroundings) -> str:
    """The report as text. Pure."""
    chosen = next((finding.mode for finding in findings if finding.choice), None)
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
    if around.in_container and (line := advice(chosen, root=around.uid == 0)):
        lines += ["", f"A better isolation needs, in the container of the pod:\n  {line}"]
    return "\n".join(lines) + "\n"


COMMAND = Command("doctor", _USAGE, Table((STATE_DIR,)), _doctor)
