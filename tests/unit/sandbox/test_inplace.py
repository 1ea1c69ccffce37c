"""The moves of the in-place mode, with a directory for ``/``."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gazami.errors import SandboxError
from gazami.sandbox.inside import inplace
from gazami.sandbox.inside.inplace import ContainerRoot, change_times, give_back, lend, obstacle, reserve, why_not
from gazami.sandbox.inside.volume_writes import check, look
from gazami.sandbox.kernel.mountinfo import unescaped
from gazami.sandbox.spec import FileMount, PlainRoot, RunSpec

ALL = (1 << 40) - 1


@pytest.fixture
def container(tmp_path: Path) -> ContainerRoot:
    top = tmp_path / "top"
    for name in ("etc", "proc", "kaniko/place", "workspace"):
        (top / name).mkdir(parents=True)
    (top / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (top / ".dockerenv").write_text("")
    top.chmod(0o755)
    return ContainerRoot(str(top / "kaniko/place"), frozenset({"kaniko", "proc", "workspace"}), str(top))


@pytest.fixture
def root(container: ContainerRoot) -> Path:
    """The unpacked root of an image."""
    root = Path(container.folder) / "root-of-image"
    for name in ("bin", "etc", "proc"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    root.chmod(0o711)
    return root


def tree(folder: str | Path) -> set[str]:
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*"))
    return {str(path) for path in paths if "place" not in path.parts}


def test_a_root_is_lent_and_given_back(container: ContainerRoot, root: Path) -> None:
    before, image = tree(container.top), tree(root)
    lend(str(root), container)
    assert tree(container.top) == {"bin", "etc", "etc/passwd", "proc", "kaniko", "workspace"}
    assert Path(container.top).stat().st_mode & 0o777 == 0o711
    (Path(container.top) / "made").write_text("by the command")
    give_back(container)
    assert tree(container.top) == before
    assert tree(root) == {*image, "made"}
    assert Path(container.top).stat().st_mode & 0o777 == 0o755
    give_back(container)  # there is nothing to be done
    assert tree(container.top) == before


def test_changes_of_the_command_are_told_from_the_moves(container: ContainerRoot, root: Path) -> None:
    lend(str(root), container)
    times = change_times(container)
    assert set(times) == {"bin", "etc"}
    (Path(container.top) / "etc").chmod(0o700)
    changed = {name for name, ctime in change_times(container).items() if times.get(name) != ctime}
    assert changed == {"etc"}


def test_a_killed_build_is_undone_by_the_next(container: ContainerRoot, root: Path) -> None:
    before = tree(container.top)
    lend(str(root), container)
    for path in sorted(root.rglob("*"), reverse=True):  # what is left of the killed build's folder is removed first
        path.rmdir()
    root.rmdir()
    give_back(container)
    assert tree(container.top) == before
    assert {path.name for path in Path(container.folder).iterdir()} <= {"lock"}


def test_a_build_that_was_killed_while_it_moved(container: ContainerRoot, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever rename is the last one, everything goes back to where it was."""
    before, image = tree(container.top), tree(root)
    for last in range(4):
        moves = iter(range(last))

        def stop(source: str, target: str, moves: object = moves) -> None:
            if next(moves, None) is None:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            os.rename(source, target)

        monkeypatch.setattr(inplace, "move", stop)
        with pytest.raises(KeyboardInterrupt):
            lend(str(root), container)
        monkeypatch.undo()
        give_back(container)
        assert (tree(container.top), tree(root)) == (before, image), last


def test_what_cannot_be_moved_is_an_error_and_nothing_moves(
    container: ContainerRoot, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, image = tree(container.top), tree(root)

    def refuse(source: str, target: str) -> None:
        if source.endswith("/etc") and "root-of-image" in source:
            raise PermissionError(1, "not permitted", source)
        os.rename(source, target)

    monkeypatch.setattr(inplace, "move", refuse)
    with pytest.raises(SandboxError, match=r"cannot be lent .*/etc: not permitted"):
        lend(str(root), container)
    assert (tree(container.top), tree(root)) == (before, image)


def test_files_of_the_image_at_a_place_that_stays_are_an_obstacle(container: ContainerRoot, root: Path) -> None:
    assert obstacle(str(root), spec(), container) == ""
    (root / "workspace").mkdir()
    assert obstacle(str(root), spec(), container) == ""
    (root / "workspace/file").write_text("")
    assert obstacle(str(root), spec(), container) == "/workspace"


def spec(*argv: str, cwd: str = "/", env: str = "", script: str = "") -> RunSpec:
    scripts = (FileMount("/s", script.encode()),) if script else ()
    return RunSpec(PlainRoot("/"), argv or ("true",), (("A", env),), cwd, mounts=scripts)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (spec(cwd="/workspace/app"), "/workspace"), (spec("sh", "-c", "echo x > /workspace/f"), "/workspace"),
        (spec(env="/bin:/workspace"), "/workspace"), (spec(script="cd /workspace"), "/workspace"),
        (spec("ls", "/workspaces", "/a/workspace", "workspace", "/.workspace"), ""), (spec("ls", "/kanikos"), ""),
    ],
)  # fmt: skip
def test_a_command_that_names_a_place_that_stays_does_not_get_the_root(
    container: ContainerRoot, root: Path, wanted: RunSpec, expected: str
) -> None:
    assert obstacle(str(root), wanted, container) == expected


def test_a_change_on_a_volume_is_seen(container: ContainerRoot) -> None:
    volume = Path(container.top) / "workspace"
    own = (str(volume / "digest"), str(volume / "cache"))
    (volume / "kept").write_text("x")
    before = look([str(volume)], own)
    (volume / "digest").write_text("ours")
    (volume / "cache/deep").mkdir(parents=True)
    (volume / "new").write_text("gone again")
    (volume / "new").unlink()
    with (volume / "kept").open("a") as log:  # of an agent or a runner, which writes on
        log.write("a line")
    os.utime(volume / "kept")
    [said] = check(before, look([str(volume)], own))
    assert said.startswith(f"while the step ran, {volume}/kept was written to")
    before = look([str(volume)], own)
    (volume / "cache/deep/of the builder's own").write_text("x")
    assert check(before, look([str(volume)], own)) == ()
    for change in (
        lambda: (volume / "d").mkdir(),
        lambda: (volume / "kept").chmod(0o600),
        lambda: (volume / "kept").rename(volume / "other"),
        lambda: (volume / "other").unlink(),
    ):
        before = look([str(volume)], own)
        change()
        with pytest.raises(SandboxError, match="on a volume of this container"):
            check(before, look([str(volume)], own))


def test_a_name_that_is_kept_but_not_there_is_the_images(container: ContainerRoot, root: Path) -> None:
    """A cache directory that was not given, and an image or a command that makes one of that name."""
    kept = replace(container, keep=container.keep | {"cache", "made"})
    (root / "cache").mkdir()
    (root / "cache/file").write_text("of the image")
    assert obstacle(str(root), spec(cwd="/cache"), kept) == ""
    before = tree(container.top)
    lend(str(root), kept)
    assert (Path(container.top) / "cache/file").exists() and "cache" in change_times(kept)
    (Path(container.top) / "made").mkdir()
    give_back(kept)
    assert tree(container.top) == before
    assert {"cache/file", "made"} <= tree(root)


def test_names_are_looked_up_by_copies_meanwhile(container: ContainerRoot, root: Path) -> None:
    own = Path(container.top) / "kaniko/resolv.c"
    own.symlink_to("/etc/resolv.conf")
    lend(str(root), container)
    assert not own.is_symlink() and own.read_text() == "nameserver 192.0.2.1\n"
    give_back(container)
    assert own.readlink() == Path("/etc/resolv.conf")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_reasons_against_it(container: ContainerRoot) -> None:
    def reason(*, force: bool = False, prefix: str = "/kaniko", capabilities: int = ALL) -> str:
        return why_not(container, force=force, in_container=True, prefixes=(prefix,), capabilities=capabilities)

    assert "CHOWN" in reason(capabilities=0)
    assert "own Python" in reason(prefix="/usr", force=True)
    assert "not gazami's image" in reason()
    before = tree(container.top)
    assert reason(force=True) == ""
    assert tree(container.top) == before


def test_one_build_at_a_time_has_the_root(container: ContainerRoot, root: Path) -> None:
    """Another build in the container, or `doctor`, must not take the root from under a command."""
    lock = reserve(container)
    lend(str(root), container)
    seen = tree(container.top)
    with pytest.raises(BlockingIOError):
        reserve(container)
    assert tree(container.top) == seen
    os.close(lock)  # it was killed
    os.close(reserve(container))
    assert "bin" not in tree(container.top)


def test_the_state_file_is_plain_json(container: ContainerRoot, root: Path) -> None:
    lend(str(root), container)
    assert json.loads((Path(container.folder) / "root").read_text())["root"] == str(root)


def test_paths_of_mountinfo() -> None:
    assert unescaped(r"/a\040b\011c\134040") == "/a b\tc\\040"
