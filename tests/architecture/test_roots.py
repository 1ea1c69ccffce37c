"""Files of a root that a step had are opened by descriptor, or by a process that is inside: nowhere else by a joined path.

``rootfs.inside`` makes a handler see nothing but the root; ``layer.beneath`` and ``sandbox.inside.paths`` open below a directory
without following links. In every other module that deals with such roots, a call that takes a path may not be given one
that was put together.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import gazami

SOURCE = Path(gazami.__file__).parent
INSIDE = ("rootfs/unpack.py", "rootfs/snapshot.py")
"""What the fork server calls in a process that has entered the root."""
DEALING = (
    "rootfs/directories.py",
    "sandbox/inside/plain_root.py",
    "sandbox/inside/prepared_root.py",
    "sandbox/inside/mounted_root.py",
    "sandbox/inside/targets.py",
    "sandbox/inside/kernel_files.py",
    "sandbox/inside/moving.py",
    "sandbox/inside/hidden.py",
    "sandbox/inside/step.py",
    "sandbox/inside/init.py",
    "builder/stages/root.py",
    "builder/stages/running.py",
    "builder/stages/mounting.py",
    "builder/cached/cache_mounts.py",
    "builder/stages/copying.py",
)
CALLS = {"open", "os.open", "os.listdir", "os.scandir", "os.lstat", "os.stat", "os.unlink", "os.rename", "os.mkdir", "os.chmod",
         "os.chown", "os.readlink", "os.setxattr", "os.getxattr", "os.utime", "os.link", "os.symlink", "os.rmdir", "os.walk",
         "shutil.rmtree", "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.move"}  # fmt: skip

TWO_PATHS = {"os.rename", "os.link", "os.symlink", "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.move"}


def joined_paths(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls with a path that is put together at the call, and no descriptor that it is relative to."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in CALLS and node.args):
            continue
        if any(keyword.arg in ("dir_fd", "src_dir_fd", "dst_dir_fd") for keyword in node.keywords):
            continue
        paths = node.args[: 2 if ast.unparse(node.func) in TWO_PATHS else 1]
        if any(isinstance(each, ast.JoinedStr | ast.BinOp) and not is_descriptor(each) for each in paths):
            yield node


def is_descriptor(path: ast.AST) -> bool:
    """``/proc/self/fd/…``, or a file of the kernel's or of the machine's own /dev."""
    return ast.unparse(path).lstrip("f").strip("'\"").startswith(("/proc/", "/dev/", "/sys/"))


def test_the_check_sees_a_joined_path() -> None:
    """The control: an open below a root, as it was written before."""
    tree = ast.parse("def f(root, path):\n    os.open(f'{root}/{path}', 0)\n    os.lstat(root + '/' + path)\n")
    assert len(list(joined_paths(tree))) == 2


@pytest.mark.parametrize("module", DEALING)
def test_nothing_below_a_root_is_opened_by_a_joined_path(module: str) -> None:
    found = [f"{node.lineno}: {ast.unparse(node)}" for node in joined_paths(ast.parse((SOURCE / module).read_text()))]
    assert found == []


def handlers() -> set[tuple[str, str]]:
    """The functions to which the requests of a sandbox hand their work: ``(module, name)``."""
    tree = ast.parse((SOURCE / "rootfs/requests.py").read_text())
    runs = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) and each.name == "run"]
    calls = [each for run in runs for each in ast.walk(run) if isinstance(each, ast.Call) and ast.unparse(each.func) == "_function"]
    assert len(calls) == len(runs) >= 3
    return {(ast.literal_eval(each.args[0]), ast.literal_eval(each.args[1])) for each in calls}


def test_every_handler_that_reads_a_root_enters_it_first() -> None:
    found = handlers()
    assert found == {("gazami.rootfs.unpack", "unpack"), ("gazami.rootfs.snapshot", "upper"), ("gazami.rootfs.snapshot", "scan")}
    for module, function in found:
        path = SOURCE / (module.removeprefix("gazami.").replace(".", "/") + ".py")
        assert path.relative_to(SOURCE).as_posix() in INSIDE
        tree = ast.parse(path.read_text())
        body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
        assert "inside.enter(" in ast.unparse(body), f"{module}:{function}"


def test_the_modules_of_this_test_are_there() -> None:
    assert all((SOURCE / module).exists() for module in (*DEALING, *INSIDE, "rootfs/inside.py", "layer/beneath.py"))
