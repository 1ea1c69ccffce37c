"""The files of a RUN that failed, as a tar or a folder (``--on-failure``), and the commands that look at them.

They are the layers so far and one more of what the command changed, as every mode takes it. So they have their owners, and nothing
that a step only sees: no secret, no mount, no volume.
"""

from __future__ import annotations

import os
import shlex
import threading
from pathlib import Path

from gazami.builder.files.layer_files import LayerFiles
from gazami.builder.outputs.file_export import export_files
from gazami.builder.request import FileExport
from gazami.errors import GazamiError
from gazami.events import Emit, Message
from gazami.image.model import Layer
from gazami.plan.steps import RunStep
from gazami.values import fast_dataclass, field

_NAME = "failed-step"


@fast_dataclass(frozen=True, slots=True)
class FailedRoot:
    """``export`` is where the files go; of several steps that fail at once, the first one's do."""

    export: FileExport
    files: LayerFiles
    emit: Emit
    _first: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, step: RunStep, layers: tuple[Layer, ...]) -> None:
        """Write the files and say how to look at them; what goes wrong is a warning, since the step's failure is what matters."""
        if not self._first.acquire(blocking=False):
            return
        try:
            export_files(self.export, layers, self.files, _no_layout)
        except GazamiError as error:
            self.emit(Message("warning", f"--on-failure: the files of the failed step were not written: {error.message}"))
            return
        self.emit(Message("info", how_to_look(step, self.export, is_root=os.geteuid() == 0)))


def _no_layout(folder: Path) -> None:
    raise AssertionError(f"{folder}: files have no layout")


def how_to_look(step: RunStep, export: FileExport, *, is_root: bool) -> str:
    """The commands that open a shell where the step failed, and that repeat it.

    Values of build arguments are left out, for they may be secret: the shell that repeats the step has to have them.
    """
    given = dict(step.env)
    kept = {**dict(step.common.config.env), "PATH": given["PATH"]}
    arguments = [name for name in given if name not in kept]
    if export.kind == "tar":
        words = ["--env=" + shlex.quote(f"{name}={value}") for name, value in kept.items()]
        words += [f"--env={name}" for name in arguments]
        words += [f"--user={shlex.quote(step.user)}"] if step.user else []
        enter = ["podman", "run", "--rm", "-it", f"--workdir={shlex.quote(step.cwd)}", *words, _NAME]
        first = [f"podman import {shlex.quote(export.dest)} {_NAME}"]
    else:
        words = [shlex.quote(f"{name}={value}") for name, value in kept.items()] + [f'{name}="${name}"' for name in arguments]
        mapped = [] if is_root else ["--map-root-user"]
        enter = [
            "env",
            "-i",
            *words,
            '"$(command -v unshare)"',
            *mapped,
            "--mount",
            f"--root={shlex.quote(export.dest)}",
            f"--wd={shlex.quote(step.cwd)}",
        ]
        first = []
    lines = [f"the files of the failed step are in {export.dest}; to look at them:", *first, " ".join([*enter, "/bin/sh"])]
    if step.script is None:
        lines += ["to repeat the step:", " ".join([*enter, shlex.join(step.argv)])]
    if arguments:
        lines.append(f"(first export its build arguments: {', '.join(arguments)})")
    if step.mounts:
        lines.append("(without its --mount)")
    if step.user and export.kind != "tar":
        lines.append(f"(as root; the step's user is {step.user})")
    return "\n".join(line if line.endswith((":", ")")) else f"  {line}" for line in lines)
