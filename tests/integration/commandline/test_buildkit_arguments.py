"""Build arguments that mean something to BuildKit itself, and what tells cache mounts apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.commandline.test_build import build

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


def test_the_host_name_of_steps(context: Path, busybox: str) -> None:
    dockerfile = f"FROM {busybox}\nRUN echo name $(cat /proc/sys/kernel/hostname) && cat /etc/hosts\n"
    done = build(context, dockerfile, "--no-push", "--isolation=namespaces", "--build-arg=BUILDKIT_SANDBOX_HOSTNAME=my-host")
    assert done.returncode == 0, done.stderr
    assert "name my-host" in done.stdout + done.stderr
    assert "localhost my-host" in done.stdout + done.stderr
    plain = build(context, dockerfile, "--no-push", "--isolation=namespaces")
    assert "name buildkitsandbox" in plain.stdout + plain.stderr
    wrong = build(context, dockerfile, "--no-push", "--build-arg=BUILDKIT_SANDBOX_HOSTNAME=a b\n")
    assert wrong.returncode == 1
    assert "is not a host name" in wrong.stderr


CACHES = [
    ("id=c,target=/c", "id=c,target=/d", True),  # the control: what has no part in it
    ("id=c,target=/c", "id=c,target=/c,sharing=locked", True),
    ("id=c,target=/c", "id=c,target=/c,mode=0755,uid=0,gid=0", True),
    ("id=c,target=/c", "id=other,target=/c", False),
    ("id=c,target=/c", "id=c,target=/c,mode=0700", False),
    ("id=c,target=/c", "id=c,target=/c,uid=5", False),
    ("id=c,target=/c,uid=5", "id=c,target=/c,gid=5", False),
    ("id=c,target=/c", "id=c,target=/c,from=files", False),
    ("id=c,target=/c,from=files", "id=c,target=/c,from=files,source=sub", False),
    ("id=c,target=/c,from=files,source=sub", "id=c,target=/c,from=files,source=sub", True),
]


@pytest.mark.parametrize("first, second, same", CACHES)
def test_what_tells_cache_mounts_apart(first: str, second: str, same: bool, context: Path, busybox: str) -> None:
    """In one build, and from one build to the next."""
    (context / "sub").mkdir()
    (context / "sub/f").write_text("x")
    target = second.partition("target=")[2].partition(",")[0]
    files = "FROM scratch AS files\nCOPY . /\n"
    write = f"RUN --mount=type=cache,{first} echo 1 > /c/mark\n"
    read = f"RUN --mount=type=cache,{second} if [ -e {target}/mark ]; then echo SAME; else echo APART; fi\n"
    for dockerfiles in (
        [f"{files}FROM {busybox}\n{write}{read}"],
        [f"{files}FROM {busybox}\n{write}", f"{files}FROM {busybox}\n{read}"],
    ):
        for dockerfile in dockerfiles:
            done = build(context, dockerfile, "--no-push")
            assert done.returncode == 0, done.stderr
        said = (done.stdout + done.stderr).splitlines()
        assert ("SAME" in said, "APART" in said) == (same, not same)


def test_a_namespace_of_cache_mounts(context: Path, busybox: str) -> None:
    seen = "if [ -e /c/mark ]; then echo SAME; else echo APART; fi"
    dockerfile = f"FROM {busybox}\nRUN --mount=type=cache,target=/c {seen}; echo 1 > /c/mark\n"
    said = []
    for words in (
        (),
        (),
        ("--build-arg=BUILDKIT_CACHE_MOUNT_NS=one",),
        ("--build-arg=BUILDKIT_CACHE_MOUNT_NS=one",),
        ("--build-arg=BUILDKIT_CACHE_MOUNT_NS=two",),
    ):
        done = build(context, dockerfile, "--no-push", *words)
        assert done.returncode == 0, done.stderr
        said.append("SAME" in (done.stdout + done.stderr).splitlines())
    assert said == [False, True, False, True, False]


def test_arguments_without_effect_give_one_warning(context: Path) -> None:
    words = [f"--build-arg=BUILDKIT_{name}" for name in (
        "MULTI_PLATFORM=1", "BUILD_NAME=x", "SYNTAX=me/frontend:1", "ATTEST_SBOM=true", "ATTEST_PROVENANCE=mode=max")]  # fmt: skip
    done = build(context, "FROM scratch\n", "--no-push", *words)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no effect") == 1
    assert (
        "BUILDKIT_MULTI_PLATFORM, BUILDKIT_BUILD_NAME, BUILDKIT_ATTEST_SBOM, BUILDKIT_ATTEST_PROVENANCE, BUILDKIT_SYNTAX have"
        in done.stderr
    )
    known = [
        "--build-arg=BUILDKIT_SYNTAX=docker/dockerfile:1",
        "--build-arg=BUILDKIT_ATTEST_PROVENANCE=false",
        "--build-arg=BUILDKIT_DOCKERFILE_CHECK=skip=all",
    ]
    done = build(context, "# syntax=docker/dockerfile:1.7-labs\nFROM scratch\n", "--no-push", *known)
    assert "no effect" not in done.stderr
    done = build(context, "# syntax=me/frontend:1\nFROM scratch\n", "--no-push")
    assert "# syntax=me/frontend:1 has no effect" in done.stderr


def test_an_inline_cache_by_build_argument(context: Path, host: str, tmp_path: Path) -> None:
    (context / "f").write_text("x")
    done = build(
        context, "FROM scratch\nCOPY f /\n", "-t", f"{host}/inline/a:1", "--build-arg=BUILDKIT_INLINE_CACHE=1", "--image-format=oci"
    )
    assert done.returncode == 0, done.stderr
    assert "not used" not in done.stderr
    again = build(
        context, "FROM scratch\nCOPY f /\n", "--no-push", f"--cache-from={host}/inline/a:1", f"--metadata-file={tmp_path / 'm'}"
    )
    assert again.returncode == 0, again.stderr
    assert "1 of 1" in again.stdout + again.stderr or "cached" in (again.stdout + again.stderr).lower()


def test_scratch_as_a_further_context(context: Path) -> None:
    """It stands for a base, and has no files to copy."""
    (context / "f").write_text("x")
    flag = "--build-context=base=docker-image://scratch"
    assert build(context, "FROM base\nCOPY f /\n", "--no-push", flag).returncode == 0
    assert build(context, "FROM nowhere.invalid/x AS base\nRUN false\nFROM base\nCOPY f /\n", "--no-push", flag).returncode == 0
    done = build(context, "FROM scratch\nCOPY --from=base /x /\n", "--no-push", flag)
    assert done.returncode == 1
    assert "--from=base is scratch, which has no files" in done.stderr


def test_annotations_of_an_index_without_one(context: Path, tmp_path: Path) -> None:
    done = build(
        context, "FROM scratch\n", "--no-push", f"--oci-layout-path={tmp_path / 'l'}", "--image-format=oci",
        "--annotation=index:a=1", "--annotation=manifest:b=2", "--annotation=c=3",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--annotation index:a: this build makes no index" in done.stderr
    index = json.loads((tmp_path / "l/index.json").read_text())
    manifest = json.loads((tmp_path / "l/blobs/sha256" / index["manifests"][0]["digest"][7:]).read_text())
    assert manifest["annotations"] == {"b": "2", "c": "3"}
