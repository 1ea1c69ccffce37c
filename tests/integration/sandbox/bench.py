"""A sandbox and a busybox root, and running commands in it as tests want to."""

from __future__ import annotations

import itertools
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gazami.cancel import Cancel
from gazami.sandbox.client import Sandbox
from gazami.sandbox.spec import Choice, OverlayRoot, PlainRoot, Root, RunResult, RunSpec

SLEEP = f"sleep 9{os.getpid()}"
"""A command that nobody else on this machine runs."""

CHOICES = {
    "namespaces": Choice("namespaces", "test", overlay=True),
    "userns": Choice("userns", "test", overlay=True, userxattr=True, ids="identity"),
    "userns-shared-proc": Choice("userns", "test", overlay=True, userxattr=True, ids="identity", pid_namespace=False),
    "userns-single": Choice("userns-single", "test", overlay=True, userxattr=True, ids="single"),
    "chroot": Choice("chroot", "test", overlay=False),
    "chroot-shared": Choice("chroot", "test", overlay=False, pid_namespace=False),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, what it wrote, and the directory that holds what it changed."""

    result: RunResult
    out: str
    err: str
    changed: Path

    @property
    def code(self) -> int:
        return self.result.exit_code

    def files(self) -> set[str]:
        """What the directory of changes holds, without the three that a base without them gets."""
        paths = (str(path.relative_to(self.changed)) for path in self.changed.rglob("*"))
        return {path for path in paths if path not in ("proc", "sys", "dev")}


@dataclass
class Bench:
    sandbox: Sandbox
    cancel: Cancel
    base: Path
    place: Path
    lowers: tuple[Path, ...] = ()
    _number: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def overlay(self) -> bool:
        return self.sandbox.choice.overlay

    def root(self) -> tuple[Root, Path]:
        """A fresh root over the base: an overlay, or a copy of the base."""
        number = next(self._number)
        upper, work = self.place / f"upper{number}", self.place / f"work{number}"
        if self.overlay:
            upper.mkdir()
            work.mkdir()
            lowers = tuple(str(path) for path in (*self.lowers, self.base))
            return OverlayRoot(lowers, str(upper), str(work)), upper
        shutil.copytree(self.base, upper, symlinks=True)
        return PlainRoot(str(upper)), upper

    def run(self, *argv: str, root: tuple[Root, Path] | None = None, **options: Any) -> Outcome:
        where, changed = root or self.root()
        options.setdefault("env", (("PATH", "/bin"),))
        written: dict[str, list[bytes]] = {"stdout": [], "stderr": []}
        spec = RunSpec(where, argv, **options)
        result = self.sandbox.run(spec, lambda stream, data: written[stream].append(data))
        out, err = (b"".join(chunks).decode() for chunks in written.values())
        return Outcome(result, out, err, changed)

    def sh(self, script: str, **options: Any) -> Outcome:
        return self.run("sh", "-c", script, **options)


def sleepers() -> list[int]:
    """The processes that run :data:`SLEEP`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip() == SLEEP:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
