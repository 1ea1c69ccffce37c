"""The fork server's life: calls, errors, cancelling, dying; and choosing a mode."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import signal
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import SLEEP, Bench, sleepers

from gazami.cancel import Cancel
from gazami.errors import Cancelled, GazamiError, SandboxError, SpaceError
from gazami.layer.recorded_owner import recorded
from gazami.rootfs.directories import MakeDirectories
from gazami.rootfs.requests import UnpackReport, UnpackRequest
from gazami.sandbox.client import Sandbox
from gazami.sandbox.select import choose, survey
from gazami.sandbox.spec import BindMount, Choice, FileMount, TmpfsMount


@dataclass(frozen=True, slots=True)
class Nothing:
    """A request that the server cannot know."""

    def run(self, input_fd: int | None, output_fd: int | None) -> None: ...


def tar_of(size: int) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo("file")
        member.size, member.uid = size, 42
        archive.addfile(member, io.BytesIO(os.urandom(size)))
    return data.getvalue()


def unpack(bench: Bench, directory: Path, data: bytes) -> UnpackReport:
    """Feed ``data`` to unpack through a pipe, as the builder does."""
    read, write = os.pipe()

    def feed() -> None:
        try:
            with open(write, "wb") as pipe:
                pipe.write(data)
        except BrokenPipeError:
            pass

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        single = bench.sandbox.choice.mode.records_owners
        return bench.sandbox.call(UnpackRequest(str(directory), records_owners=single), input_fd=read)
    finally:
        os.close(read)
        feeder.join()


def test_a_call_reads_its_input_and_owns_files(any_mode: Bench, tmp_path: Path) -> None:
    report = unpack(any_mode, tmp_path, tar_of(300_000))
    assert (report.owners, report.attributes) == (0, 0) and report.taken > 300_000
    file = tmp_path / "file"
    owner = recorded(str(file))
    assert (file.stat().st_size, owner.uid if owner else file.stat().st_uid) == (300_000, 42)


def test_errors_of_calls_come_back_as_themselves(any_mode: Bench, tmp_path: Path) -> None:
    with pytest.raises(GazamiError) as caught:
        unpack(any_mode, tmp_path, tar_of(5000)[:-9000])
    assert type(caught.value).__name__ == "ArchiveError"
    with pytest.raises(FileNotFoundError):
        unpack(any_mode, Path("/none"), tar_of(10))
    with pytest.raises(RuntimeError, match="is no class of gazami's"):
        any_mode.sandbox.call(Nothing())
    with pytest.raises(RuntimeError, match="AssertionError"):
        any_mode.sandbox.call(UnpackRequest(str(tmp_path)))
    assert any_mode.run("true").code == 0


def test_a_full_file_system_is_a_space_error(any_mode: Bench, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "small", str(tmp_path)], check=True)
    cancel = Cancel()
    try:
        with Sandbox.start(any_mode.sandbox.choice, cancel) as sandbox, pytest.raises(SpaceError, match="No space"):
            unpack(Bench(sandbox, cancel, any_mode.base, tmp_path), tmp_path, tar_of(300_000))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_preloading(tmp_path: Path) -> None:
    choice = Choice("chroot", "", overlay=False)
    with Sandbox.start(choice, Cancel(), preload=("gazami.rootfs.unpack",)) as sandbox:
        sandbox.call(MakeDirectories((str(tmp_path / "made"),)))
    assert (tmp_path / "made").is_dir()
    with pytest.raises(RuntimeError, match="nonesuch"):
        Sandbox.start(choice, Cancel(), preload=("nonesuch",))


def is_running(pid: int) -> bool:
    """A zombie waits for somebody to ask for its status, and does nothing else."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def interrupted(action: Callable[[], object], interrupt: Callable[[], object], after: float = 0.4) -> BaseException | None:
    """What ``action`` raised when ``interrupt`` came in between; both are over in a few seconds."""
    timer = threading.Timer(after, interrupt)
    timer.start()
    started = time.monotonic()
    try:
        action()
    except BaseException as error:
        return error
    finally:
        timer.join()
        assert time.monotonic() - started < 5
    return None


def test_cancelling_a_command_kills_it_and_cleans_up(fresh: Bench) -> None:
    root = fresh.root()
    error = interrupted(
        lambda: fresh.sh(f"trap '' TERM; {SLEEP} & {SLEEP}", root=root, mounts=(FileMount("/run/s", b"x"),)),
        lambda: fresh.cancel.set("enough"),
    )
    assert isinstance(error, Cancelled) and str(error) == "enough"
    assert not (root[1] / "run").exists()
    assert not sleepers()
    with pytest.raises(Cancelled):
        fresh.run("true")
    fresh.sandbox.call(MakeDirectories((str(fresh.place / "cleanup"),)), cleanup=True)


def test_cancelling_a_call(fresh: Bench) -> None:
    read, write = os.pipe()
    error = interrupted(lambda: fresh.sandbox.call(UnpackRequest(str(fresh.place)), input_fd=read), fresh.cancel.set)
    assert isinstance(error, Cancelled)
    os.close(read)
    with pytest.raises(BrokenPipeError):
        os.write(write, b"x")
    os.close(write)


def test_an_error_of_the_output_s_reader_kills_the_command(fresh: Bench) -> None:
    def refuse(*_: object) -> None:
        raise ZeroDivisionError

    from gazami.sandbox.spec import RunSpec

    spec = RunSpec(fresh.root()[0], ("sh", "-c", f"echo x; {SLEEP}"), (("PATH", "/bin"),))
    with pytest.raises(ZeroDivisionError):
        fresh.sandbox.run(spec, refuse)
    deadline = time.monotonic() + 5
    while sleepers() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not sleepers()


def test_a_killed_server_is_an_error_and_takes_everything_along(fresh: Bench) -> None:
    error = interrupted(lambda: fresh.sh(f"{SLEEP}"), lambda: os.kill(fresh.sandbox.server_pid, signal.SIGKILL))
    assert isinstance(error, SandboxError)
    time.sleep(0.2)
    assert not sleepers()
    with pytest.raises(SandboxError, match="status -9"):
        fresh.run("true")
    with pytest.raises(SandboxError):
        fresh.sandbox.call(MakeDirectories(()))


def test_closing_ends_the_server_and_a_closed_one_is_an_error(fresh: Bench) -> None:
    fresh.sandbox.close()
    assert not Path(f"/proc/{fresh.sandbox.server_pid}").exists()
    with pytest.raises(SandboxError):
        fresh.run("true")
    fresh.sandbox.close()


def test_the_death_of_gazami_kills_the_command(fresh: Bench) -> None:
    """As a fork of this process would, a second one holds the sandbox and is killed."""
    script = f"""
import sys
from pathlib import Path
from gazami.cancel import Cancel
from gazami.layer.recorded_owner import recorded
from gazami.sandbox.client import Sandbox
from gazami.sandbox.spec import *
root = {fresh.root()[0]!r}
with Sandbox.start({fresh.sandbox.choice!r}, Cancel()) as sandbox:
    print(sandbox.server_pid, flush=True)
    spec = RunSpec(root, ("sh", "-c", "echo on; setsid {SLEEP} & {SLEEP}"), (("PATH", "/bin"),))
    sandbox.run(spec, lambda *a: print(a, flush=True))
"""
    import sys

    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        assert "on" in process.stdout.readline()
        process.kill()
    deadline = time.monotonic() + 5
    while (sleepers() or is_running(server)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not sleepers() and not is_running(server)


def test_chroot_mode_says_what_it_cannot_do(fresh: Bench) -> None:
    if fresh.sandbox.choice.name != "chroot":
        pytest.skip("the other modes can")
    with pytest.raises(SandboxError, match="/x needs a bind mount"):
        fresh.run("true", mounts=(BindMount("/etc", "/x"),))
    with pytest.raises(SandboxError, match="network namespace"):
        fresh.run("true", network="none")
    with pytest.raises(SandboxError, match="it is a directory in the image"):
        fresh.run("true", mounts=(FileMount("/etc", b""),))


def test_without_mounts_files_are_moved_there_and_back(fresh: Bench, tmp_path: Path) -> None:
    if fresh.sandbox.choice.name != "chroot":
        pytest.skip("of chroot mode")
    where, root = fresh.root()
    (root / "etc/kept").write_text("of the image\n")
    before = {path: path.stat().st_mtime_ns for path in (root / "etc", root / "etc/passwd")}
    cache = fresh.place / "cache"
    cache.mkdir()
    (cache / "old").write_text("from last time\n")
    outcome = fresh.sh(
        "ls /etc && cat /etc/passwd /var/c/old && echo new > /var/c/new && echo gone > /etc/x && rm /var/c/old",
        root=(where, root),
        mounts=(
            TmpfsMount("/etc"),
            FileMount("/etc/passwd", b"mine\n"),
            BindMount(str(cache), "/var/c", readonly=False, movable=True),
        ),
    )
    assert outcome.out == "passwd\nmine\nfrom last time\n", outcome.err
    assert {path.name for path in cache.iterdir()} == {"new"}
    assert (root / "etc/kept").read_text() == "of the image\n"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "var/c" in outcome.result.created and not (root / "var/c").exists()
    assert {"etc", "etc/passwd"} <= set(outcome.result.touched)


def test_chroot_mode_lends_devices_and_keeps_what_the_command_wrote(fresh: Bench) -> None:
    if fresh.sandbox.choice.name != "chroot":
        pytest.skip("of chroot mode")
    root = fresh.root()
    (root[1] / "etc/hosts").write_text("the image's own\n")
    outcome = fresh.sh("echo x > /dev/null && cat /etc/hosts && echo mine > /etc/resolv.conf", root=root)
    assert "localhost" in outcome.out
    assert list((root[1] / "dev").iterdir()) == []
    assert (root[1] / "etc/hosts").read_text() == "the image's own\n"
    assert (root[1] / "etc/resolv.conf").read_text() == "mine\n"
    assert "etc/resolv.conf" not in outcome.result.created


def test_a_command_costs_little(any_mode: Bench) -> None:
    spent = []
    for _ in range(8):
        root = any_mode.root()
        started = time.monotonic()
        any_mode.run("true", root=root)
        spent.append(time.monotonic() - started)
    assert min(spent) < 0.1  # 0.02 on an idle machine


def test_every_mode_is_found_as_root(tmp_path: Path) -> None:
    findings = survey(tmp_path)
    assert [(f.mode, f.choice is not None) for f in findings] == [
        ("namespaces", True),
        ("userns", True),
        ("inplace", False),
        ("userns-single", True),
        ("chroot", True),
    ]
    assert all(f.choice.overlay and f.choice.pid_namespace for f in findings[:2] if f.choice is not None)
    assert choose(None, tmp_path).name == "namespaces"
    assert choose("userns", tmp_path).ids == "identity"
    assert list(tmp_path.iterdir()) == []


def test_no_overlay_on_an_overlay(tmp_path: Path) -> None:
    for name in ("low", "up", "work", "merged"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/low,upperdir={tmp_path}/up,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "merged")], check=True)
    try:
        choice = choose(None, tmp_path / "merged")
    finally:
        subprocess.run(["umount", str(tmp_path / "merged")], check=True)
    assert (choice.name, choice.overlay) == ("namespaces", False)
    assert "layers are copied" in choice.reason


@pytest.fixture
def normal_user() -> Iterator[str]:
    """A user with subordinate ids, for the length of a test."""
    if not all(map(shutil.which, ("useradd", "usermod", "userdel", "newuidmap"))):
        pytest.skip("useradd and newuidmap are not installed")
    name = f"gazami{os.getpid() % 100000}"
    subprocess.run(["useradd", "--no-create-home", "--no-user-group", name], check=True)
    try:
        ranges = ["--add-subuids", "2000000000-2000065535", "--add-subgids", "2000000000-2000065535"]
        subprocess.run(["usermod", *ranges, name], check=True)
        yield name
    finally:
        subprocess.run(["userdel", name], check=True)


def test_a_normal_user_gets_a_user_namespace(normal_user: str, busybox: Path) -> None:
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False).returncode:
        pytest.skip("needs a Python that a normal user can run")
    source = Path(__file__).resolve().parents[3] / "src"
    with tempfile.TemporaryDirectory(prefix="gazami-user-") as place:
        for name in ("base", "upper", "work"):
            Path(place, name).mkdir()
        shutil.copytree(busybox, Path(place, "base"), symlinks=True, dirs_exist_ok=True)
        subprocess.run(["chown", "-R", f"{normal_user}:", place], check=True)
        script = f"""
import sys
sys.path.insert(0, {str(source)!r})
from pathlib import Path
from gazami.cancel import Cancel
from gazami.layer.recorded_owner import recorded
from gazami.rootfs.directories import RemoveTrees
from gazami.sandbox.client import Sandbox
from gazami.sandbox.select import choose
from gazami.sandbox.spec import *
place = {place!r}
choice = choose(None, Path(place))
print(choice.name, choice.ids, choice.overlay, choice.pid_namespace, choice.rejected[0][0], flush=True)
with Sandbox.start(choice, Cancel()) as sandbox:
    root = OverlayRoot((place + "/base",), place + "/upper", place + "/work")
    script = "id -u; touch /f && chown 33:44 /f && stat -c %u:%g /f /etc; rm /etc/group; ls /proc/1/cwd; echo y > /dev/stderr"
    result = sandbox.run(
        RunSpec(root, ("sh", "-c", script), (("PATH", "/bin"),)), lambda s, d: print(d.decode(), end="", flush=True)
    )
    print(result.exit_code, sandbox.call(RemoveTrees((place + "/upper", place + "/work"))))
"""
        done = subprocess.run(
            [python, "-c", script],
            user=normal_user,
            group=pwd.getpwnam(normal_user).pw_gid,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
            env={},
            cwd="/",
        )
        gone = not Path(place, "upper").exists()
    assert gone, done
    lines = done.stdout.splitlines()
    assert lines[:4] == ["userns subordinate True True namespaces", "0", "33:44", "0:0"], done
    assert lines[-1].startswith("0 "), done
