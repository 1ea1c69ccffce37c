"""Builds in a small context, for tests that say themselves what the image has to be."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.conformance.flatten import File, read_layout
from tests.programs import gazami


class Case:
    """A context, made by a shell script, and builds of any Dockerfile in it."""

    def __init__(self, folder: Path, script: str) -> None:
        self.folder, self.context = folder, folder / "context"
        self.context.mkdir()
        self.sh(script)

    def sh(self, script: str) -> None:
        subprocess.run(["sh", "-euc", script], cwd=self.context, check=True)

    def build(self, dockerfile: str, *arguments: str) -> tuple[dict[str, Any], dict[str, File]]:
        done = self.run(dockerfile, *arguments)
        assert done.returncode == 0, done.stderr
        return read_layout(self.folder / "out")

    def files(self, dockerfile: str) -> set[str]:
        return set(self.build(dockerfile)[1])

    def history(self, dockerfile: str, *arguments: str) -> list[str]:
        """What the history says, a ``-`` before the entries that have a layer."""
        return [
            entry["created_by"] if entry.get("empty_layer") else f"- {entry['created_by']}"
            for entry in self.build(dockerfile, *arguments)[0]["history"]
        ]

    def run(self, dockerfile: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "Dockerfile").write_text(dockerfile)
        return gazami(
            "build", str(self.context), "-f", str(self.folder / "Dockerfile"), "--no-push",
            f"--oci-layout-path={self.folder / 'out'}", f"--state-dir={self.folder / 'state'}", *arguments,
        )  # fmt: skip
