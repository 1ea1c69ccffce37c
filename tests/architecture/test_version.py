"""The version is stated in one file; what repeats it agrees, and the changelog has its heading."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import gazami

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/version.py"


def test_every_file_names_the_same_version() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    named = runpy.run_path(str(SCRIPT))["mentions"]()
    assert {path.relative_to(ROOT).parts[0] for path in named} >= {"README.md", "deploy", "docs", "tests"}


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    script = runpy.run_path(str(SCRIPT))
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = [found[1] for found in script["HEADING"].finditer(text)]
    assert headings[:2] == ["Unreleased", gazami.__version__]
    assert len(headings) == text.count("\n## ")
    kinds = {line for line in text.splitlines() if line.startswith("### ")}
    assert kinds <= {f"### {kind}" for kind in ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security", "Known gaps")}


def test_the_package_takes_its_version_from_the_source() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    assert 'dynamic = ["version"]' in project
    assert 'path = "src/gazami/__init__.py"' in project
    assert f'"{gazami.__version__}"' not in project
