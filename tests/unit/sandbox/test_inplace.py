"""The moves of the in-place mode, with a directory for ``/``."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gazami.errors import SandboxError
from gazami.sandbox.inside import inplace
from gazami.sandbox.inside.inplace import Ground, change_times, give_back, lend, obstacle, reserve, why_not
from gazami.sandbox.inside.volume_writes import check, look
from gazami.sandbox.kernel.mountinfo import unescaped
from gazami.sandbox.spec import FileMount, PlainRoot, RunSpec

ALL = (1 << 40) - 1


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    top = tmp_path / "top"
    for name in ("etc", "proc", "kaniko/place", "workspace"):
        (top / name).mkdir(parents=True)
    (top / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (top / ".dockerenv").write_text("")
    top.chmod(0o755)
    return Ground(str(top / "kaniko/place"), frozenset({"kaniko", "proc", "workspace"}), str(top))


@pytest.fixture
def root(ground: Ground) -> Path:
    """The unpacked root of an image."""
    root = Path(ground.place) / "root-of-image"
    for name in ("bin", "etc", "proc"):
        (root / name).mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\n")
    root.chmod(0o711)
    return root


def tree(folder: str | Path) -> set[str]:
    paths = (path.relative_to(folder) for path in Path(folder).rglob("*"))
    return {str(path) for path in paths if "place" not in path.parts}


def test_a_root_is_lent_and_given_back(ground: Ground, root: Path) -> None:
    before, image = tree(ground.top), tree(root)
    lend(str(root), ground)
    assert tree(ground.top) == {"bin", "etc", "etc/passwd", "proc", "kaniko", "workspace"}
    assert Path(ground.top).stat().st_mode & 0o777 == 0o711
    (Path(ground.top) / "made").write_text("by the command")
    give_back(ground)
    assert tree(ground.top) == before
    assert tree(root) == {*image, "made"}
    assert Path(ground.top).stat().st_mode & 0o777 == 0o755
    give_back(ground)  # there is nothing to be done
    assert tree(ground.top) == before


def test_changes_of_the_command_are_told_from_the_moves(ground: Ground, root: Path) -> None:
    lend(str(root), ground)
    times = change_times(ground)
    assert set(times) == {"bin", "etc"}
    (Path(ground.top) / "etc").chmod(0o700)
    changed = {name for name, ctime in change_times(ground).items() if times.get(name) != ctime}
    assert changed == {"etc"}


def test_a_killed_build_is_undone_by_the_next(ground: Ground, root: Path) -> None:
    before = tree(ground.top)
    lend(str(root), ground)
    for path in sorted(root.rglob("*"), reverse=True):  # what is left of the killed build's folder is removed first
        path.rmdir()
    root.rmdir()
    give_back(ground)
    assert tree(ground.top) == before
    assert {path.name for path in Path(ground.place).iterdir()} <= {"lock"}


def test_a_build_that_was_killed_while_it_moved(ground: Ground, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever rename is the last one, everything goes back to where it was."""
    before, image = tree(ground.top), tree(root)
    for last in range(4):
        moves = iter(range(last))

        def stop(source: str, target: str, moves: object = moves) -> None:
            if next(moves, None) is None:  # type: ignore[call-overload]
                raise KeyboardInterrupt
            os.rename(source, target)

        monkeypatch.setattr(inplace, "move", stop)
        with pytest.raises(KeyboardInterrupt):
            lend(str(root), ground)
        monkeypatch.undo()
        give_back(ground)
        assert (tree(ground.top), tree(root)) == (before, image), last


def test_what_cannot_be_moved_is_an_error_and_nothing_moves(
    ground: Ground, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, image = tree(ground.top), tree(root)

    def refuse(source: str, target: str) -> None:
        if source.endswith("/etc") and "root-of-image" in source:
            raise PermissionError(1, "not permitted", source)
        os.rename(source, target)

    monkeypatch.setattr(inplace, "move", refuse)
    with pytest.raises(SandboxError, match=r"cannot be lent .*/etc: not permitted"):
        lend(str(root), ground)
    assert (tree(ground.top), tree(root)) == (before, image)


def test_files_of_the_image_at_a_place_that_stays_are_an_obstacle(ground: Ground, root: Path) -> None:
    assert obstacle(str(root), spec(), ground) == ""
    (root / "workspace").mkdir()
    assert obstacle(str(root), spec(), ground) == ""
    (root / "workspace/file").write_text("")
    assert obstacle(str(root), spec(), ground) == "/workspace"


def spec(*argv: str, cwd: str = "/", env: str = "", script: str = "") -> RunSpec:
    scripts = (FileMount("/s", base64.b64encode(script.encode()).decode()),) if script else ()
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
    ground: Ground, root: Path, wanted: RunSpec, expected: str
) -> None:
    assert obstacle(str(root), wanted, ground) == expected


def test_a_change_on_a_volume_is_seen(ground: Ground) -> None:
    volume = Path(ground.top) / "workspace"
    own = (str(volume / "digest"), str(volume / "cache"))
    (volume / "kept").write_text("x")
    before = look([str(volume)], own)
    (volume / "digest").write_text("ours")
    (volume / "cache/deep").mkdir(parents=True)
    (volume / "new").write_text("gone again")
    (volume / "new").unlink()
    check(before, look([str(volume)], own))
    for change in (
        lambda: (volume / "kept").write_text("y"),
        lambda: (volume / "d").mkdir(),
        lambda: (volume / "kept").unlink(),
    ):
        before = look([str(volume)], own)
        change()
        with pytest.raises(SandboxError, match="on a volume of this container"):
            check(before, look([str(volume)], own))


def test_a_name_that_is_kept_but_not_there_is_the_images(ground: Ground, root: Path) -> None:
    """A cache directory that was not given, and an image or a command that makes one of that name."""
    kept = replace(ground, keep=ground.keep | {"cache", "made"})
    (root / "cache").mkdir()
    (root / "cache/file").write_text("of the image")
    assert obstacle(str(root), spec(cwd="/cache"), kept) == ""
    before = tree(ground.top)
    lend(str(root), kept)
    assert (Path(ground.top) / "cache/file").exists() and "cache" in change_times(kept)
    (Path(ground.top) / "made").mkdir()
    give_back(kept)
    assert tree(ground.top) == before
    assert {"cache/file", "made"} <= tree(root)


def test_names_are_looked_up_by_copies_meanwhile(ground: Ground, root: Path) -> None:
    own = Path(ground.top) / "kaniko/resolv.c"
    own.symlink_to("/etc/resolv.conf")
    lend(str(root), ground)
    assert not own.is_symlink() and own.read_text() == "nameserver 192.0.2.1\n"
    give_back(ground)
    assert own.readlink() == Path("/etc/resolv.conf")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_reasons_against_it(ground: Ground) -> None:
    def reason(*, force: bool = False, prefix: str = "/kaniko", capabilities: int = ALL) -> str:
        return why_not(ground, force=force, in_container=True, prefixes=(prefix,), capabilities=capabilities)

    assert "CHOWN" in reason(capabilities=0)
    assert "own Python" in reason(prefix="/usr", force=True)
    assert "not gazami's image" in reason()
    before = tree(ground.top)
    assert reason(force=True) == ""
    assert tree(ground.top) == before


def test_one_build_at_a_time_has_the_root(ground: Ground, root: Path) -> None:
    """Another build in the container, or `doctor`, must not take the root from under a command."""
    lock = reserve(ground)
    lend(str(root), ground)
    seen = tree(ground.top)
    with pytest.raises(BlockingIOError):
        reserve(ground)
    assert tree(ground.top) == seen
    os.close(lock)  # it was killed
    os.close(reserve(ground))
    assert "bin" not in tree(ground.top)


def test_the_state_file_is_plain_json(ground: Ground, root: Path) -> None:
    lend(str(root), ground)
    assert json.loads((Path(ground.place) / "root").read_text())["root"] == str(root)


def test_paths_of_mountinfo() -> None:
    assert unescaped(r"/a\040b\011c\134040") == "/a b\tc\\040"
