"""A step opens null, zero, full, random, urandom, tty and terminals, and no other device, whoever made the node."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import Bench

from gazami.layer.entry import Entry, Kind
from gazami.layer.tar_writer import write_members
from gazami.rootfs.requests import UnpackRequest
from gazami.sandbox.inside import devices

SAMPLES = [("c", 10, 183), ("c", 10, 237), ("c", 10, 229), ("c", 1, 11), ("b", 7, 0)]
REFUSED = {errno.EACCES, errno.EPERM}


def opened(answer: str) -> dict[str, int]:
    return {path: int(number) for path, number in (line.split() for line in answer.splitlines())}


def openable(folder: Path) -> list[tuple[str, int, int]]:
    """The samples that this machine opens where nothing protects."""
    found = []
    for letter, major, minor in SAMPLES:
        path = folder / f"{letter}{major}-{minor}"
        os.mknod(path, 0o600 | (stat.S_IFCHR if letter == "c" else stat.S_IFBLK), os.makedev(major, minor))
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        found.append((letter, major, minor))
    return found


def test_control_there_are_devices_that_open_where_nothing_protects(tmp_path: Path) -> None:
    assert openable(tmp_path), "this machine opens none of the samples, so the tests below prove nothing"


def test_a_node_that_the_step_makes_does_not_open(mode: Bench) -> None:
    made = " ".join(f"mknod /tmp/{letter}{major}-{minor} {letter} {major} {minor};" for letter, major, minor in SAMPLES)
    outcome = mode.sh(f"{made} devices $(ls -d /tmp/[bc]* /dev/shm/none 2>/dev/null)")
    stand_ins = mode.sandbox.choice.mode.records_owners  # mknod(2) makes empty files there, and the layer has the devices
    for path, number in opened(outcome.out).items():
        assert number in REFUSED or (stand_ins and (outcome.changed / path[1:]).is_file()), (path, number)
    if mode.sandbox.choice.guards_devices and mode.sandbox.choice.name == "namespaces":
        assert len(opened(outcome.out)) == len(SAMPLES)  # mknod itself is Docker's


def test_a_node_of_a_layer_does_not_open(mode: Bench, tmp_path: Path) -> None:
    """As a base image, an ADD archive or COPY --from brings it."""
    kinds = {"c": Kind.CHARACTER, "b": Kind.BLOCK}
    members = [(Entry("nodes", Kind.DIRECTORY, 0o755), None)] + [
        (Entry(f"nodes/{letter}{major}-{minor}", kinds[letter], 0o666, device=(major, minor)), None)
        for letter, major, minor in SAMPLES
    ]
    archive = tmp_path / "layer.tar"
    archive.write_bytes(b"".join(write_members(members)))
    choice = mode.sandbox.choice
    if choice.overlay:
        layer = mode.place / f"layer-{tmp_path.name}"
        layer.mkdir(mode=0o755)
        mode = Bench(mode.sandbox, mode.cancel, mode.base, tmp_path, (layer,))
        directory = str(layer)
        root = None
    else:
        root = mode.root()
        directory = str(root[1])
    with archive.open("rb") as source:
        request = UnpackRequest(
            directory,
            overlay=choice.overlay,
            userxattr=choice.userxattr,
            devices=choice.guards_devices,
            records_owners=choice.mode.records_owners,
        )
        mode.sandbox.call(request, input_fd=source.fileno())
    outcome = mode.sh("devices /nodes/*", root=root)
    answers = {path: number for path, number in opened(outcome.out).items() if not path.endswith("*")}
    assert not answers or set(answers.values()) <= REFUSED, answers
    assert (len(answers) == len(SAMPLES)) == (choice.name == "namespaces")


def test_a_step_does_not_change_the_machine_s_nodes(mode: Bench) -> None:
    """Where they are bound: the mode and the owner that they have anyway are set, so that nothing happens where this fails."""
    before = [Path(f"/dev/{name}").stat() for name in devices.DEVICES]
    done = [mode.sh(f"chmod 666 /dev/{name}; chown 0:0 /dev/{name}; echo x > /dev/null").err for name in ("null", "zero", "full")]
    after = [Path(f"/dev/{name}").stat() for name in devices.DEVICES]
    assert [info.st_ctime_ns for info in before] == [info.st_ctime_ns for info in after]
    if mode.sandbox.choice.mode.user_namespace:
        assert all("Read-only file system" in each for each in done), done


def test_the_usual_devices_open(mode: Bench) -> None:
    outcome = mode.sh("devices /dev/null /dev/zero /dev/full /dev/random /dev/urandom; echo x > /dev/null")
    assert set(opened(outcome.out).values()) == {0}, outcome
    if mode.sandbox.choice.mode.mounts:
        assert opened(mode.sh("devices /dev/ptmx").out) == {"/dev/ptmx": 0}


def test_the_machine_s_own_nodes_are_not_there(mode: Bench) -> None:
    names = mode.sh("ls /dev").out.split()
    assert set(names) <= {
        "null", "zero", "full", "random", "urandom", "tty", "fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm", "mqueue",
        "core", "console",
    }  # fmt: skip


def test_a_container_s_extra_devices_are_seen(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    assert devices.foreign(str(tmp_path)) == []
    os.mknod(tmp_path / "net/tun", 0o666 | stat.S_IFCHR, os.makedev(10, 200))
    assert devices.foreign(str(tmp_path)) == [f"{tmp_path}/net/tun"]
    assert not devices.are_guarded(str(tmp_path), dev=str(tmp_path))


def test_a_cache_that_is_too_deep_is_cut(tmp_path: Path) -> None:
    here = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_PATH | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    folder = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        devices.remove_foreign(folder, "d")
    finally:
        os.close(folder)
    assert (tmp_path / "d/d/d").is_dir() and len(str(max(tmp_path.rglob("*"), key=lambda path: len(str(path))))) < 1000


def test_devices_in_a_cache_mount_are_taken_out_where_nothing_else_guards(tmp_path: Path) -> None:
    (tmp_path / "cache/deep").mkdir(parents=True)
    os.mknod(tmp_path / "cache/deep/disk", 0o666 | stat.S_IFBLK, os.makedev(7, 0))
    (tmp_path / "cache/deep/file").write_text("kept")
    folder = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    try:
        devices.remove_foreign(folder, "cache")
    finally:
        os.close(folder)
    assert [path.name for path in (tmp_path / "cache/deep").iterdir()] == ["file"]


@pytest.mark.parametrize("path", ["/sys/fs/cgroup", "/sys/kernel/debug", "/sys/fs/bpf"])
def test_sys_shows_no_mount_of_the_machine(mode: Bench, path: str) -> None:
    outcome = mode.sh(f"ls {path} 2>/dev/null")
    assert outcome.out == ""


def test_control_the_machine_has_control_groups_there() -> None:
    assert os.listdir("/sys/fs/cgroup")
