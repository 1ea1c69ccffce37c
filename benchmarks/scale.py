"""Many builders at one cache, on this machine: requests, time, and how often each step ran. ``make scale``.

Builders are threads of a few processes, each with a state directory of its own, and all begin at once. They share a registry in
memory that keeps to the letter of the protocol (tests/strict_registry.py), in a process of its own. Of the builds of one Dockerfile
some are distinct: their second RUN sees another argument.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from tests.roots import busybox_root  # noqa: E402
from tests.strict_registry import Quirks, strict_registry  # noqa: E402

import gazami  # noqa: E402
from gazami import events  # noqa: E402

DOCKERFILE = """\
FROM {host}/base
RUN sleep {seconds}; head -c 100000 /dev/urandom > /dependencies
ARG FLAVOR
RUN echo "$FLAVOR" > /flavor; sleep {seconds}; head -c 1000 /dev/urandom > /program
COPY own /own
"""
START = multiprocessing.get_context("spawn")


@dataclass
class Outcome:
    """One build: ``waits`` are how its waits for others ended."""

    seconds: float = 0.0
    requests: int = 0
    ran: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    layers: tuple[str, ...] = ()
    error: str = ""


def serve(address: Any, over: Event, answers: Any) -> None:
    """A registry until ``over``; then how often it was asked what."""
    with strict_registry(Quirks(digests=True)) as registry:
        address.put(registry.host)
        over.wait()
        answers.put(Counter(f"{method} {kind_of(path)} {status // 100}xx" for method, path, status in registry.seen))


def kind_of(path: str) -> str:
    if path.endswith(".lease"):
        return "lease"
    return next((kind for kind in ("manifests", "uploads", "blobs") if f"/{kind}/" in path), "other")


def build(host: str, place: Path, number: int, flavor: str, flags: list[str], caches: str) -> Outcome:
    outcome, began = Outcome(), time.monotonic()
    context = place / f"context-{number}"
    context.mkdir()
    (context / "own").write_text(str(number))
    shutil.copy(place / "Dockerfile", context)

    def note(event: object) -> None:
        match event:
            case events.StepStarted(cached=False) if event.text.startswith("RUN"):
                outcome.ran.append(f"{event.text[:20]} {flavor if 'FLAVOR' in event.text else ''}")
            case events.StepWaited():
                outcome.waits.append(event.how)
            case events.BuildFinished():
                outcome.requests = event.requests

    try:
        image = gazami.build(
            context, tags=[f"{host}/app:{number}"], cache_repo=caches, build_args={"FLAVOR": flavor}, on_event=note,
            flags=[f"--state-dir={place / f'state-{number}'}", *flags],
        )  # fmt: skip
        outcome.layers = image.layers
    except Exception as error:
        outcome.error = f"{type(error).__name__}: {error}"
    outcome.seconds = time.monotonic() - began
    return outcome


def work(barrier: Barrier, results: Any, numbers: list[int], told: dict[str, Any]) -> None:
    """Some of the builders: a thread each."""
    threading.stack_size(512 * 1024)
    barrier.wait()
    with ThreadPoolExecutor(len(numbers)) as pool:
        made = [
            pool.submit(build, told["host"], Path(told["place"]), n, told["flavors"][n], told["flags"], told["caches"])
            for n in numbers
        ]
        results.put([each.result() for each in made])


@contextmanager
def registry() -> Iterator[tuple[str, Any]]:
    address, answers, over = START.Queue(), START.Queue(), START.Event()
    process = START.Process(target=serve, args=(address, over, answers), daemon=True)
    process.start()
    try:
        yield address.get(timeout=30), lambda: (over.set(), answers.get(timeout=60))[1]
    finally:
        over.set()
        process.join(10)


def simulate(builders: int, distinct: int, processes: int, seconds: float, flags: list[str], shards: int = 1) -> dict[str, Any]:
    """All builders at once; what came of it."""
    with tempfile.TemporaryDirectory() as folder, registry() as (host, seen):
        place = Path(folder)
        (place / "base").mkdir()
        busybox_root(place / "base/root")
        (place / "base/Dockerfile").write_text("FROM scratch\nCOPY root /\n")
        gazami.build(place / "base", tags=[f"{host}/base"], flags=[f"--state-dir={place / 'state'}", "--local-cache=off"])
        (place / "Dockerfile").write_text(DOCKERFILE.format(host=host, seconds=seconds))
        flavors = [f"flavor-{n}" if n < distinct else "same" for n in range(builders)]
        caches = ",".join(f"{host}/cache/{n}" for n in range(shards))
        told = {"host": host, "place": str(place), "flavors": flavors, "flags": flags, "caches": caches}
        barrier, results = START.Barrier(processes + 1), START.Queue()
        workers = [
            START.Process(target=work, args=(barrier, results, list(range(builders))[each::processes], told), daemon=True)
            for each in range(processes)
        ]
        for worker in workers:
            worker.start()
        barrier.wait()
        began = time.monotonic()
        outcomes: list[Outcome] = [outcome for _ in workers for outcome in results.get(timeout=1800)]
        took = time.monotonic() - began
        for worker in workers:
            worker.join(60)
        return summary(outcomes, took, seen())


def summary(outcomes: list[Outcome], took: float, seen: Counter[str]) -> dict[str, Any]:
    ran = Counter(step for each in outcomes for step in each.ran)
    times, requests = sorted(each.seconds for each in outcomes), sorted(each.requests for each in outcomes)
    return {
        "builds": len(outcomes),
        "failed": [each.error for each in outcomes if each.error],
        "seconds": round(took, 1),
        "steps": len(ran),
        "runs": ran.total(),
        "most runs of a step": max(ran.values()),
        "waits": dict(Counter(how for each in outcomes for how in each.waits)),
        "build seconds, median": round(statistics.median(times), 1),
        "build seconds, longest": round(times[-1], 1),
        "requests of a build, median": int(statistics.median(requests)),
        "requests of a build, most": requests[-1],
        "requests a second": round(seen.total() / took),
        "requests": dict(sorted(seen.items())),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builders", type=int, default=200)
    parser.add_argument("--distinct", type=int, default=20, help="of these, builders whose second step is their own")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5.0, help="what each RUN takes")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("flags", nargs="*", default=["--cache-lease=on"], help="flags of gazami build")
    given = parser.parse_args()
    found = simulate(given.builders, given.distinct, given.processes, given.seconds, given.flags, given.shards)
    print(json.dumps(found, indent=2))
    sys.exit(1 if found["failed"] else 0)


if __name__ == "__main__":
    main()
