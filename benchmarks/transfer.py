"""Registry throughput, gazami's client and skopeo in turn: an image of 500 MB is pushed to and pulled from docker-registry.

``python benchmarks/transfer.py`` prints wall and processor time with ratios. Both tools move the same OCI layout; every
push goes to a new registry, so that nothing is there already. ``transfer.py push|pull …`` is gazami's side of one run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

LAYERS = 4


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-n", type=int, default=5, help="runs of each tool")
    arguments.add_argument("--size", type=int, default=500, help="MB of the image")
    arguments.add_argument("--state", default="/dev/shm", help="where the registry and the layouts lie")
    wanted = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="gazami-transfer-", dir=wanted.state) as name:
        times = measure(Path(name), wanted.n, wanted.size * 1_000_000)
    print(f"\n{wanted.size} MB in {LAYERS} layers, medians of {wanted.n}; gazami = 1\n")
    print("| what | tool | wall s | min–max | CPU s | wall | CPU |\n|---|---|---|---|---|---|---|")
    for what in ("push", "pull"):
        ours = times[what, "gazami"]
        for tool in ("gazami", "skopeo"):
            found = times[what, tool]
            wall, cpu = (statistics.median(each[part] for each in found) for part in (0, 1))
            own_wall, own_cpu = (statistics.median(each[part] for each in ours) for part in (0, 1))
            spread = f"{min(each[0] for each in found):.2f}–{max(each[0] for each in found):.2f}"
            print(f"| {what} | {tool} | {wall:.2f} | {spread} | {cpu:.2f} | {wall / own_wall:.2f} | {cpu / own_cpu:.2f} |")
    return 0


def measure(folder: Path, runs: int, size: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """``{(what, tool): [(wall, CPU)]}`` in seconds."""
    from tests.services import docker_registry

    layout = make_layout(folder / "layout", size)
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run in range(runs):
        for tool in ("gazami", "skopeo"):
            place = folder / f"registry-{run}-{tool}"
            with docker_registry(place) as registry:
                name = f"{registry.host}/bench/{tool}:1"
                for what, command in commands(tool, name, layout, folder / "pulled").items():
                    times.setdefault((what, tool), []).append(run_timed(command))
            shutil.rmtree(place)
            shutil.rmtree(folder / "pulled")
    return times


def commands(tool: str, name: str, layout: Path, pulled: Path) -> dict[str, list[str]]:
    if tool == "gazami":
        ours = [sys.executable, __file__]
        return {"push": [*ours, "push", str(layout), name], "pull": [*ours, "pull", str(pulled), name]}
    skopeo = ["skopeo", "copy", "-q", "--insecure-policy"]
    return {
        "push": [*skopeo, "--dest-tls-verify=false", f"oci:{layout}:x", f"docker://{name}"],
        "pull": [*skopeo, "--src-tls-verify=false", f"docker://{name}", f"oci:{pulled}:x"],
    }


def run_timed(command: list[str]) -> tuple[float, float]:
    before, started = os.times(), time.monotonic()
    done = subprocess.run(command, capture_output=True, check=False)
    wall, after = time.monotonic() - started, os.times()
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def make_layout(layout: Path, size: int) -> Path:
    """An OCI layout of an image with gzip layers of random bytes."""
    import gzip

    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media_type: str) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    oci = "application/vnd.oci.image"
    diffs, layers = [], []
    for _ in range(LAYERS):
        data = os.urandom(size // LAYERS)
        diffs.append("sha256:" + hashlib.sha256(data).hexdigest())
        layers.append(put(gzip.compress(data, 0), f"{oci}.layer.v1.tar+gzip"))
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{oci}.manifest.v1+json",
        "config": put(json.dumps(config).encode(), f"{oci}.config.v1+json"),
        "layers": layers,
    }
    entry = put(json.dumps(manifest).encode(), f"{oci}.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": "x"}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return layout


# -- gazami's side ----------------------------------------------------------------------------------------------------


def transfer(what: str, place: Path, name: str) -> None:
    """Push the layout at ``place``, or pull all blobs into it, four at a time."""
    from gazami.cancel import Cancel
    from gazami.events import discard
    from gazami.image.reference import parse_reference
    from gazami.registry.client import RegistryClient
    from gazami.registry.credentials import Keychain
    from gazami.registry.options import RegistryOptions

    reference = parse_reference(name)
    with RegistryClient(RegistryOptions(), Keychain(), discard, Cancel()) as client:
        (push if what == "push" else pull)(client, reference, place)


def push(client, reference, place: Path) -> None:  # type: ignore[no-untyped-def]
    from gazami.image.manifest import parse_manifest
    from gazami.registry.transfer import Uploads

    entry = json.loads((place / "index.json").read_text())["manifests"][0]
    raw = (place / "blobs/sha256" / entry["digest"][7:]).read_bytes()
    manifest = parse_manifest(raw, entry["mediaType"])
    with Uploads(client) as uploads:
        for each in (*manifest.layers, manifest.config):
            path = place / "blobs/sha256" / each.digest[7:]
            uploads.submit(reference, each, lambda path=path: path.open("rb"))
        uploads.wait()
    client.push_manifest(reference, raw, manifest.media_type)


def pull(client, reference, place: Path) -> None:  # type: ignore[no-untyped-def]
    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    manifest = client.get_manifest(reference)

    def fetch(descriptor) -> None:  # type: ignore[no-untyped-def]
        with (blobs / descriptor.digest[7:]).open("wb", buffering=0) as file:
            for chunk in client.open_blob(reference, descriptor):
                file.write(chunk)

    with ThreadPoolExecutor(LAYERS) as pool:
        list(pool.map(fetch, (*manifest.layers, manifest.config)))


if __name__ == "__main__":
    if sys.argv[1:2] in (["push"], ["pull"]):
        transfer(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
        raise SystemExit(0)
    raise SystemExit(main())
