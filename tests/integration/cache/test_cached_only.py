"""``--cached-only``: what a build would make, without a step and without a push; and a build whose image is pushed later."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.integration.commandline.conftest import busybox, context, host
from tests.programs import gazami

__all__ = ["busybox", "context", "host"]

pytestmark = pytest.mark.service


@pytest.fixture
def folder(context: Path, busybox: str) -> Path:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nCOPY x /x\nRUN cat /x > /y\nENV a=b\nRUN cat /y > /z\n")
    (context / "x").write_text("1")
    return context


def build(folder: Path, name: str, *words: str) -> Any:
    """Each time on a machine that knows nothing."""
    state = folder.parent / f"state-{len(list(folder.parent.iterdir()))}"
    return gazami("build", str(folder), "-t", name, "--cache", f"--state-dir={state}", *words)


@pytest.mark.sandbox
@pytest.mark.parametrize("copies", [(), ("--cache-copy-layers",)], ids=["runs", "copies too"])
def test_the_digest_or_the_first_step_that_is_missing(folder: Path, host: str, tmp_path: Path, copies: tuple[str, ...]) -> None:
    name = f"{host}/probe/{'copies' if copies else 'runs'}:1"
    empty = build(folder, name, "--cached-only", *copies)
    assert empty.returncode == 3, empty.stderr
    step = "COPY x /x" if copies else "RUN cat /x > /y"
    assert (
        f"this step is not in the cache {name.rpartition(':')[0]}/cache: {step}" in empty.stderr and f">>> {step}" in empty.stderr
    )
    assert not empty.stdout and tags(name) == []
    digest = tmp_path / "digest"
    assert build(folder, name, *copies, "--digest-file", str(digest), "--reproducible").returncode == 0
    probe = build(folder, name, "--cached-only", *copies, "--reproducible", "--digest-file", str(tmp_path / "probe"))
    assert probe.returncode == 0, probe.stderr
    assert probe.stdout.strip() == digest.read_text() == (tmp_path / "probe").read_text()
    (folder / "Dockerfile").write_text((folder / "Dockerfile").read_text().replace("/z", "/other"))
    before = tags(f"{name.rpartition(':')[0]}/cache:x")
    changed = build(folder, name, "--cached-only", *copies, "--reproducible")
    assert changed.returncode == 3 and "RUN cat /y > /other" in changed.stderr
    assert tags(f"{name.rpartition(':')[0]}/cache:x") == before


def tags(reference: str) -> list[str]:
    done = subprocess.run(
        ["skopeo", "list-tags", "--tls-verify=false", f"docker://{reference.rpartition(':')[0]}"],
        capture_output=True, check=False,
    )  # fmt: skip
    return sorted(json.loads(done.stdout)["Tags"]) if done.returncode == 0 else []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--no-cache",), "--cached-only needs a cache"),
        (("--tar-path=x.tar",), "--cached-only writes no image"),
        (("--output=type=local,dest=x",), "--cached-only writes no image"),
    ],
)
def test_usage(folder: Path, words: tuple[str, ...], said: str) -> None:
    done = build(folder, "localhost:1/a", "--cached-only", *words)
    assert done.returncode == 1 and said in done.stderr


FORMS = {
    "an archive of docker save": ("--tar-path={file}", "{file}"),
    "an OCI layout": ("--oci-layout-path={file}", "{file}"),
    "an OCI archive": ("--output=type=oci,dest={file}", "{file}"),
}


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("form", "compression"),
    [(form, each) for form in FORMS for each in ("gzip", "zstd") if "docker save" not in form or each == "gzip"],
)
def test_what_was_scanned_is_what_is_pushed(folder: Path, host: str, tmp_path: Path, form: str, compression: str) -> None:
    """Build only, look at the image, push only: the same bits, by the digest that the build said."""
    flag, path = FORMS[form]
    file = str(tmp_path / "image")
    name = f"{host}/later/{form.replace(' ', '-').lower()}-{compression}:1"
    words = ("--no-push", flag.format(file=file), f"--digest-file={tmp_path / 'digest'}", f"--compression={compression}",
             f"--state-dir={tmp_path / 'state'}")  # fmt: skip
    made = gazami("build", str(folder), "-t", name, *words)
    assert made.returncode == 0, made.stderr
    said = gazami("push", path.format(file=file), "-t", name)
    assert said.returncode == 0, said.stderr
    raw = subprocess.run(["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{name}"], capture_output=True, check=True)
    pushed = subprocess.run(["sha256sum"], input=raw.stdout, capture_output=True, check=True).stdout.decode().split()[0]
    assert said.stdout.strip() == f"sha256:{pushed}"
    assert (tmp_path / "digest").read_text() == f"sha256:{pushed}"
