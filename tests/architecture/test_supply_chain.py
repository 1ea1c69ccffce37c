"""Everything that pip installs for gazami is pinned by hash, what makes its own package included (ADR 5)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTS = ("build", "dev", "runtime", "site")
INSTALLS = re.compile(r"pip (?:install|wheel)\b(?:[^\n&|]|\\\n)*")


def installs(name: str) -> list[str]:
    return INSTALLS.findall((ROOT / name).read_text())


@pytest.mark.parametrize("name", ["scripts/setup", "action.Dockerfile", "deploy/image/assemble.py"])
def test_pip_never_takes_what_no_hash_names(name: str) -> None:
    text = (ROOT / name).read_text()
    for line in installs(name):
        ours = "--no-deps" in line and ("--no-build-isolation" in line or "--no-index" in line)
        assert "--require-hashes" in line or ours, line
    assert "--require-hashes" in text


def test_the_check_sees_an_unpinned_install() -> None:
    line = INSTALLS.findall("x -m pip install -q --no-deps -e .\n")[0]
    assert "--require-hashes" not in line
    assert "--no-build-isolation" not in line


@pytest.mark.parametrize("name", LISTS)
def test_every_requirement_has_a_version_and_hashes(name: str) -> None:
    text = (ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        assert re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line


def test_the_lists_agree() -> None:
    found: dict[str, set[str]] = {}
    for name in LISTS:
        for package, version in re.findall(r"^([a-z0-9.-]+)==(\S+)", (ROOT / f"requirements/{name}.txt").read_text(), re.M):
            found.setdefault(package, set()).add(version)
    twice = {package for package, versions in found.items() if len(versions) > 1}
    assert twice <= {"networkx", "pymdown-extensions"}  # by the version of Python


def test_the_build_backend_is_in_the_list() -> None:
    assert re.search(r"^hatchling==", (ROOT / "requirements/build.txt").read_text(), re.M)
