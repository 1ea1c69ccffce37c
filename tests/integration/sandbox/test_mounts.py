"""The file system of a command in the modes that mount: layers, devices, step mounts, what is hidden and what is denied."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import Bench

from gazami.errors import SandboxError
from gazami.sandbox.spec import BindMount, FileMount, OverlayRoot, PlainRoot, TmpfsMount

needs_i386 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="runs 32-bit x86 programs")


def test_changes_appear_in_the_upper_directory_as_overlay_writes_them(mounting: Bench, tmp_path: Path) -> None:
    base = tmp_path / "layer"
    for name in ("keep", "gone", "replaced"):
        (base / name).mkdir(parents=True)
        (base / name / "file").write_text(name)
    bench = Bench(mounting.sandbox, mounting.cancel, mounting.base, tmp_path, (base,))
    outcome = bench.sh(
        "rm -r /gone /replaced && mkdir /replaced && echo new > /replaced/new && echo more >> /keep/file"
        " && chown 12:34 /keep/file && ln -s keep /link && ls /replaced"
    )
    assert outcome.out == "new\n"
    upper = outcome.changed
    assert outcome.files() == {"gone", "keep", "keep/file", "link", "replaced", "replaced/new"}
    whiteout = (upper / "gone").lstat()
    assert stat.S_ISCHR(whiteout.st_mode) and whiteout.st_rdev == 0
    prefix = "user" if mounting.sandbox.choice.userxattr else "trusted"
    assert os.getxattr(upper / "replaced", f"{prefix}.overlay.opaque") == b"y"
    assert (upper / "keep/file").read_text() == "keepmore\n"
    assert ((upper / "keep/file").stat().st_uid, (upper / "keep/file").stat().st_gid) == (12, 34)
    assert (base / "keep/file").read_text() == "keep"


@pytest.mark.parametrize("count", [2, 500, 1100])
def test_any_number_of_layers(mounting: Bench, tmp_path: Path, count: int) -> None:
    lowers = []
    for number in range(count):
        lower = tmp_path / f"layer:{number},x"
        (lower / "layers").mkdir(parents=True)
        (lower / "layers" / str(number)).touch()
        (lower / "top").write_text(str(number))
        lowers.insert(0, lower)
    bench = Bench(mounting.sandbox, mounting.cancel, mounting.base, tmp_path, tuple(lowers))
    assert bench.sh("ls /layers | wc -l; cat /top").out.split() == [str(count), str(count - 1)]


def test_an_upper_directory_can_be_used_again(mounting: Bench) -> None:
    root = mounting.root()
    mounting.sh("echo one > /one", root=root)
    assert mounting.sh("cat /one", root=root).out == "one\n"


def test_no_layers_at_all_and_plain_roots(mounting: Bench, tmp_path: Path) -> None:
    for name in ("bin", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "bin/busybox").write_bytes((mounting.base / "bin/busybox").read_bytes())
    (tmp_path / "bin/busybox").chmod(0o755)
    for number, root in enumerate((OverlayRoot((), str(tmp_path), str(tmp_path / "work")), PlainRoot(str(tmp_path)))):
        outcome = mounting.run("/bin/busybox", "touch", f"/file{number}", root=(root, tmp_path))
        assert outcome.code == 0 and (tmp_path / f"file{number}").exists()
        assert not (tmp_path / "etc").exists()


def test_devices(mounting: Bench) -> None:
    outcome = mounting.sh("ls /dev; echo x > /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; : > /dev/full")
    names = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert outcome.out.split() == [*names.split(), "4", "4"]
    assert mounting.sh("echo x > /dev/full").code != 0
    assert mounting.sh("echo a > /dev/stdout; echo b > /dev/stderr; echo c > /dev/fd/1", user="nobody").out == "a\nc\n"
    assert mounting.sh("touch /dev/shm/x && stat -c %a /dev/shm && stat -c %a /dev/pts/ptmx").out == "1777\n666\n"


def test_proc_shows_the_command_s_own_processes(mounting: Bench) -> None:
    outcome = mounting.sh("cat /proc/1/comm; ls -d /proc/[0-9]* | wc -l; tr '\\0' ' ' < /proc/1/cmdline; hostname; echo $$")
    name, count, line, host, pid = outcome.out.split()
    assert (name, line, host, pid) == ("gazami-sandbox", "gazami-sandbox", "buildkitsandbox", "2")
    assert int(count) <= 6


@pytest.mark.parametrize("path", ["/proc/sys/kernel/core_pattern", "/sys/kernel/mm/ksm/run", "/sys/new"])
def test_the_kernel_s_knobs_are_read_only(mounting: Bench, path: str) -> None:
    outcome = mounting.sh(f"echo x > {path}")
    assert outcome.code != 0 and "Read-only" in outcome.err


def test_what_docker_hides_is_hidden(mounting: Bench) -> None:
    assert mounting.sh("cat /proc/kcore /proc/keys /proc/timer_list; ls /sys/firmware /proc/acpi").out.split() in (
        [], ["/proc/acpi:", "/sys/firmware:"], ["/sys/firmware:", "/proc/acpi:"]
    )  # fmt: skip


def test_the_host_s_files_are_out_of_reach(mounting: Bench) -> None:
    outcome = mounting.sh(f"ls {mounting.place} {mounting.base}; ls /proc/1/root/; ls /; cat /proc/1/environ; echo end")
    assert str(mounting.place) not in outcome.out
    assert outcome.out.endswith("end\n") and "home" in outcome.out


@pytest.mark.parametrize(
    "command",
    ["mount -t tmpfs x /tmp", "umount /proc", "unshare -m true", "chroot /tmp /nothing", "hostname x", "mount -o remount,rw /sys"],
)
def test_what_docker_denies_is_denied(mounting: Bench, command: str) -> None:
    assert mounting.sh(command).code != 0


def test_device_nodes_as_in_docker(mounting: Bench) -> None:
    outcome = mounting.sh("mknod /node c 1 3 && stat -c %t:%T /node")
    if mounting.sandbox.choice.name == "namespaces":
        assert outcome.out == "1:3\n"
    else:
        assert outcome.code != 0  # the kernel lets nobody make device nodes in a user namespace
    assert mounting.sh("mkfifo /fifo && chroot / true").code == 0


@needs_i386
def test_a_setuid_bit_works(mounting: Bench, tmp_path: Path) -> None:
    """Docker's steps may gain privileges this way (sudo, su); a user namespace keeps to its own ids."""
    program = tmp_path / "layer/bin/euid"
    program.parent.mkdir(parents=True)
    program.write_bytes(_exit_with_result_of_i386_call(201))  # geteuid32
    bench = Bench(mounting.sandbox, mounting.cancel, mounting.base, tmp_path, (tmp_path / "layer",))
    program.chmod(0o755)
    assert bench.run("euid", user="200").code == 256 - 200
    program.chmod(0o4755)
    assert bench.run("euid", user="200").code == 0


def test_resolv_conf_and_hosts(mounting: Bench) -> None:
    outcome = mounting.sh("cat /etc/resolv.conf; echo ==; cat /etc/hosts", hostname="box", hosts=(("192.0.2.1", "a.example"),))
    resolv, hosts = outcome.out.split("==\n")
    assert resolv == Path("/etc/resolv.conf").read_text()
    assert hosts == "127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n192.0.2.1\ta.example\n"


@pytest.mark.parametrize(
    "target", ["../run/systemd/resolve/stub-resolv.conf", "/run/resolv.conf", "/proc/1/root/tmp/resolv.conf", "hosts"]
)
def test_a_resolv_conf_that_is_a_link(mounting: Bench, tmp_path: Path, target: str) -> None:
    (tmp_path / "layer/etc").mkdir(parents=True)
    (tmp_path / "layer/etc/resolv.conf").symlink_to(target)
    bench = Bench(mounting.sandbox, mounting.cancel, mounting.base, tmp_path, (tmp_path / "layer",))
    outcome = bench.sh("cat /etc/resolv.conf")
    if target == "hosts":
        assert outcome.out.startswith("127.0.0.1\tlocalhost")
    elif not target.startswith("/proc"):
        assert outcome.out == Path("/etc/resolv.conf").read_text()
    assert outcome.files() == set()
    assert not Path("/tmp/resolv.conf").exists()


def test_a_circle_of_links_is_no_target(mounting: Bench, tmp_path: Path) -> None:
    (tmp_path / "layer/etc").mkdir(parents=True)
    (tmp_path / "layer/etc/resolv.conf").symlink_to("resolv.conf")
    bench = Bench(mounting.sandbox, mounting.cancel, mounting.base, tmp_path, (tmp_path / "layer",))
    with pytest.raises(SandboxError, match=r"cannot mount at /etc/resolv\.conf"):
        bench.sh("true")


def test_a_mount_may_lie_over_ours(mounting: Bench) -> None:
    mine = FileMount("/etc/hosts", b"mine\n", 0o644)
    assert mounting.sh("cat /etc/hosts", mounts=(mine, mine)).out == "mine\n"


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_a_trap_in_the_place_of_a_system_directory(mounting: Bench, tmp_path: Path, name: str) -> None:
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / name).symlink_to("etc")
    bench = Bench(mounting.sandbox, mounting.cancel, mounting.base, tmp_path, (layer,))
    with pytest.raises(SandboxError, match=f"/{name} in the image is not a directory"):
        bench.sh("true")


def test_bind_mounts(mounting: Bench, tmp_path: Path) -> None:
    (tmp_path / "source/below").mkdir(parents=True)
    (tmp_path / "source/file").write_text("content\n")
    readonly, writable = (BindMount(str(tmp_path / "source"), "/ro"), BindMount(str(tmp_path / "source"), "/deep/rw", False))
    single = BindMount(str(tmp_path / "source/file"), "/single")
    outcome = mounting.sh(
        "cat /ro/file /single; echo x > /ro/new || echo refused; echo x > /single || echo refused; echo y > /deep/rw/new",
        mounts=(readonly, writable, single),
    )
    assert outcome.out == "content\ncontent\nrefused\nrefused\n"
    assert (tmp_path / "source/new").read_text() == "y\n"
    assert outcome.files() == set()
    assert set(outcome.result.created) >= {"ro", "deep", "deep/rw", "single"}


def test_a_missing_source_is_named(mounting: Bench) -> None:
    with pytest.raises(SandboxError, match="/none/such at /x"):
        mounting.sh("true", mounts=(BindMount("/none/such", "/x"),))


def test_mounts_in_mounts(mounting: Bench, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/file").write_text("inner\n")
    mounts = (TmpfsMount("/t", 1 << 20, 0o700), BindMount(str(tmp_path / "inner"), "/t/a/b"), FileMount("/t/f", b"f", 0o755, 1, 2))
    outcome = mounting.sh(
        "cat /t/a/b/file /t/f; stat -c ' %a %u %g' /t /t/f; df -k /t | tail -1 | tr -s ' ' | cut -d' ' -f2", mounts=mounts
    )
    assert outcome.out == "inner\nf 700 0 0\n 755 1 2\n1024\n"
    assert outcome.files() == set()


def test_a_script_mount_can_be_run_and_not_changed(mounting: Bench) -> None:
    script = FileMount("/run/script", b"#!/bin/sh\necho ran\n", 0o755)
    outcome = mounting.sh("/run/script; echo x > /run/script", mounts=(script,))
    assert outcome.out == "ran\n" and outcome.code != 0


def test_a_secret_is_nowhere_on_disk(mounting: Bench) -> None:
    outcome = mounting.sh("cat /run/secrets/s", mounts=(FileMount("/run/secrets/s", b"hush-hush"),))
    assert outcome.out == "hush-hush"
    for path in mounting.place.rglob("*"):
        assert not path.is_file() or b"hush-hush" not in path.read_bytes()


def test_network_none_has_a_loopback_only(mounting: Bench) -> None:
    script = "ip -o link | cut -d: -f2; ip addr show lo | grep -q 'inet 127.0.0.1' && echo up"
    assert mounting.sh(script, network="none").out.split() == ["lo", "up"]
    assert mounting.sh("readlink /proc/self/ns/net").out.strip() == os.readlink("/proc/self/ns/net")


def test_no_mount_is_left(mounting: Bench) -> None:
    def mounted() -> list[str]:
        """Here; others of this machine come and go."""
        return [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(mounting.place) in line]

    before = mounted()
    mounting.sh("true", mounts=(TmpfsMount("/t"),))
    assert mounted() == before


@needs_i386
def test_32_bit_programs_are_filtered_too(mounting: Bench, tmp_path: Path) -> None:
    program = tmp_path / "layer/bin/mount32"
    program.parent.mkdir(parents=True)
    program.write_bytes(_exit_with_result_of_i386_call(21))
    program.chmod(0o755)
    bench = Bench(mounting.sandbox, mounting.cancel, mounting.base, tmp_path, (tmp_path / "layer",))
    assert bench.run("mount32").code == errno.EPERM


def _exit_with_result_of_i386_call(number: int) -> bytes:
    """A static i386 program: ``exit(-call(number, 0, 0, 0, 0, 0))``."""
    code = (
        bytes.fromhex("31db31c931d231f631ff") + b"\xb8" + number.to_bytes(4, "little") + bytes.fromhex("cd80f7d889c3b801000000cd80")
    )
    base, size = 0x08048000, 84 + len(code)
    header = b"\x7fELF\x01\x01\x01" + bytes(9)
    header += b"".join(
        value.to_bytes(width, "little")
        for value, width in (
            (2, 2), (3, 2), (1, 4), (base + 84, 4), (52, 4), (0, 4), (0, 4), (52, 2), (32, 2), (1, 2), (0, 2), (0, 2), (0, 2),
            (1, 4), (0, 4), (base, 4), (base, 4), (size, 4), (size, 4), (5, 4), (0x1000, 4),
        )
    )  # fmt: skip
    return header + code
