"""``--index``: builds on several machines make one index, whoever comes last."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.integration.commandline.conftest import host
from tests.programs import gazami

__all__ = ["host"]
pytestmark = [pytest.mark.service]
PLATFORMS = ("linux/amd64", "linux/arm64", "linux/arm/v7")


def inspected(reference: str, *words: str) -> dict[str, Any]:
    command = ["skopeo", "inspect", "--tls-verify=false", *words, f"docker://{reference}"]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def exists(reference: str) -> bool:
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def build(tmp_path: Path, platform: str, run: str, *words: str) -> subprocess.CompletedProcess[str]:
    folder = tmp_path / "context"
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    return gazami("build", str(folder), f"--platform={platform}", f"--index={','.join(PLATFORMS)}", f"--index-run={run}",
                  f"--state-dir={tmp_path / 'state'}", *words)  # fmt: skip


def test_the_last_build_makes_the_index(host: str, tmp_path: Path) -> None:
    names = ("-t", f"{host}/index/a:1", "-t", f"{host}/index/a:2", "-t", f"{host}/index/b:1")
    for number, platform in enumerate(PLATFORMS):
        assert not exists(f"{host}/index/a:1")
        done = build(tmp_path, platform, "r1", *names, f"--digest-file={tmp_path / str(number)}")
        assert done.returncode == 0, done.stderr
    assert "finishes last pushes the index" not in done.stderr and "Pushed the index" in done.stderr
    raw = inspected(f"{host}/index/a:1", "--raw")
    assert [each["platform"].get("variant", each["platform"]["architecture"]) for each in raw["manifests"]] == [
        "amd64", "arm64", "v7",
    ]  # fmt: skip
    assert inspected(f"{host}/index/a:2", "--raw") == inspected(f"{host}/index/b:1", "--raw") == raw
    assert inspected(f"{host}/index/a:1")["Digest"] == (tmp_path / "2").read_text()
    assert inspected(f"{host}/index/b:1", "--override-arch=arm64", "--config")["architecture"] == "arm64"
    assert (tmp_path / "0").read_text() == raw["manifests"][0]["digest"]  # not the last: its own image


def test_another_run_does_not_count(host: str, tmp_path: Path) -> None:
    for number, platform in enumerate(PLATFORMS):
        assert build(tmp_path, platform, f"other-{number}", "-t", f"{host}/index/mixed").returncode == 0
    assert not exists(f"{host}/index/mixed:latest")


def test_all_at_once(host: str, tmp_path: Path) -> None:
    ends: list[int] = []
    threads = [
        threading.Thread(target=lambda each=each: ends.append(build(tmp_path, each, "r2", "-t", f"{host}/index/c").returncode))
        for each in PLATFORMS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [0, 0, 0]
    assert len(inspected(f"{host}/index/c", "--raw")["manifests"]) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--index=linux/amd64", "-t", "r.example/a"), "go together"),
        (("--index=linux/amd64", "--index-run=a/b", "-t", "r.example/a"), "go together"),
        (("--index-run=a", "-t", "r.example/a"), "go together"),
        (("--index=linux/s390x", "--index-run=a", "--platform=linux/arm64", "-t", "r.example/a"), "does not name linux/arm64"),
        (("--index=linux/amd64", "--index-run=a", "--platform=linux/amd64", "--no-push"), "needs a push"),
    ],
)
def test_wishes_that_cannot_be(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = gazami("build", str(tmp_path), *words)
    assert done.returncode == 1 and said in done.stderr, done.stderr
