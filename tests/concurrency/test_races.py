"""Interleavings that happen once in a thousand builds, forced. Two steps, two builds, or a build and whoever tidies up meet where
neither expects the other."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tests.loopback import serving
from tests.programs import gazami
from tests.strict_registry import StrictRegistry

from gazami.builder.files import workspace
from gazami.builder.files.workspace import Workspace
from gazami.cache.directory import DirectoryStore
from gazami.cache.entry import CacheEntry
from gazami.cancel import Cancel
from gazami.errors import Cancelled
from gazami.file_locks import locked
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import LocalFile
from gazami.registry.flights import Flights

pytestmark = [pytest.mark.service, pytest.mark.timeout(200)]
ISOLATIONS = ["namespaces", "chroot"]


def build(context: Path, dockerfile: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (context / "Dockerfile").write_text(dockerfile)
    words = ("build", str(context), "--no-push", "--progress=raw", f"--state-dir={context.parent / 'state'}")
    return gazami(*words, *arguments)


# -- cache mounts ------------------------------------------------------------------------------------------------------


@pytest.mark.sandbox
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_cache_mount_is_restored_once(context: Path, base: str, isolation: str) -> None:
    """Two stages begin with the same mount; what the first one changes in it stays changed."""
    flags = ["--cache", f"--cache-repo=oci:{context.parent / 'cache'}", "--cache-mounts", f"--isolation={isolation}"]
    mount = "--mount=type=cache,id=m,target=/m"
    done = build(context, f"FROM {base}\nRUN {mount} head -c 3000000 /dev/urandom > /m/big; echo old > /m/state\n", *flags)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(context.parent / "state")
    stages = "".join(
        f"FROM {base} AS s{n}\nRUN {mount} cat /m/big > /dev/null && cat /m/state && echo new{n} > /m/state && sleep 1"
        f" && cat /m/state > /seen && ! grep -q old /seen\n"
        for n in range(4)
    )
    copies = "".join(f"COPY --from=s{n} /seen /{n}\n" for n in range(4))
    done = build(context, f"{stages}FROM scratch\n{copies}", *flags, "-v=debug")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"Restoring the cache mount m(?!.*done)", done.stderr)) == 1


@pytest.mark.sandbox
@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("sharing", ["shared", "private", "locked"])
def test_several_steps_begin_with_the_same_files(context: Path, base: str, isolation: str, sharing: str) -> None:
    for number in range(50):
        (context / f"g{number}").write_text("x")
    mount = f"--mount=type=cache,id=m,target=/m,from=files,sharing={sharing}"
    stages = "".join(f"FROM {base} AS s{n}\nRUN {mount} ls /m | wc -l > /count; cat /count\n" for n in range(4))
    copies = "".join(f"COPY --from=s{n} /count /{n}\n" for n in range(4))
    text = f"FROM scratch AS files\nCOPY g* /\n{stages}FROM scratch\n{copies}"
    done = build(context, text, f"--isolation={isolation}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["50"] * 4
    kept = list((context.parent / "state/cache-mounts").glob("*")) if sharing != "private" else []
    assert [each for each in kept if each.name.endswith(".part")] == []


@pytest.mark.sandbox
@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_private_is_the_steps_own_and_gone_afterwards(context: Path, base: str, isolation: str) -> None:
    """Two steps at the same time, and one after the other: none sees another one's files. The control is a shared mount."""

    def seen(sharing: str) -> list[str]:
        mount = f"--mount=type=cache,id={sharing},target=/m,sharing={sharing}"
        stages = "".join(
            f"FROM {base} AS s{n}\nRUN {mount} echo > /m/{n}; sleep 0.5; ls /m > /seen\nRUN {mount} ls /m > /again\n"
            for n in range(3)
        )
        copies = "".join(f"COPY --from=s{n} /seen /again /{n}/\n" for n in range(3))
        out = context.parent / f"out-{sharing}"
        done = build(context, f"{stages}FROM scratch\n{copies}", f"--isolation={isolation}", f"-o={out}")
        assert done.returncode == 0, done.stderr
        return [(out / f"{n}/{name}").read_text() for n in range(3) for name in ("seen", "again")]

    assert seen("private") == ["0\n", "", "1\n", "", "2\n", ""]
    assert not list((context.parent / "state").glob("cache-mounts/*"))
    assert "0\n1\n2\n" in seen("shared")


# -- a directory cache -------------------------------------------------------------------------------------------------


class Gate(BaseHTTPRequestHandler):
    """Answers when it is told to."""

    def do_GET(self) -> None:
        self.server.came.set()  # type: ignore[attr-defined]
        self.server.go.wait(60)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("output", ["archive", "push", "nothing"])
@pytest.mark.parametrize("swept", ["blobs", "everything"])
def test_a_cache_that_is_pruned_while_a_build_uses_it(context: Path, registry: StrictRegistry, output: str, swept: str) -> None:
    cache, out = context.parent / "cache", context.parent / "out.tar"
    flags = [f"--state-dir={context.parent / 'state'}", "--cache", "--cache-copy-layers", f"--cache-repo=oci:{cache}"]
    where = {"archive": ["--no-push", f"--tar-path={out}"], "push": [f"-t={registry.host}/pruned/a:1"], "nothing": ["--no-push"]}
    came, go = threading.Event(), threading.Event()
    with serving(Gate, came=came, go=go) as server:
        text = f"FROM scratch\nCOPY file /\nADD http://127.0.0.1:{server.server_port}/x /\n"
        assert build(context, "FROM scratch\nCOPY file /\n", *flags).returncode == 0
        (context / "Dockerfile").write_text(text)
        command = [sys.executable, "-m", "gazami", "build", str(context), *flags, *where[output]]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert came.wait(30)
        time.sleep(0.3)
        shutil.rmtree(cache / "blobs" if swept == "blobs" else cache)
        go.set()
        log, _ = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "bug in gazami" not in log
    if output == "archive":
        names = subprocess.check_output(["tar", "-tf", str(out)], text=True)
        assert len(re.findall(r"\.tar\.gz", names)) == 2


def test_pruning_between_the_blobs_and_the_index(tmp_path: Path) -> None:
    """Another process prunes when an entry's blobs are there and its name is not yet: they are nobody's, and removed."""
    folder = tmp_path / "cache"
    blob = tmp_path / "blob"
    blob.write_bytes(b"a layer")
    descriptor = Descriptor(OCI_LAYER_GZIP, digest_of(b"a layer"), 7)
    entry = CacheEntry(datetime.now(UTC), descriptor, digest_of(b"unpacked"), "COPY")
    other = DirectoryStore(folder)
    pruned: list[None] = []

    def pruning(known: Callable[..., object]) -> Callable[..., object]:
        def change(*arguments: object, **keywords: object) -> object:
            if not pruned:
                pruned.append(None)
                other.remove("nothing")  # collects what has no name
                assert not (folder / "blobs/sha256" / descriptor.digest[7:]).exists()  # the control: it did harm
            return known(*arguments, **keywords)

        return change

    store = DirectoryStore(folder)
    store._change = pruning(store._change)  # type: ignore[method-assign]
    store.put(("tag",), entry, ((descriptor, lambda: blob.open("rb"), LocalFile(str(blob))),))
    found = DirectoryStore(folder).get("tag")
    assert found is not None
    assert (folder / "blobs/sha256" / descriptor.digest[7:]).read_bytes() == b"a layer"


# -- the state directory -----------------------------------------------------------------------------------------------


def test_a_build_that_begins_is_not_taken_for_a_dead_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another build looks for leftovers at each moment of the first one's beginning: before the lock, and before the name."""
    others: list[Workspace] = []
    flock, rename = fcntl.flock, Path.rename

    def look() -> None:
        if len(others) < 2:
            other = Workspace(str(tmp_path / "state"))
            others.append(other)
            with monkeypatch.context() as plain:
                plain.setattr(fcntl, "flock", flock)
                plain.setattr(Path, "rename", rename)
                with other:
                    pass

    def before_lock(fd: object, how: int) -> None:
        if how == fcntl.LOCK_EX:
            look()
        flock(fd, how)  # type: ignore[arg-type]

    def before_name(self: Path, target: Path) -> Path:
        look()
        return rename(self, target)

    monkeypatch.setattr(workspace.fcntl, "flock", before_lock)
    monkeypatch.setattr(Path, "rename", before_name)
    with Workspace(str(tmp_path / "state")) as mine:
        assert len(others) == 2
        assert mine.root.is_dir()
        (mine.root / "x").write_text("x")
    assert list((tmp_path / "state").glob("*build-*")) == []


def test_a_dead_builds_folder_is_removed(tmp_path: Path) -> None:
    """The control of the test before: looking for leftovers does remove them."""
    with Workspace(str(tmp_path / "state")):
        dead = tmp_path / "state/build-dead"
        dead.mkdir()
        (dead / "lock").touch()
    with Workspace(str(tmp_path / "state")):
        assert not dead.exists()


@pytest.mark.sandbox
def test_twenty_builds_on_one_state_directory(context: Path, base: str) -> None:
    """All at once, with a cache mount, a directory cache and a base that all share."""
    folders = []
    for number in range(20):
        folder = context.parent / f"c{number}"
        folder.mkdir()
        (folder / "file").write_text(str(number % 3))
        (folder / "Dockerfile").write_text(
            f"FROM {base}\nCOPY file /x\nRUN --mount=type=cache,id=n,target=/n,sharing=locked echo {number} >> /n/all\n"
        )
        folders.append(folder)

    def one(folder: Path) -> subprocess.CompletedProcess[str]:
        return gazami(
            "build", str(folder), "--no-push", f"--state-dir={context.parent / 'state'}", "--cache",
            "--cache-copy-layers", f"--cache-repo=oci:{context.parent / 'cache'}", f"--tar-path={folder}.tar",
        )  # fmt: skip

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(one, folders))
    for done in results:
        assert done.returncode == 0, done.stderr
        assert "bug in gazami" not in done.stderr
        assert "WARN" not in done.stderr, done.stderr
    [kept] = [each for each in (context.parent / "state/cache-mounts").iterdir() if each.is_dir()]
    assert sorted(map(int, (kept / "all").read_text().split())) == list(range(20))
    assert list((context.parent / "state").glob("*build-*")) == []


# -- file locks and flights --------------------------------------------------------------------------------------------


def test_a_lock_whose_file_was_replaced_is_taken_again(tmp_path: Path) -> None:
    path, cancel = tmp_path / "lock", Cancel()
    inside: list[str] = []
    held = locked((str(path),), cancel)
    held.__enter__()

    def second() -> None:
        with locked((str(path),), cancel):
            inside.append("second")

    waiter = threading.Thread(target=second)
    waiter.start()
    time.sleep(0.2)
    path.unlink()
    with locked((str(path),), cancel):
        held.__exit__(None, None, None)
        time.sleep(0.3)
        assert inside == []  # it has the lock of a file that has no name any more, and looks again
    waiter.join(5)
    assert inside == ["second"]


def test_a_wait_for_a_lock_ends_with_the_build(tmp_path: Path) -> None:
    path, cancel = str(tmp_path / "lock"), Cancel()
    with locked((path,), Cancel()):
        threading.Timer(0.2, cancel.set).start()
        with pytest.raises(Cancelled), locked((path,), cancel):
            pass


def test_a_flight_that_was_cancelled_is_flown_again_by_who_was_not() -> None:
    flights: Flights[str, int] = Flights()
    begun, stop, calls = threading.Event(), Cancel(), []

    def first() -> int:
        calls.append("first")
        begun.set()
        stop.wait(5)
        stop.check()
        return 1

    def second() -> int:
        calls.append("second")
        return 2

    results: list[object] = []

    def leader() -> None:
        with pytest.raises(Cancelled):
            flights.get("k", first, stop)

    lead = threading.Thread(target=leader)
    lead.start()
    begun.wait(5)
    follow = threading.Thread(target=lambda: results.append(flights.get("k", second, Cancel())))
    follow.start()
    time.sleep(0.1)
    stop.set()
    for each in (lead, follow):
        each.join(5)
    assert results == [2]
    assert calls == ["first", "second"]


def test_who_waits_for_a_flight_wakes_when_told_to_stop() -> None:
    flights: Flights[str, int] = Flights()
    begun, go, stop = threading.Event(), threading.Event(), Cancel()

    def work() -> int:
        begun.set()
        go.wait(10)
        return 1

    lead = threading.Thread(target=lambda: flights.get("k", work))
    lead.start()
    begun.wait(5)
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(Cancelled):
        flights.get("k", work, stop)
    go.set()
    lead.join(5)
