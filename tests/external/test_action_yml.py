"""GitHub's own schema of an action's file."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.npm import installed

ROOT = Path(__file__).parents[2]


def test_the_action_is_what_github_takes(tmp_path: Path) -> None:
    program = installed("action-validator")
    assert subprocess.run([program, str(ROOT / "action.yml")], check=False, capture_output=True).returncode == 0
    wrong = tmp_path / "action.yml"
    wrong.write_text((ROOT / "action.yml").read_text().replace("\nruns:", "\nruuns:"))
    done = subprocess.run([program, str(wrong)], check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "ruuns" in done.stdout + done.stderr
