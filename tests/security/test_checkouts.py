"""A checkout of somebody else's does not make a build read, or print lines of, the files of who builds it.

Every way in which a Dockerfile or an ignore file can lead out, in every kind of context and every command that reads one. The
control is the same text as a file of the checkout: there its lines are in the error.
"""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.gitserver import git_server

from gazami.builder.inputs.dockerfile import MAX_DOCKERFILE, find_dockerfile, find_ignore
from gazami.context.confined import read_inside
from gazami.errors import ContextError, GazamiError
from gazami.layer.beneath import open_content
from gazami.layer.entry import FileContent
from gazami.rootfs.folder import FolderTree

CANARY = "glpat-CANARY"
SECRET = f"{CANARY} [\n"
"""Neither a Dockerfile nor an ignore file, so that the error shows the line."""

NAMES = ("Dockerfile", ".dockerignore", "Dockerfile.dockerignore")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/token").write_text(SECRET)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    return folder


def relative_link(place: Path, secret: Path) -> None:
    place.symlink_to(os.path.relpath(secret, place.parent))


def absolute_link(place: Path, secret: Path) -> None:
    place.symlink_to(secret)


def linked_directory(place: Path, secret: Path) -> None:
    (place.parent / "linked").symlink_to(secret.parent)
    place.symlink_to(f"linked/{secret.name}")


def chain(place: Path, secret: Path) -> None:
    (place.parent / "one").symlink_to("sub/two")
    (place.parent / "sub/two").symlink_to(os.path.relpath(secret, place.parent / "sub"))
    place.symlink_to("one")


def through_proc(place: Path, secret: Path) -> None:
    place.symlink_to(f"/proc/self/root{secret}")


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "relative": relative_link, "absolute": absolute_link, "directory": linked_directory, "chain": chain, "proc": through_proc,
}  # fmt: skip


def led(folder: Path, name: str, way: str) -> None:
    place = folder / name
    place.unlink(missing_ok=True)
    WAYS[way](place, folder.parent / "home/token")


def gazami(*words: str, cwd: Path, data: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "gazami", *words], cwd=cwd, input=data, capture_output=True, check=False, timeout=60
    )


# -- commands ----------------------------------------------------------------------------------------------------------------


def commands(folder: Path) -> dict[str, tuple[Path, list[str]]]:
    state = f"--state-dir={folder.parent / 'state'}"
    build = ["build", "--no-push", state]
    return {
        "build": (folder.parent, [*build, str(folder)]),
        "build here": (folder, [*build, "."]),
        "named": (folder, [*build, ".", "-f", "Dockerfile"]),
        "named by its path": (folder.parent, [*build, str(folder), "-f", str(folder / "Dockerfile")]),
        "named from above": (folder / "sub", [*build, "..", "-f", "../Dockerfile"]),
        "of a folder below": (folder, [*build, "sub", "-f", "Dockerfile"]),
        "dir": (folder.parent, [*build, f"--context=dir://{folder}"]),
        "sub path": (folder.parent, [*build, f"--context={folder.parent}", "--context-sub-path=checkout"]),
        "check": (folder, ["build", "--check", "."]),
        "outline": (folder, ["build", "--call=outline", "."]),
        "targets": (folder, ["build", "--call=targets", "."]),
        "dryrun": (folder, [*build, ".", "--dryrun"]),
        "lint": (folder, ["lint"]),
        "lint a file": (folder, ["lint", "./Dockerfile"]),
        "lint from elsewhere": (folder.parent, ["lint", f"--context={folder}", f"{folder}/Dockerfile"]),
        "submit": (folder, ["submit", "--kubernetes", "--print", "--executor-image=x", "-t=r.invalid/x", state, "."]),
    }


ALL = tuple(commands(Path("/x/y")))
WITHOUT_IGNORE = ("outline", "targets", "of a folder below")
"""Commands for which the context's ignore file says nothing."""


@pytest.mark.parametrize("command", ALL)
@pytest.mark.parametrize("name", NAMES)
def test_no_command_follows_a_link_out(name: str, command: str, checkout: Path) -> None:
    led(checkout, name, "relative")
    place, words = commands(checkout)[command]
    done = gazami(*words, cwd=place)
    assert CANARY.encode() not in done.stdout + done.stderr
    assert b"bug in gazami" not in done.stderr
    if not (name == ".dockerignore" and command in WITHOUT_IGNORE):
        assert done.returncode == 1
        assert b"leads out of" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ALL)
def test_the_control_prints_the_line(command: str, checkout: Path) -> None:
    (checkout / "Dockerfile").write_text(SECRET)
    place, words = commands(checkout)[command]
    done = gazami(*words, cwd=place)
    assert CANARY.encode() in done.stdout + done.stderr


# -- ways out ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_no_way_leads_out(name: str, way: str, checkout: Path) -> None:
    led(checkout, name, way)
    assert (checkout / name).read_text() == SECRET  # the control: the link leads there
    with pytest.raises(ContextError, match="leads out"):
        find_ignore(find_dockerfile("Dockerfile", checkout, given=False)[1], checkout)


@pytest.mark.parametrize("name", NAMES)
def test_a_dangling_link_out_is_refused_too(name: str, checkout: Path) -> None:
    (checkout / name).unlink(missing_ok=True)
    (checkout / name).symlink_to("../home/nothing")
    with pytest.raises(ContextError, match="leads out"):
        find_ignore(find_dockerfile("Dockerfile", checkout, given=False)[1], checkout)


@pytest.mark.parametrize("name", NAMES)
def test_links_inside_are_followed(name: str, checkout: Path) -> None:
    text = "FROM scratch\n"
    (checkout / name).unlink(missing_ok=True)
    (checkout / "sub/real").write_text(text)
    (checkout / "by").symlink_to("sub")
    (checkout / name).symlink_to("by/real")
    source, path = find_dockerfile("Dockerfile", checkout, given=False)
    assert source.text
    assert find_ignore(path, checkout).excludes("FROM scratch") is (name != "Dockerfile")
    (checkout / name).unlink()
    (checkout / name).symlink_to(checkout / "sub/real")  # the folder's own path
    find_ignore(find_dockerfile("Dockerfile", checkout, given=False)[1], checkout)


def test_what_the_user_names_elsewhere_is_the_user_s_own(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = checkout.parent / "own"
    own.mkdir()
    (own / "real").write_text("FROM scratch\n")
    (own / "link").symlink_to("real")
    (own.parent / "away").symlink_to(own / "link")
    for place in (own / "link", own.parent / "away"):
        assert find_dockerfile(str(place), checkout)[0].text == "FROM scratch\n"
    monkeypatch.chdir(checkout)
    assert find_dockerfile("../own/real", checkout)[0].text == "FROM scratch\n"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_is_not_read(name: str, checkout: Path) -> None:
    def look() -> None:
        find_ignore(find_dockerfile("Dockerfile", checkout, given=False)[1], checkout)

    place = checkout / name
    place.unlink(missing_ok=True)
    os.mkfifo(place)
    with pytest.raises(ContextError, match="not a regular file"):
        look()
    place.unlink()
    place.symlink_to("/dev/zero")
    with pytest.raises(ContextError, match="leads out"):
        look()
    place.unlink()
    place.symlink_to(place.name)
    with pytest.raises(ContextError, match="symlink loop"):
        look()
    place.unlink()
    with place.open("wb") as file:
        file.truncate(MAX_DOCKERFILE + 1)
    with pytest.raises(ContextError, match="larger than"):
        look()
    place.unlink()
    place.mkdir()
    if name == "Dockerfile":
        with pytest.raises(ContextError, match="no Dockerfile in"):
            look()
    else:
        look()  # as if there were none


# -- contexts that are fetched -----------------------------------------------------------------------------------------------


def tarred(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.add(folder, arcname=".")
    return buffer.getvalue()


def words_of(kind: str, folder: Path, server: str) -> tuple[list[str], bytes | None]:
    if kind == "stdin":
        return ["--context=tar://stdin"], tarred(folder)
    if kind == "tar":
        (folder.parent / "context.tar.gz").write_bytes(tarred(folder))
        return [f"--context=tar://{folder.parent / 'context.tar.gz'}"], None
    return [f"--context={server}"], None


@pytest.mark.parametrize("kind", ["stdin", "tar", "git"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["relative", "absolute"])
def test_no_fetched_context_leads_out(way: str, name: str, kind: str, checkout: Path, tmp_path: Path) -> None:
    secret = tmp_path / "home/token"
    place = checkout / name
    place.unlink(missing_ok=True)
    place.symlink_to("../../home/token" if way == "relative" else secret)
    (tmp_path / "state").mkdir()  # where a fetched context lies: state/build-…/context
    (tmp_path / "state/home").symlink_to(tmp_path / "home")
    with git_server(tmp_path / "git", tls=False) as server:
        if kind == "git":
            run = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(checkout)]
            for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
                subprocess.run([*run, *words], check=True)
            subprocess.run(["git", "clone", "-q", "--bare", str(checkout), str(server.root / "x.git")], check=True)
        words, data = words_of(kind, checkout, f"http://{server.host}/x.git")
        done = gazami("build", *words, "--no-push", f"--state-dir={tmp_path / 'state'}", cwd=tmp_path, data=data)
    assert done.returncode == 1
    assert CANARY.encode() not in done.stdout + done.stderr
    assert b"leads out of" in done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_a_named_context_s_ignore_file(way: str, checkout: Path, tmp_path: Path) -> None:
    led(checkout, ".dockerignore", way)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/Dockerfile").write_text("FROM scratch\nCOPY --from=other . /\n")
    done = gazami("build", "own", f"--build-context=other={checkout}", "--no-push", "--state-dir=state", cwd=tmp_path)
    assert done.returncode == 1
    assert CANARY.encode() not in done.stdout + done.stderr
    assert b"leads out of" in done.stderr


# -- swaps between listing and reading ---------------------------------------------------------------------------------------


def only(tree: FolderTree, path: str) -> FileContent:
    content = tree.resolve(path).node.content  # type: ignore[union-attr]
    assert isinstance(content, FileContent)
    return content


def test_a_file_that_is_exchanged_is_not_read(checkout: Path) -> None:
    (checkout / "sub/file").write_text("harmless")
    content = only(FolderTree(str(checkout)), "sub/file")
    with open_content(content) as file:
        assert file.read() == b"harmless"
    (checkout / "sub/file").unlink()
    (checkout / "sub/file").symlink_to(checkout.parent / "home/token")
    assert (checkout / "sub/file").read_text() == SECRET  # the control: by its path the other one would be read
    with pytest.raises(OSError, match=r".*"):
        open_content(content)


def test_a_directory_on_the_way_that_is_exchanged(checkout: Path) -> None:
    (checkout / "sub/token").write_text("harmless")
    tree = FolderTree(str(checkout))
    content = only(tree, "sub/token")
    (checkout / "sub").rename(checkout / "old")
    (checkout / "sub").symlink_to(checkout.parent / "home")
    assert (checkout / "sub/token").read_text() == SECRET
    with pytest.raises(OSError, match=r".*"):
        open_content(content)


def test_a_directory_that_is_exchanged_before_it_is_listed(checkout: Path) -> None:
    (checkout / "sub/own").write_text("harmless")
    tree = FolderTree(str(checkout))
    assert "sub" in tree.children_of(tree.root)
    (checkout / "sub").rename(checkout / "old")
    (checkout / "sub").symlink_to(checkout.parent / "home")
    assert os.listdir(checkout / "sub") == ["token"]
    with pytest.raises(ContextError, match="replaced"):
        tree.resolve("sub/token")


def test_the_dockerfile_is_never_read_while_it_is_exchanged(checkout: Path) -> None:
    place, secret = checkout / "Dockerfile", checkout.parent / "home/token"
    (checkout / "good").write_text("FROM scratch\n")
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            for target in ("good", secret):
                new = checkout / "new"
                new.unlink(missing_ok=True)
                new.symlink_to(target)
                new.rename(place)

    thread = threading.Thread(target=exchange)
    thread.start()
    seen = set()
    leaked = False
    until = time.monotonic() + 60
    try:
        for attempt in itertools.count():
            if attempt >= 1500 and (leaked or time.monotonic() > until):  # two threads may run in step for long
                break
            leaked = leaked or SECRET in place.read_text()
            try:
                seen.add(read_inside(str(checkout), str(place), 1000))
            except GazamiError:
                seen.add(None)
    finally:
        over.set()
        thread.join()
    assert leaked  # the control
    assert all(data is None or SECRET.encode() not in data for data in seen)
