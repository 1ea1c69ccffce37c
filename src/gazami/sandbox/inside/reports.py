"""What the processes of a step report to its handler: one value a line, through the descriptor :data:`.launch.REPORTS`.

The pipe closes in the command when exec succeeds, and ends with the init process.
"""

from __future__ import annotations

import os
from contextlib import suppress

from gazami.sandbox.inside import launch
from gazami.sandbox.inside.plain_root import UndoRecord
from gazami.sandbox.inside.targets import TargetRecord
from gazami.sandbox.protocol import Failure, decode, encode
from gazami.sandbox.spec import Unrunnable
from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class Prepared:
    """What was made and changed in the root for the command, whether or not all of it could be. ``undo`` is a plain root's, and
    ``times`` are the ctimes, in nanoseconds by path, of what it changed; they are reported last."""

    targets: TargetRecord
    undo: UndoRecord = UndoRecord()
    times: tuple[tuple[str, int], ...] = ()


@fast_dataclass(frozen=True, slots=True)
class CommandEnd:
    """``status`` is as a shell says it, ``leftovers`` how many processes the command left, None where the kernel does not say.
    The others are of a user namespace with one id: see :class:`.spec.RunResult`, and the ids that processes asked for."""

    status: int
    leftovers: int | None = None
    owner: tuple[int, int] = (0, 0)
    owners: tuple[tuple[str, int, int], ...] = ()
    pretended: tuple[int, ...] = ()
    unrunnable: tuple[Unrunnable, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class StepReport:
    """The last of each that was reported."""

    prepared: Prepared | None = None
    end: CommandEnd | None = None
    failure: Failure | None = None


def send(report: Prepared | CommandEnd | Failure) -> None:
    data = encode(report).encode() + b"\n"
    while data:
        data = data[os.write(launch.REPORTS, data) :]


def collect(data: bytes) -> StepReport:
    """What the pipe brought. A line that is cut off, since its process was killed, counts for nothing."""
    prepared, end, failure = None, None, None
    for line in data.splitlines():
        with suppress(ValueError):
            match decode(line):
                case Prepared() as report:
                    prepared = report
                case CommandEnd() as report:
                    end = report
                case Failure() as report:
                    failure = report
    return StepReport(prepared, end, failure)
