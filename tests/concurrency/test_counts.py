"""What a build costs in things that can be counted, whatever else the machine does: bytes inflated, programs started, requests, and
the most memory of the builder. Each may shrink; who lets one grow writes the new number here, and has seen it then.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.roots import busybox_root
from tests.services import docker_registry

pytestmark = [pytest.mark.service, pytest.mark.sandbox, pytest.mark.root, pytest.mark.timeout(120)]

COUNTED = """
import json, os, subprocess, sys
import gazami.layer.compression as compression
import gazami.registry.transport as transport
from gazami.cli.main import run

counts = {"inflated": 0, "programs": 0}
decoded, popen = compression._decoded, subprocess.Popen

def counting(kind, chunks):
    for chunk in decoded(kind, chunks):
        counts["inflated"] += len(chunk)
        yield chunk

class Counting(popen):
    def __init__(self, *words, **named):
        counts["programs"] += 1
        super().__init__(*words, **named)

made = []
class Seen(transport.Transport):
    def __init__(self, *words):
        super().__init__(*words)
        made.append(self)

compression._decoded = counting
subprocess.Popen = Counting
transport.Transport = Seen
import gazami.builder.inputs.registries as registries
registries.Transport = Seen
status = run(sys.argv[2:], os.environ)
counts["requests"] = sum(each.requests for each in made)
with open("/proc/self/status") as file:  # of this program alone: getrusage(2) counts what the parent had
    counts["memory"] = next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) // 1024
open(sys.argv[1], "w").write(json.dumps(counts))
sys.exit(status)
"""

STEPS = "".join(f"RUN echo {n} > /r{n}\nCOPY file /c{n}\n" for n in range(5))


@dataclass(frozen=True)
class Case:
    """``inflated`` is in sizes of the base's tar. ``before``: the same was built once, with a cache in the registry, on another
    machine."""

    dockerfile: str
    inflated: float
    programs: int
    requests: int
    before: bool = False


CASES = {
    "copy": Case("FROM {base}\nCOPY file /x\n", 1, 0, 13),
    "copy onto a base of the cache": Case("FROM {base}\nCOPY file /x\n", 0, 0, 24, before=True),
    "run": Case("FROM {base}\nRUN echo > /x\n", 1, 1, 13),
    "run, copied from": Case("FROM {base} AS one\nRUN cp -r /bin /made\nFROM scratch\nCOPY --from=one /made /x\n", 1, 1, 13),
    "two stages": Case("FROM {base} AS one\nRUN echo > /x\nFROM {base}\nRUN echo > /y\nCOPY --from=one /x /x\n", 1, 1, 20),
    "all cached": Case("FROM {base}\n" + STEPS, 0, 0, 30, before=True),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry.host


@pytest.fixture(scope="module")
def base(host: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int]:
    """Its name, and the bytes of its tar: some megabytes, in one layer."""
    place = tmp_path_factory.mktemp("base")
    root, tar = busybox_root(place / "root"), place / "rootfs.tar"
    (root / "large").write_bytes(bytes(range(256)) * 8192)
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(tar), "."], check=True)
    (place / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
    done = gazami("build", str(place), "-t", f"{host}/base", f"--state-dir={place / 'state'}")
    assert done.returncode == 0, done.stderr
    return f"{host}/base", tar.stat().st_size


@pytest.mark.parametrize("name", CASES)
def test_counts(name: str, base: tuple[str, int], host: str, tmp_path: Path) -> None:
    case, (reference, size) = CASES[name], base
    context = tmp_path / "context"
    context.mkdir()
    (context / "file").write_text("text")
    (context / "Dockerfile").write_text(case.dockerfile.format(base=reference))
    tag = f"{host}/{name.replace(' ', '-').replace(',', '')}"
    words = ["build", str(context), "-t", tag, "--local-cache=off", "--isolation=namespaces"]
    if case.before:
        words += ["--cache", "--cache-copy-layers", f"--cache-repo={tag}/cache"]
        done = gazami(*words, f"--state-dir={tmp_path / 'before'}")
        assert done.returncode == 0, done.stderr
        if not case.inflated and "base" in name:
            (context / "file").write_text("another text")
        words[words.index(tag)] = f"{tag}/again"
    counted = [sys.executable, "-c", COUNTED, str(tmp_path / "counts"), *words, f"--state-dir={tmp_path / 'state'}"]
    done = subprocess.run(counted, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    counts = json.loads((tmp_path / "counts").read_text())
    print(name, counts, f"inflated {counts['inflated'] / size:.2f} bases")
    assert counts["inflated"] <= case.inflated * size * 1.05 + 50_000, counts
    assert counts["programs"] <= case.programs, counts
    assert counts["requests"] <= case.requests, counts
    assert counts["memory"] <= 60, counts
