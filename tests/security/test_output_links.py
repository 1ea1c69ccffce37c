"""Outputs in a folder that somebody else arranged: no file elsewhere is written, whatever lies under the names of ours.

The control writes as it was done before: by the name itself, or by a name that can be guessed and a rename.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gazami.layer.blobs import BlobStore
from gazami.layer.output_file import OutputFolder, output_file, own_directory, write_output

FLAGS = {
    "digest": "--digest-file=OUT", "names": "--image-name-with-digest-file=OUT", "tags": "--image-name-tag-with-digest-file=OUT",
    "iid": "--iidfile=OUT", "metadata": "--metadata-file=OUT", "archive": "--tar-path=OUT",
    "tar": "--output=type=tar,dest=OUT", "oci": "--output=type=oci,dest=OUT", "docker": "--output=type=docker,dest=OUT",
}  # fmt: skip


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    place = tmp_path / "home/victim"
    place.parent.mkdir()
    place.write_text("mine\n")
    return place


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return folder


def built(folder: Path, *words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "gazami", "build", ".", "--no-push", "-t=r.invalid/x", "--state-dir=../state", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=60, **options)  # type: ignore[call-overload,no-any-return]


def only_ours(folder: Path) -> None:
    assert not [name for name in os.listdir(folder) if ".part" in name or name.startswith(".gazami")]


# -- every flag --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLAGS)
def test_a_link_under_the_final_name_is_replaced(name: str, checkout: Path, victim: Path) -> None:
    out = checkout / "out"
    out.symlink_to(victim)
    done = built(checkout, FLAGS[name].replace("OUT", "out"))
    assert done.returncode == 0, done.stderr
    assert victim.read_text() == "mine\n"
    assert stat.S_ISREG(out.lstat().st_mode)
    assert out.stat().st_size > 0
    only_ours(checkout)


@pytest.mark.parametrize("name", FLAGS)
def test_a_dangling_link_makes_no_file(name: str, checkout: Path, victim: Path) -> None:
    (checkout / "out").symlink_to(victim.with_name("new"))
    assert built(checkout, FLAGS[name].replace("OUT", "out")).returncode == 0
    assert not victim.with_name("new").exists()


@pytest.mark.parametrize("guess", ["out.part", ".out.part", "out.tmp"])
@pytest.mark.parametrize("name", FLAGS)
def test_a_name_that_could_be_guessed_is_not_used(name: str, guess: str, checkout: Path, victim: Path) -> None:
    (checkout / guess).symlink_to(victim)
    assert built(checkout, FLAGS[name].replace("OUT", "out")).returncode == 0
    assert victim.read_text() == "mine\n"
    assert (checkout / guess).is_symlink()


def test_the_control_writes_through_links(checkout: Path, victim: Path) -> None:
    (checkout / "out").symlink_to(victim)
    (checkout / "out").write_text("theirs\n")
    assert victim.read_text() == "theirs\n"
    (checkout / "again").symlink_to(victim)
    (checkout / "again.part").symlink_to(victim)
    (checkout / "again.part").write_text("once more\n")
    (checkout / "again.part").replace(checkout / "again")
    assert victim.read_text() == "once more\n"


# -- layouts -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["blobs", "blobs/sha256"])
@pytest.mark.parametrize("word", ["--oci-layout-path=out", "--cache --cache-repo=oci:out --cache-copy-layers"])
def test_a_layout_s_folders_are_no_links(word: str, link: str, checkout: Path, victim: Path) -> None:
    place = checkout / "out" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(victim.parent)
    done = built(checkout, *word.split())
    assert os.listdir(victim.parent) == ["victim"]
    assert b"bug in gazami" not in done.stderr
    if "cache" not in word:  # a cache that cannot be written never fails a build
        assert done.returncode == 1
        assert b"symlink" in done.stderr


@pytest.mark.parametrize("name", ["index.json", "oci-layout", "index.json.part", "oci-layout.part"])
def test_a_layout_s_files_replace_links(name: str, checkout: Path, victim: Path) -> None:
    (checkout / "out").mkdir()
    (checkout / "out" / name).symlink_to(victim)
    assert built(checkout, "--oci-layout-path=out").returncode == 0
    assert victim.read_text() == "mine\n"
    assert json.loads((checkout / "out/index.json").read_text())["manifests"]


def test_blobs_that_are_links_are_replaced(checkout: Path, victim: Path) -> None:
    assert built(checkout, "--oci-layout-path=out", "--reproducible").returncode == 0
    names = os.listdir(checkout / "out/blobs/sha256")
    contents = {name: (checkout / "out/blobs/sha256" / name).read_bytes() for name in names}
    for name in names:
        place = checkout / "out/blobs/sha256" / name
        place.rename(victim.with_name(name))
        place.symlink_to(victim.with_name(name))
    assert built(checkout, "--oci-layout-path=out", "--reproducible").returncode == 0
    for name in names:
        assert not (checkout / "out/blobs/sha256" / name).is_symlink()
        assert (checkout / "out/blobs/sha256" / name).read_bytes() == contents[name]


@pytest.mark.parametrize("link", ["", "sha256"])
def test_a_blob_store_s_folders_are_no_links(link: str, tmp_path: Path, victim: Path) -> None:
    place = tmp_path / "blobs" / link
    place.parent.mkdir(exist_ok=True)
    place.symlink_to(victim.parent)
    with pytest.raises(NotADirectoryError):
        BlobStore(tmp_path / "blobs")


# -- what is written in place ------------------------------------------------------------------------------------------------


def test_standard_output_and_descriptors(checkout: Path) -> None:
    done = built(checkout, "--digest-file=/dev/stdout", "--quiet")
    assert done.stdout.startswith(b"sha256:")
    reader, writer = os.pipe()
    done = built(checkout, f"--digest-file=/dev/fd/{writer}", pass_fds=(writer,))
    os.close(writer)
    assert os.read(reader, 100).startswith(b"sha256:")
    os.close(reader)


def test_a_pipe(checkout: Path) -> None:
    os.mkfifo(checkout / "out")
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append((checkout / "out").read_text()))
    thread.start()
    assert built(checkout, "--digest-file=out").returncode == 0
    thread.join()
    assert seen[0].startswith("sha256:")
    assert stat.S_ISFIFO((checkout / "out").lstat().st_mode)


@contextmanager
def mounted(source: Path, target: Path) -> Iterator[None]:
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
@pytest.mark.parametrize("name", ["digest", "archive"])
def test_a_file_that_is_mounted(name: str, checkout: Path, tmp_path: Path) -> None:
    """A pod's /dev/termination-log: nothing can be moved over it."""
    for place in (tmp_path / "log", checkout / "out"):
        place.write_text("something longer than a digest " * 1000)
    with mounted(tmp_path / "log", checkout / "out"):
        done = built(checkout, FLAGS[name].replace("OUT", "out"))
        assert done.returncode == 0, done.stderr
    if name == "digest":
        assert (tmp_path / "log").read_text().startswith("sha256:")
        assert len((tmp_path / "log").read_text()) == 71
    else:
        assert tarfile.is_tarfile(tmp_path / "log")
    only_ours(checkout)


def as_nobody(work: Callable[[], None]) -> bool:
    """Whether some work succeeds as a user who may do nothing special."""
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(OSError):
            os.setgroups([])
            os.setegid(65534)
            os.seteuid(65534)
            work()
            status = 0
        os._exit(status)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_file_in_a_folder_that_takes_no_new_ones(victim: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "log").write_text("old and longer")
        os.chown(folder / "log", 65534, 65534)
        (folder / "target").write_text("mine")
        os.chown(folder / "target", 65534, 65534)
        (folder / "link").symlink_to("target")
        assert as_nobody(lambda: write_output(folder / "log", b"new"))
        assert (folder / "log").read_text() == "new"
        assert not as_nobody(lambda: write_output(folder / "link", b"new"))
        assert (folder / "target").read_text() == "mine"
        assert not as_nobody(lambda: write_output(folder / "other", b"new"))


# -- modes -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o027])
def test_modes_respect_the_umask(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_output(tmp_path / "a", b"x")
        write_output(tmp_path / "b", b"x", 0o644)
        write_output(tmp_path / "c", b"x", 0o600)
        (tmp_path / "d").write_text("")
        (tmp_path / "d").chmod(0o640)
        write_output(tmp_path / "d", b"x", 0o644, like_the_old=True)
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "abcd"]
    assert modes == [0o666 & ~umask, 0o644 & ~umask, 0o600, 0o640]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    with pytest.raises(RuntimeError), output_file(tmp_path / "out") as file:
        file.write(b"half")
        raise RuntimeError
    assert (tmp_path / "out").read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_hard_links_are_left_alone(tmp_path: Path, victim: Path) -> None:
    (tmp_path / "out").hardlink_to(victim)
    write_output(tmp_path / "out", b"ours", like_the_old=True)
    assert victim.read_text() == "mine\n"


def test_a_folder_stays_the_one_that_was_opened(tmp_path: Path, victim: Path) -> None:
    own_directory(tmp_path / "store")
    with OutputFolder(tmp_path / "store", follow=False) as folder:
        (tmp_path / "store").rename(tmp_path / "moved")
        (tmp_path / "store").symlink_to(victim.parent)
        folder.put("victim", b"ours")
    assert victim.read_text() == "mine\n"
    assert (tmp_path / "moved/victim").read_text() == "ours"
    with pytest.raises(OSError, match=r"symbolic|directory"):
        OutputFolder(tmp_path / "store", follow=False)


def test_a_directory_under_the_name_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(IsADirectoryError):
        write_output(tmp_path / "out", b"x")


@pytest.mark.parametrize("secret", ["config.json"])
def test_login_replaces_a_link(secret: str, tmp_path: Path, victim: Path) -> None:
    from gazami.cli.commands.stored_credentials import _write

    (tmp_path / secret).symlink_to(victim)
    _write(tmp_path / secret, {"auths": {}})
    assert victim.read_text() == "mine\n"
    assert stat.S_IMODE((tmp_path / secret).lstat().st_mode) == 0o600
