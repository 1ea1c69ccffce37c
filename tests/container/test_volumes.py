"""Volumes of a pod that RUN reads, as under kaniko, and a pod whose root is read-only."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.container.conftest import Executor

WHERE = ["podman's default", "Docker's default", "Docker's default, chroot", "restricted, podman's profile", "SYS_ADMIN"]
STEPS = (
    "FROM {base}\n"
    "RUN test key = $(cat /run/secrets/key/key.pem) && test modules = $(cat /host/lib/modules/list) && cat /m2/jar > /seen\n"
    "RUN sh -c 'cat /*/jar' > /again && test -e /run/secrets/key/key.pem && test ! -e /var/run/secrets/kubernetes.io\n"
)


@pytest.fixture
def pod(tmp_path: Path) -> list[str]:
    """Options of a pod with volumes at the top and further down, as operators for kernel modules have them."""
    options = []
    for name, target, file in (
        ("key", "/run/secrets/key", "key.pem"),
        ("modules", "/host/lib/modules", "list"),
        ("m2", "/m2", "jar"),
        ("token", "/var/run/secrets/kubernetes.io/serviceaccount", "token"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(f"{name}\n")
        options += ["-v", f"{tmp_path / name}:{target}"]
    return options


@pytest.fixture
def context(executor: Executor, tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(STEPS.format(base=executor.podman.base))
    return folder


@pytest.mark.parametrize("what", WHERE)
def test_the_pods_mounts_are_exposed(what: str, executor: Executor, pod: list[str], context: Path, tmp_path: Path) -> None:
    reference = f"{executor.podman.registry}/volumes:{WHERE.index(what)}"
    done = executor.build(what, "--expose-mounts", f"--destination={reference}", context=context, options=pod)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "RUN sees the volumes" in said and "serviceaccount" not in said.partition("RUN sees the volumes")[2].splitlines()[0]
    assert [path.name for path in (tmp_path / "m2").iterdir()] == ["jar"]
    gone = "test ! -e /m2 -a ! -e /host -a ! -e /run/secrets"
    (context / "Dockerfile").write_text(f"FROM {reference}\nRUN test m2 = $(cat /seen) && test m2 = $(cat /again) && {gone}\n")
    checked = executor.build("podman's default", "--no-push", context=context)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("what", WHERE)
def test_without_the_flag_they_are_not_seen(what: str, executor: Executor, pod: list[str], context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {executor.podman.base}\nRUN test ! -e /host/lib/modules -a ! -e /run/secrets/key\n")
    done = executor.build(what, "--no-push", context=context, options=pod)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("what", ["podman's default", "Docker's default", "restricted, podman's profile"])
@pytest.mark.parametrize("place", ["/kaniko/state", "/tmp"])
def test_a_root_that_is_read_only(what: str, place: str, executor: Executor, context: Path) -> None:
    """``readOnlyRootFilesystem: true`` with an emptyDir, and no flag."""
    (context / "Dockerfile").write_text(f"FROM {executor.podman.base}\nRUN echo made > /made\n")
    options = ["--read-only", "--read-only-tmpfs=false", "--mount", f"type=tmpfs,destination={place},tmpfs-mode=1777"]
    done = executor.build(what, "--no-push", context=context, options=options)
    assert done.returncode == 0, done.stdout + done.stderr
