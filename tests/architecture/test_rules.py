"""Rules of the house that import-linter cannot see: who reads the environment, who prints, what the fork server imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gazami

SOURCE = Path(gazami.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST = 400
"""Lines; a longer module is probably more than one idea."""


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def attributes(path: Path) -> set[str]:
    """``module.attribute`` accesses of a file."""
    return {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_the_two_interfaces_read_environment_and_arguments(path: Path) -> None:
    if name(path).startswith("cli/") or name(path) == "api.py":
        return
    allowed = {"sys.argv"} if name(path) in ("sandbox/inside/server.py", "sandbox/probe.py") else set()
    assert attributes(path) & {"os.environ", "os.getenv", "sys.argv"} <= allowed


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_only_reports_and_the_command_line_write_to_the_terminal(path: Path) -> None:
    if name(path).startswith(("cli/", "report/")):
        return
    calls = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in calls
    if name(path) == "sandbox/probe.py":  # a program of its own, whose answer is its output
        return
    assert not attributes(path) & {"sys.stdout", "sys.stderr"}


@pytest.mark.parametrize("module", ["sandbox.inside.server", "sandbox.probe", "rootfs.unpack", "rootfs.snapshot"])
def test_what_runs_in_the_namespace_needs_the_standard_library_alone(module: str) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); before = set(sys.modules); import gazami.{module}; "
        "names = {each.partition('.')[0] for each in set(sys.modules) - before}; "
        "print(*sorted(each for each in names if each not in sys.stdlib_module_names and each != 'gazami'))"
    )
    done = subprocess.run([sys.executable, "-S", "-E", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_version_is_printed_without_heavy_imports() -> None:
    code = "import sys; from gazami.cli.main import run; run(['--version'], {}); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"urllib3", "rich", "gazami.builder.build", "gazami.registry.client", "ssl", "subprocess"}


def test_every_module_says_what_it_is_about() -> None:
    silent = [name(path) for path in MODULES if path.stat().st_size and not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_long_modules_are_reported(record_property: object) -> None:
    long = {name(path): length for path in MODULES if (length := len(path.read_text().splitlines())) > LONGEST}
    print("modules over", LONGEST, "lines:", long or "none")
    assert all(length < 2 * LONGEST for length in long.values()), long
