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
    allowed = {"sys.argv"} if name(path) in ("sandbox/inside/server.py", "sandbox/inside/probe.py", "layer/listing.py") else set()
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
    if name(path) == "sandbox/inside/probe.py":  # a program of its own, whose answer is its output
        return
    assert not attributes(path) & {"sys.stdout", "sys.stderr"}


@pytest.mark.parametrize("module", ["sandbox.inside.server", "sandbox.inside.probe", "rootfs.unpack", "rootfs.snapshot"])
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


# -- sizes ---------------------------------------------------------------------------------------------------------------------

MOST_FIELDS, MOST_METHODS, MOST_POSITIONAL = 12, 25, 6
OF_A_SPECIFICATION = {
    "ImageConfig": "the fields of OCI's image config",
    "Mount": "the options of RUN --mount",
    "Option": "the columns of the table of flags",
}
OFTEN_CALLED = {"Node.__init__", "_block"}
"""Once for each file of an image: keywords cost a third of the call."""
WHOLE_REQUEST = {
    "builder/build.py": "hands the groups out",
    "builder/attempt.py": "hands the groups out",
    "builder/inputs/prepared.py": "hands the groups out",
}
"""Modules of the builder that may take the whole request."""


def classes(path: Path) -> list[ast.ClassDef]:
    return classes_in(ast.parse(path.read_text()))


def fields_of(node: ast.ClassDef) -> int:
    """The fields of a value, else the attributes that ``__init__`` sets."""
    if any("dataclass" in ast.unparse(each) for each in node.decorator_list):
        return sum(isinstance(each, ast.AnnAssign) for each in node.body)
    starts = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
    targets = {ast.unparse(each) for start in starts for each in ast.walk(start) if isinstance(each, ast.Attribute)
               and isinstance(each.ctx, ast.Store)}  # fmt: skip
    return len(targets)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_class_is_too_large(path: Path) -> None:
    for node in classes(path):
        methods = sum(isinstance(each, ast.FunctionDef) for each in node.body)
        assert methods <= MOST_METHODS, f"{node.name} has {methods} methods"
        assert fields_of(node) <= MOST_FIELDS or node.name in OF_A_SPECIFICATION, f"{node.name} has {fields_of(node)} fields"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_function_takes_a_long_row_of_arguments(path: Path) -> None:
    tree = ast.parse(path.read_text())
    owners = {id(each): f"{node.name}." for node in classes_in(tree) for each in node.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            count = len([each for each in (*node.args.posonlyargs, *node.args.args) if each.arg not in ("self", "cls")])
            called = owners.get(id(node), "") + node.name
            assert count <= MOST_POSITIONAL or called in OFTEN_CALLED, f"{called} takes {count} arguments by their place"


def classes_in(tree: ast.AST) -> list[ast.ClassDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


@pytest.mark.parametrize("path", [each for each in MODULES if name(each).startswith("builder/")], ids=name)
def test_a_function_takes_its_group_of_the_request(path: Path) -> None:
    if name(path) in WHOLE_REQUEST or name(path) == "builder/request.py":
        return
    takes = [
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and "BuildRequest" in signature(node)
    ]
    assert takes == []


def signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.FunctionDef):
        return ast.unparse(node.args)
    return " ".join(ast.unparse(each.annotation) for each in node.body if isinstance(each, ast.AnnAssign))


def test_no_module_has_a_name_that_says_nothing() -> None:
    silent = {"util", "utils", "helper", "helpers", "manager", "common", "misc", "base", "tools"}
    assert [name(path) for path in MODULES if path.stem.strip("_") in silent] == []


def test_a_folder_has_rooms() -> None:
    """A folder of more than 32 modules is more than one room; the registry's protocol is the largest."""
    crowded = {
        name(folder): count for folder in SOURCE.rglob("*") if folder.is_dir() and (count := len([*folder.glob("*.py")])) > 32
    }
    assert crowded == {}
