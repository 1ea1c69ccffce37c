"""Whatever walks a root that a step had stays in it, although names are exchanged all the time."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import Bench

from gazami.errors import ArchiveError, GazamiError
from gazami.layer import beneath
from gazami.layer.entry import Entry, FileContent, Kind
from gazami.layer.tar_writer import write_members
from gazami.rootfs.directories import RemoveTrees
from gazami.rootfs.requests import Owners, ScanRequest, UnpackRequest, UpperRequest
from gazami.sandbox.inside.hidden import HiddenFiles
from gazami.sandbox.spec import BindMount, TmpfsMount

CANARY = b"CANARY-CREDENTIAL"


@contextlib.contextmanager
def exchanging(directory: Path, target: Path) -> Iterator[None]:
    """A process of a step that lives on: ``directory`` and a symlink to ``target`` change places without end."""
    other = directory.with_name(directory.name + ".other")
    other.symlink_to(target)
    hidden = directory.with_name(directory.name + ".hidden")
    done = threading.Event()

    def work() -> None:
        with contextlib.suppress(OSError):  # somebody has removed it
            while not done.is_set():
                os.rename(directory, hidden)
                os.rename(other, directory)
                os.rename(directory, other)
                os.rename(hidden, directory)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def builders(tmp_path: Path) -> Path:
    folder = tmp_path / "builders"
    folder.mkdir()
    for number in range(50):
        (folder / f"f{number}").write_bytes(CANARY + bytes(7))
    return folder


def hostile(place: Path) -> Path:
    """A root with a directory of files whose names a builder's directory has too."""
    root = place / f"hostile-{os.urandom(3).hex()}"
    (root / "d").mkdir(parents=True)
    for number in range(50):
        (root / "d" / f"f{number}").write_bytes(bytes(len(CANARY) + 7))
    return root


FUNCTIONS = ["upper", "scan"]


def snapshot_of(mode: Bench, root: Path, function: str, listing: str) -> UpperRequest | ScanRequest:
    owners = Owners((0, 0)) if mode.sandbox.choice.mode.records_owners else None
    if function == "upper":
        return UpperRequest(str(root), owners=owners)
    return ScanRequest(str(root), str(mode.place / listing), owners=owners)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_snapshot_holds_no_file_from_outside(mode: Bench, builders: Path, function: str) -> None:
    root = hostile(mode.place)
    with exchanging(root / "d", builders):
        for attempt in range(30):
            out = mode.place / f"snapshot-{root.name}.tar"
            request = snapshot_of(mode, root, function, f"{root.name}-{attempt}.list")
            try:
                with out.open("wb") as sink:
                    mode.sandbox.call(request, output_fd=sink.fileno())
            except GazamiError as error:  # the exchange was seen, and nothing else went wrong
                assert "changed during" in error.message or "replaced while" in error.message, error.message
            assert CANARY not in out.read_bytes()


def test_control_a_walk_by_path_reads_a_file_from_outside(tmp_path: Path, builders: Path) -> None:
    root = hostile(tmp_path)
    with exchanging(root / "d", builders):
        for _ in range(20000):
            with contextlib.suppress(OSError):
                names = os.listdir(root / "d")
                if any((root / "d" / name).read_bytes().startswith(CANARY) for name in names[:3]):
                    return
    raise AssertionError("the exchange never hit, so the tests above prove nothing")


def archive(folder: str, count: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for number in range(count):
            info = tarfile.TarInfo(f"{folder}/new{number}")
            info.size = 4
            tar.addfile(info, io.BytesIO(b"evil"))
    return out.getvalue()


def test_unpacking_writes_nothing_outside(mode: Bench, builders: Path, tmp_path: Path) -> None:
    root = hostile(mode.place)
    layer = tmp_path / "layer.tar"
    layer.write_bytes(archive("d", 300))
    with exchanging(root / "d", builders):
        for _ in range(10):
            request = UnpackRequest(str(root), userxattr=mode.sandbox.choice.userxattr)
            with layer.open("rb") as source, contextlib.suppress(GazamiError, OSError):
                mode.sandbox.call(request, input_fd=source.fileno())
    # that it does unpack is seen in every other test; here names are missing at times
    assert [name for name in os.listdir(builders) if name.startswith("new")] == []


def test_control_writing_by_path_writes_outside(tmp_path: Path, builders: Path) -> None:
    root = hostile(tmp_path)
    with exchanging(root / "d", builders):
        for number in range(20000):
            with contextlib.suppress(OSError):
                (root / "d" / f"new{number}").write_text("evil")
            if any(name.startswith("new") for name in os.listdir(builders)):
                return
    raise AssertionError("the exchange never hit, so the test above proves nothing")


def test_removal_removes_nothing_outside(mode: Bench, builders: Path) -> None:
    for _ in range(10):
        root = hostile(mode.place)
        with exchanging(root / "d", builders), contextlib.suppress(GazamiError, OSError):
            mode.sandbox.call(RemoveTrees((str(root / "d"),)), cleanup=True)
            (root / "d").mkdir(exist_ok=True)
        beneath.remove_tree(str(root))
    assert len(os.listdir(builders)) == 50


def test_an_unpacked_file_is_read_by_descriptor(tmp_path: Path, builders: Path) -> None:
    """COPY --from of files that lie unpacked."""
    root = hostile(tmp_path)
    entry = Entry("f1", Kind.FILE, 0o644, size=len(CANARY))
    with exchanging(root / "d", builders):
        for _ in range(2000):
            with contextlib.suppress(GazamiError):
                content = FileContent("d/f1", beneath=str(root))
                assert CANARY not in b"".join(write_members([(entry, content)]))


def test_another_file_in_the_place_of_a_listed_one_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"listed")
    info = place.stat()
    other = tmp_path / "other"
    other.write_bytes(CANARY)
    other.rename(place)
    content = FileContent(str(place), identity=(info.st_dev, info.st_ino))
    with pytest.raises(GazamiError, match="replaced"):
        b"".join(write_members([(Entry("f", Kind.FILE, 0o644, size=6), content)]))


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_only_a_regular_file_is_read(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "file"
    if kind == "link":
        (tmp_path / "secret").write_bytes(CANARY)
        place.symlink_to("secret")
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    with pytest.raises(GazamiError, match="replaced"):
        b"".join(write_members([(Entry("f", Kind.FILE, 0o644, size=6), FileContent(str(place)))]))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("depth", [1500, 3000])
def test_very_deep_directories_of_a_step_are_a_layer_or_an_error(mode: Bench, function: str, depth: int) -> None:
    root = mode.place / f"deep-{os.urandom(3).hex()}"
    root.mkdir()
    here = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_PATH | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    out = mode.place / f"{root.name}.tar"
    request = snapshot_of(mode, root, function, f"{root.name}.list")
    try:
        with out.open("wb") as sink:
            mode.sandbox.call(request, output_fd=sink.fileno())
        assert depth < 2048 and out.stat().st_size > depth * 512
    except ArchiveError as error:
        assert depth > 2047 and "longer than Linux takes" in error.message
    finally:
        beneath.remove_tree(str(root))


def test_very_deep_directories_are_removed(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_PATH | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    beneath.remove_tree(str(tmp_path / "d"))
    assert os.listdir(tmp_path) == []


# -- cache mounts ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(mode: Bench) -> Path:
    folder = mode.place / f"cache-{os.urandom(3).hex()}"
    folder.mkdir(mode=0o755)
    (folder / "kept").write_text("kept")
    return folder


def test_a_cache_mount_comes_back(mode: Bench, cache: Path) -> None:
    mode.sh("echo new > /c/new", mounts=(BindMount(str(cache), "/c", readonly=False, movable=True),))
    assert sorted(os.listdir(cache)) == ["kept", "new"]


@pytest.mark.parametrize(
    "swap", ["mv /c /gone; ln -s {there} /c", "mv /c /gone; mkdir /c; echo evil > /c/evil", "mv /c /gone; echo > /c"]
)
def test_what_a_step_puts_in_the_place_of_a_cache_mount_stays_out(mode: Bench, cache: Path, builders: Path, swap: str) -> None:
    root = mode.root()
    mode.sh(swap.format(there=builders), root=root, mounts=(BindMount(str(cache), "/c", readonly=False, movable=True),))
    assert not cache.is_symlink()
    assert not os.path.lexists(root[1] / "c")
    if mode.sandbox.choice.mode.mounts:  # a mount point cannot be moved: the step has written into its cache
        assert (cache / "kept").exists()
    else:
        assert not (cache / "evil").exists()


def test_what_has_no_place_to_go_back_to_is_not_in_the_way_of_the_next_step(mode: Bench) -> None:
    root = mode.root()
    mode.sh("rm -rf /a; true", root=root, mounts=(TmpfsMount("/a/b"),))
    if not mode.overlay:
        assert mode.sh("true", root=root, mounts=(TmpfsMount("/c/d"),)).code == 0
        assert not os.path.exists(f"{root[1]}.aside")


def test_a_cache_that_is_a_link_is_not_mounted(mode: Bench, builders: Path) -> None:
    link = mode.place / f"link-{os.urandom(3).hex()}"
    link.symlink_to(builders)
    with pytest.raises(GazamiError, match=r"symbolic link|cannot mount"):
        mode.sh("cat /c/f1", mounts=(BindMount(str(link), "/c", readonly=False, movable=True),))


# -- hidden files ---------------------------------------------------------------------------------------------------------


def test_a_hidden_file_is_not_restored_through_a_link(tmp_path: Path, builders: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.json").write_bytes(CANARY)
    hidden = HiddenFiles([str(home / "config.json")])
    hidden.unlink()
    shutil.rmtree(home)
    home.symlink_to(builders)
    hidden.restore()
    assert not (builders / "config.json").exists()


def test_control_a_hidden_file_comes_back(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(CANARY)
    hidden = HiddenFiles([str(tmp_path / "config.json")])
    hidden.unlink()
    assert not (tmp_path / "config.json").exists()
    hidden.restore()
    assert (tmp_path / "config.json").read_bytes() == CANARY


def test_where_a_filter_refuses_chroot_a_handler_enters_by_a_mount(tmp_path: Path) -> None:
    """As podman's profile does for containers without CAP_SYS_CHROOT."""
    (tmp_path / "only").mkdir()
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(beneath.__file__).parents[2])!r})
from gazami.rootfs import inside
def refused(path): raise PermissionError(1, "Operation not permitted")
os.chroot = refused
inside.enter({str(tmp_path)!r})
print(os.listdir("/"), os.path.exists("/../../etc/passwd"))
"""
    command = ["unshare", "--mount", "--propagation", "private", "python3", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "['only'] False\n"
