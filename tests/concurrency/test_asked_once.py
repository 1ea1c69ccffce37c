"""What cannot be had is asked for once: an inline cache that is away costs one patience, not one for each step; and a phase that
fails ends its line, also when the build goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.strict_registry import Quirks, strict_registry

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]


@pytest.mark.parametrize("quirks", [Quirks(denied="GET "), Quirks()], ids=["refused", "missing"])
def test_an_inline_cache_is_asked_once(context: Path, quirks: Quirks) -> None:
    steps = "".join(f"COPY file /{n}\n" for n in range(20))
    (context / "Dockerfile").write_text(f"FROM scratch\n{steps}")
    with strict_registry(quirks) as other:
        done = gazami(
            "build", str(context), "--no-push", f"--state-dir={context.parent / 'state'}", "--cache",
            "--cache-copy-layers", f"--cache-repo=oci:{context.parent / 'cache'}", f"--cache-from={other.host}/app/app:1",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = [path for method, path, _ in other.seen if path.endswith("/manifests/1")]
    assert len(asked) == 1


def test_a_phase_that_fails_ends_in_the_build_that_goes_on(context: Path) -> None:
    """A cached layer is damaged: reading it fails, and all is done again without the cache."""
    cache, state = context.parent / "cache", context.parent / "state"
    (context / "file").write_bytes(bytes(range(256)) * 5000)
    (context / "Dockerfile").write_text("FROM scratch AS a\nCOPY file /d/\nFROM scratch\nCOPY --from=a /d /e\n")
    flags = [
        "build", str(context), "--no-push", f"--state-dir={state}", "--cache", "--cache-copy-layers",
        f"--cache-repo=oci:{cache}",
    ]  # fmt: skip
    assert gazami(*flags).returncode == 0
    for blob in (cache / "blobs/sha256").iterdir():
        data = bytearray(blob.read_bytes())
        if data.startswith(b"\x1f\x8b") and len(data) > 3000:  # a layer
            data[len(data) // 2] ^= 1
            blob.write_bytes(bytes(data))
    (context / "Dockerfile").write_text("FROM scratch AS a\nCOPY file /d/\nFROM scratch\nCOPY --from=a /d /f\n")
    for index in (state / "indexes").glob("*"):
        index.unlink()
    done = gazami(*flags, "--log-format=events")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stderr.splitlines()]
    started = [each["key"] for each in records if each["event"] == "PhaseStarted"]
    ended = [each["key"] for each in records if each["event"] == "PhaseFinished"]
    assert sorted(started) == sorted(ended)
    assert any(each.get("failed") for each in records), done.stderr
    assert "damaged" in done.stderr
    again = gazami(*flags, "--log-format=events")
    assert again.returncode == 0, again.stderr
    assert "damaged" not in again.stderr  # what was built again took the place of the damaged layer
    finished = [each for each in map(json.loads, again.stderr.splitlines()) if each["event"] == "StepFinished"]
    assert [each["cached"] for each in finished] == [True]  # the last stage; the other one is not needed any more
