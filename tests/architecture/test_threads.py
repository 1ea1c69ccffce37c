"""Rules of docs/explanation/concurrency.md that can be read from the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gazami

SOURCE = Path(gazami.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
OWNERS = {"worker.py", "sandbox/kernel/notify.py"}
"""Where threads are made by hand; the fork server's handlers have one of their own."""


def name(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_threads_have_an_owner(path: Path) -> None:
    made = [each for each in ast.walk(ast.parse(path.read_text())) if isinstance(each, ast.Call)]
    threads = [each for each in made if called(each) in ("threading.Thread", "Thread")]
    assert not threads or name(path) in OWNERS
    for pool in (each for each in made if called(each) == "ThreadPoolExecutor"):
        assert any(keyword.arg == "thread_name_prefix" for keyword in pool.keywords)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_no_module_has_a_lock(path: Path) -> None:
    """What threads share belongs to an object, so two builds in one process share nothing."""
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(statement.value, ast.Call):
            assert not called(statement.value).startswith(("threading.", "queue.")), ast.unparse(statement)


def test_every_thread_is_in_the_page() -> None:
    page = (SOURCE.parents[1] / "docs/explanation/concurrency.md").read_text()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if called(node) == "Worker" and isinstance(node.args[0], ast.Constant):
                assert f"`{node.args[0].value}`" in page, (name(path), node.args[0].value)
            for keyword in node.keywords:
                if keyword.arg == "thread_name_prefix" and isinstance(keyword.value, ast.Constant):
                    assert f"`{keyword.value.value}`" in page, (name(path), keyword.value.value)
