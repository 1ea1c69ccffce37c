"""Which mounts of a pod RUN may see, and how volumes are written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gazami.builder.request import Volume, Volumes
from gazami.builder.stages.volumes import bound, exposed, told, volumes_of
from gazami.errors import SandboxError, UsageError
from gazami.sandbox.kernel.mountinfo import Mounted

POD = (
    "/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/termination-log", "/sys", "/sys/fs/cgroup", "/etc/hosts", "/etc/hostname",
    "/etc/resolv.conf", "/var/run/secrets/kubernetes.io/serviceaccount", "/kaniko/.docker", "/kaniko/state", "/workspace", "/cache",
    "/var/run/secrets/eks.amazonaws.com/serviceaccount", "/var/run/secrets/azure/tokens", "/tekton/home/.docker",
    "/run/secrets/key", "/run/secrets/cert", "/host/lib/modules", "/m2", "/m2/deep", "/proc/acpi",
)  # fmt: skip


def mounts() -> list[Mounted]:
    return [Mounted(point, "ext4", frozenset()) for point in POD]


def test_the_pods_own_mounts_are_exposed_and_no_others() -> None:
    found = exposed(mounts(), ("/workspace/app", "/cache", "/kaniko/state", "/tekton/home/.docker/config.json"))
    assert [each.target for each in found] == ["/host/lib/modules", "/m2", "/run/secrets/cert", "/run/secrets/key"]
    assert all(each.readonly and each.source == each.target for each in found)


def test_a_volume_that_is_named_wins_and_may_be_what_is_not_exposed(tmp_path: Path) -> None:
    named = (Volume(str(tmp_path), "/m2", False), Volume(str(tmp_path), "/a/b/c"))
    found = volumes_of(Volumes(named, True), mounts, ("/cache",))
    assert Volume(str(tmp_path), "/m2", False) in found and found[-1].target == "/a/b/c"
    assert not volumes_of(Volumes(), mounts, ())
    with pytest.raises(UsageError, match="there is no /nowhere"):
        volumes_of(Volumes((Volume("/nowhere", "/x"),)), mounts, ())


def test_what_is_told() -> None:
    text = told([Volume("/m2", "/m2"), Volume("/data/cache", "/cache", False)])
    assert text == "RUN sees the volumes /m2; /cache (/data/cache), writable"


def test_a_volume_to_write_to_needs_mounts() -> None:
    with pytest.raises(SandboxError, match="chroot mode can mount nothing"):
        bound(Volume("/a", "/b", False), "chroot", "/tmp/x")
    assert bound(Volume("/a", "/b", False), "userns", "").readonly is False


def test_a_copy_is_as_the_volume_and_follows_nothing(tmp_path: Path) -> None:
    source = tmp_path / "volume"
    (source / "..data").mkdir(parents=True)
    (source / "..data/key").write_text("k")
    (source / "..data/key").chmod(0o440)
    (source / "key").symlink_to("..data/key")
    (source / "out").symlink_to("/etc/passwd")
    os.mkfifo(source / "fifo")
    made = bound(Volume(str(source), "/v"), "chroot", str(tmp_path / "new/copy"))
    copy = Path(made.source)
    assert made.movable and made.target == "/v"
    assert (copy / "key").read_text() == "k" and (copy / "key").is_symlink()
    assert os.readlink(copy / "out") == "/etc/passwd" and not (copy / "fifo").exists()
    assert (copy / "..data/key").stat().st_mode == (source / "..data/key").stat().st_mode
    assert (copy / "..data/key").stat().st_mtime_ns == (source / "..data/key").stat().st_mtime_ns
    file = bound(Volume(str(source / "..data/key"), "/f"), "chroot", str(tmp_path / "new/file"))
    assert Path(file.source).read_text() == "k"
