"""gazami and installed peers on the same workloads, in turn, in one run: wall time, CPU time and peak memory as ratios.

``make bench`` runs it. Each run starts with an empty state and pushes to a new repository of a registry on loopback; runs of
the tools alternate, so that a machine that changes its speed changes it for all. Results go to ``benchmarks/results.md``.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.debian import debian_rootfs  # noqa: E402
from tests.roots import busybox_root  # noqa: E402
from tests.services import docker_registry  # noqa: E402


@dataclass(frozen=True)
class Workload:
    name: str
    what: str
    dockerfile: str
    prepare: Callable[[Path], None] = lambda _: None
    cached: bool = False
    """Built once with a cache in the registry before it is measured, from an empty state, with that cache."""
    change: Callable[[Path], None] = lambda _: None
    """What changes in the context between the two."""


@dataclass(frozen=True)
class Measure:
    wall: float
    cpu: float
    memory: float
    """Peak of the sum over the process tree of anonymous resident memory, MB."""


def payload(folder: Path) -> None:
    (folder / "app").mkdir()
    for number in range(20):
        (folder / "app" / f"module{number}.py").write_bytes(os.urandom(50_000).hex().encode())


WORKLOADS = (
    Workload("copy-only", "COPY of 2 MB onto a Debian base", "FROM $BIG\nCOPY app /app\n", payload),
    Workload(
        "many-files",
        "RUN makes 30 000 small files (300 MB)",
        "FROM $BIG\nRUN mkdir /m && cd /m && for d in $(seq 30); do mkdir $d; head -c 10000000 /dev/urandom | "
        "split -b 10000 -a 4 - $d/f; done\n",
    ),
    Workload(
        "one-gigabyte",
        "RUN makes 1 GB in 4 files",
        "FROM $BIG\nRUN for f in 1 2 3 4; do head -c 128000000 /dev/urandom >/r$f; cat /usr/lib/x86_64-linux-gnu/*.so* "
        "| head -c 128000000 >>/r$f; done\n",
    ),
    Workload("trivial-runs", "fifteen trivial RUNs", "FROM $SMALL\n" + "".join(f"RUN echo {n} >/f{n}\n" for n in range(15))),
    Workload(
        "multi-stage",
        "20 000 files from a builder stage to a small base",
        "FROM $SMALL AS b\nRUN mkdir /m && cd /m && for d in $(seq 20); do mkdir $d; for f in $(seq 1000); do echo $d$f "
        ">$d/$f; done; done\nFROM $SMALL\nCOPY --from=b /m /m\n",
    ),
)


STEPS = "".join(
    f"RUN echo {n} >/r{n}; seq {n}0000 >/s{n}\n" + (f"COPY app/module{n}.py /app/\n" if n < 4 else "") for n in range(8)
)
WORKLOADS += (
    Workload(
        "copy-only-seen",
        "copy-only again, on a base whose index the cache has",
        "FROM $BIG\nCOPY app /app\n",
        payload,
        True,
        lambda context: (context / "app/module0.py").write_text("changed"),
    ),
    Workload("all-cached", "eight RUN and four COPY, all in the cache", f"FROM $BIG\n{STEPS}", payload, True),
    Workload(
        "last-copy-changed",
        "the same with another COPY at the end, whose file changed",
        f"FROM $BIG\n{STEPS}COPY app/last /app/\n",
        lambda context: (payload(context), (context / "app/last").write_text("one"))[0],
        True,
        lambda context: (context / "app/last").write_text("two"),  # type: ignore[arg-type,return-value]
    ),
    Workload(
        "four-stages",
        "four stages that do not need each other",
        "".join(f"FROM $SMALL AS s{n}\nRUN sleep 1; seq 300000 >/f; md5sum /f >/sum\n" for n in range(4))
        + "FROM $SMALL\n"
        + "".join(f"COPY --from=s{n} /sum /sum{n}\n" for n in range(4)),
    ),
)


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-n", type=int, default=3, help="runs of each tool on each workload")
    arguments.add_argument("--only", default="", help="comma-separated names of workloads")
    arguments.add_argument("--state", default="/dev/shm", help="where the tools keep their state")
    arguments.add_argument("--limit", type=float, default=0, help="fail when gazami's peak memory is over this many MB")
    arguments.add_argument("--output", default=str(ROOT / "benchmarks" / "results.md"))
    wanted = arguments.parse_args()
    chosen = [each for each in WORKLOADS if not wanted.only or each.name in wanted.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="gazami-bench-", dir=wanted.state) as name:
        folder = Path(name)
        with docker_registry(folder / "registry") as registry:
            host = f"localhost:{registry.port}"
            bases = make_bases(host, folder)
            tables = [measure(each, bases, host, folder, wanted.n) for each in chosen]
    text = report(tables, wanted.n, wanted.state)
    Path(wanted.output).write_text(text)
    print(text)
    worst = max(measure.memory for _, results in tables for measure in results["gazami"])
    if wanted.limit and worst > wanted.limit:
        print(f"gazami's peak memory of {worst:.0f} MB is over the limit of {wanted.limit:.0f} MB", file=sys.stderr)
        return 1
    return 0


# -- tools ------------------------------------------------------------------------------------------------------------


def gazami(context: Path, destination: str, state: Path, dockerfile: Path, cache: str = "") -> list[str]:
    return [
        sys.executable, "-m", "gazami", "build", str(context), "-f", str(dockerfile), "-t", destination,
        f"--state-dir={state}", "-v", "warn", "--local-cache=off",
        *(["--cache", "--cache-copy-layers", f"--cache-repo={cache}"] if cache else []),
    ]  # fmt: skip


def buildah(driver: str) -> Callable[..., list[str]]:
    def command(context: Path, destination: str, state: Path, dockerfile: Path, cache: str = "") -> list[str]:
        store = f"--root {state}/root --runroot {state}/run --storage-driver {driver}"
        build = (
            f"buildah {store} build --isolation chroot --layers --network=host --tls-verify=false -q -f {dockerfile} "
            f"-t {destination} {f'--cache-from {cache} --cache-to {cache}' if cache else ''} {context}"
        )
        return ["sh", "-ec", f"{build} && buildah {store} push -q --tls-verify=false {destination}"]

    return command


def tools() -> dict[str, Callable[..., list[str]]]:
    found: dict[str, Callable[..., list[str]]] = {"gazami": gazami}
    if shutil.which("buildah"):
        found["buildah-overlay"] = buildah("overlay")
        if os.environ.get("BENCH_VFS"):  # unpacks every layer anew: an order of magnitude of its own
            found["buildah-vfs"] = buildah("vfs")
    return found


# -- measuring --------------------------------------------------------------------------------------------------------


def make_bases(host: str, folder: Path) -> dict[str, str]:
    made = {}
    for name, tar in (("BIG", debian_rootfs), ("SMALL", lambda: busybox_tar(folder))):
        context = folder / f"base-{name}"
        context.mkdir()
        shutil.copyfile(tar(), context / "rootfs.tar")
        (context / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
        made[name] = f"{host}/base/{name.lower()}"
        subprocess.run(gazami(context, made[name], folder / "state", context / "Dockerfile"), check=True)
        shutil.rmtree(context)
    return made


def busybox_tar(folder: Path) -> Path:
    root = busybox_root(folder / "busybox")
    tar = folder / "busybox.tar"
    subprocess.run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(tar), "."], check=True)
    return tar


def measure(
    workload: Workload, bases: dict[str, str], host: str, folder: Path, runs: int
) -> tuple[Workload, dict[str, list[Measure]]]:
    context = folder / f"context-{workload.name}"
    context.mkdir()
    workload.prepare(context)
    dockerfile = context / "Dockerfile"
    text = workload.dockerfile
    for name, reference in bases.items():
        text = text.replace(f"${name}", reference)
    dockerfile.write_text(text)
    results: dict[str, list[Measure]] = {name: [] for name in tools()}
    for run in range(runs):
        for name, command in tools().items():
            if name == "buildah-vfs" and run:
                continue  # once is enough to show the order of magnitude
            state = folder / "state"
            state.mkdir(exist_ok=True)
            destination = f"{host}/bench/{workload.name}-{name}-{run}"
            print(f"{workload.name} {name} {run + 1}/{runs}", file=sys.stderr, flush=True)
            cache = f"{host}/cache/{workload.name}-{name}-{run}" if workload.cached else ""
            if cache:
                subprocess.run(command(context, f"{destination}-before", state, dockerfile, cache), check=True, capture_output=True)
                subprocess.run(["rm", "-rf", str(state)], check=False)
                state.mkdir()
                workload.change(context)
            results[name].append(run_measured(command(context, destination, state, dockerfile, cache)))
            subprocess.run(["rm", "-rf", str(state)], check=False)
            shutil.rmtree(context)
            context.mkdir()
            workload.prepare(context)
            dockerfile.write_text(text)
    shutil.rmtree(context)
    return workload, results


def run_measured(command: list[str]) -> Measure:
    before = os.times()
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    peak = [0.0]
    done = threading.Event()
    sampler = threading.Thread(target=sample, args=(process.pid, peak, done))
    sampler.start()
    _, errors = process.communicate()
    wall = time.monotonic() - started
    done.set()
    sampler.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)[:200]} ended with {process.returncode}:\n{errors.decode()[-2000:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Measure(wall, cpu, peak[0])


def sample(pid: int, peak: list[float], done: threading.Event) -> None:
    while not done.wait(0.03):
        peak[0] = max(peak[0], sum(anonymous(each) for each in descendants(pid)) / 1024)


def descendants(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


def anonymous(pid: int) -> int:
    """kB of anonymous resident memory."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


# -- report -----------------------------------------------------------------------------------------------------------


def report(tables: list[tuple[Workload, dict[str, list[Measure]]]], runs: int, state: str) -> str:
    lines = [
        "# Results",
        "",
        f"Made by `benchmarks/run.py -n {runs}` on {platform.machine()}, {os.cpu_count()} processors, Linux "
        f"{platform.release()}, Python {platform.python_version()}; state in {state}. Medians; buildah-vfs ran once. CPU is of the "
        "tool's whole process tree as far as its parent reaps it, memory the peak of its anonymous memory.",
        "",
    ]
    for workload, results in tables:
        lines += [
            f"## {workload.name}: {workload.what}",
            "",
            "| tool | wall s | min–max | CPU s | peak MB | wall, gazami = 1 |",
            "|---|---|---|---|---|---|",
        ]
        ours = statistics.median(each.wall for each in results["gazami"])
        for name, found in results.items():
            walls = [each.wall for each in found]
            lines.append(
                f"| {name} | {statistics.median(walls):.2f} | {min(walls):.2f}–{max(walls):.2f} | "
                f"{statistics.median(each.cpu for each in found):.2f} | {max(each.memory for each in found):.0f} | "
                f"{statistics.median(walls) / ours:.2f} |"
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
