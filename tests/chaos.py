"""Builds under random misfortune: killed, told to end, on a full disk, with connections cut, two on one state directory.

``python -m tests.chaos SECONDS [SEED]`` (``make chaos``). Each of up to 50 Dockerfiles of the conformance suite is first built
in peace, twice. Then, until the time is over, one of them meets one misfortune, and after it is built in peace again with the
same state directory and layer cache. Every end has to be the right image or a clear error, soon; nothing may be left behind,
and nothing wrong be believed later. Needs root and Debian's docker-registry.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.bases import Bases
from tests.programs import gazami
from tests.services import docker_registry

CASES = Path(__file__).parent / "conformance/cases"
MOST = 50
PATIENCE = 60.0
"""Seconds that a build may take which is not told to end."""
ENDING = 12.0
"""Seconds for one that is: five are promised, and this machine is busy."""
WRONG = ("this is a bug", "Traceback")
CLEAR = ("error", "Error", "interrupted")


class Cuttable:
    """A TCP proxy in front of the registry, on loopback; :meth:`cut` closes what goes through it."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open |= {near, far}
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            self._open.discard(each)
            each.close()


@dataclass
class Subject:
    """A Dockerfile with its context, and what a build in peace gives."""

    name: str
    words: tuple[str, ...]
    digest: str = ""
    seconds: float = 0.0


@dataclass
class Chaos:
    place: Path
    chance: random.Random
    proxy: Cuttable
    host: str
    ends: Counter[str] = field(default_factory=Counter)
    number: int = 0

    @property
    def state(self) -> Path:
        return self.place / "state"

    def command(self, subject: Subject, state: str, digest: Path) -> list[str]:
        self.number += 1
        return [
            sys.executable, "-m", "gazami", "build", *subject.words, f"--state-dir={state}", "--reproducible", "--cache",
            f"--cache-repo={self.host}/chaos/cache", f"--destination={self.host}/chaos/{subject.name}:{self.number}",
            "--cache-copy-layers", f"--digest-file={digest}", "--push-retry=0", "--image-download-retry=0",
        ]  # fmt: skip

    def start(self, subject: Subject, state: str | None = None, prefix: tuple[str, ...] = ()) -> Running:
        digest = self.place / f"digest-{self.number}"
        command = [*prefix, *self.command(subject, state or str(self.state), digest)]
        environ = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "PYTHONPATH") if key in os.environ}
        log = (self.place / f"log-{self.number}").open("w+b")
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        return Running(subject, process, log, digest)

    def peace(self, subject: Subject) -> None:
        """A build that nothing happens to gives the right image, whatever there was before."""
        running = self.start(subject)
        status = running.wait(PATIENCE)
        self.judge(running, status, "peace")
        assert status == 0, running.text()

    def judge(self, running: Running, status: int, misfortune: str) -> None:
        text = running.text()
        what = f"{running.subject.name} after {misfortune}, status {status}:\n{text[-3000:]}"
        assert not any(each in text for each in WRONG), what
        if status == 0:
            assert running.digest.read_text() == running.subject.digest, what
        elif misfortune != "kill":
            assert any(each in text for each in CLEAR), what
            assert not running.digest.exists(), what
        self.ends[f"{misfortune}: {'image' if status == 0 else 'error'}"] += 1
        running.remove()

    # -- misfortunes --------------------------------------------------------------------------------------------------

    def kill(self, subject: Subject) -> None:
        running = self.start(subject)
        self.sleep(subject)
        running.process.kill()
        self.judge(running, running.wait(ENDING), "kill")

    def term(self, subject: Subject) -> None:
        running = self.start(subject)
        self.sleep(subject)
        running.process.send_signal(self.chance.choice([signal.SIGTERM, signal.SIGINT]))
        status = running.wait(ENDING)
        if status < 0 or (status in (130, 143) and not running.text()):  # it had not begun yet
            self.ends["term: nothing"] += 1
            running.remove()
            return
        self.judge(running, status, "term")

    def cut(self, subject: Subject) -> None:
        running = self.start(subject)
        for _ in range(self.chance.randint(1, 4)):
            self.sleep(subject)
            self.proxy.cut()
        self.judge(running, running.wait(PATIENCE), "cut")

    def full(self, subject: Subject) -> None:
        size = self.chance.choice([64, 200, 300, 500, 900, 1500, 2500, 4000, 8000])
        mount = f'mount -t tmpfs -o size={size}k none "$0" && exec "$@"'
        small = self.place / "small"
        small.mkdir(exist_ok=True)
        prefix = ("unshare", "--mount", "--propagation", "private", "sh", "-c", mount, str(small))
        running = self.start(subject, f"{small}/state", prefix)
        self.judge(running, running.wait(PATIENCE), "full")

    def two(self, subject: Subject) -> None:
        first, second = self.start(subject), self.start(subject)
        if self.chance.random() < 0.5:
            self.sleep(subject)
            first.process.kill()
            self.judge(first, first.wait(ENDING), "kill")
        else:
            self.judge(first, first.wait(PATIENCE), "two")
        self.judge(second, second.wait(PATIENCE), "two")

    def sleep(self, subject: Subject) -> None:
        time.sleep(self.chance.uniform(0, 1.1 * subject.seconds))

    # -- the whole --------------------------------------------------------------------------------------------------------

    def run(self, subjects: list[Subject], seconds: float) -> None:
        misfortunes = (self.kill, self.term, self.cut, self.full, self.two)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            subject = self.chance.choice(subjects)
            self.chance.choice(misfortunes)(subject)
            self.peace(subject)
        self.nothing_is_left(subjects[0])

    def nothing_is_left(self, subject: Subject) -> None:
        """The last build in peace has removed what killed ones left; no process of theirs lives."""
        self.peace(subject)
        left = [path.name for path in self.state.iterdir() if path.name.startswith(("build-", ".new-"))]
        assert left == [], left
        deadline = time.monotonic() + ENDING
        while (found := processes_of(self.place)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert found == [], found


@dataclass
class Running:
    subject: Subject
    process: subprocess.Popen[bytes]
    log: object
    digest: Path

    def wait(self, seconds: float) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"{self.subject.name} does not end:\n{self.text()[-3000:]}") from None

    def text(self) -> str:
        path = Path(self.log.name)  # type: ignore[attr-defined]
        return path.read_text(errors="replace") if path.exists() else ""

    def remove(self) -> None:
        self.log.close()  # type: ignore[attr-defined]
        Path(self.log.name).unlink(missing_ok=True)  # type: ignore[attr-defined]
        self.digest.unlink(missing_ok=True)


def processes_of(place: Path) -> list[str]:
    """The command lines of gazami's processes that name a folder."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if "gazami" in line and str(place) in line and int(pid) != os.getpid():
                found.append(line)
    return found


def subjects(place: Path, bases: Bases, chance: random.Random, most: int) -> list[Subject]:
    """Dockerfiles on busybox with their contexts, in an order by chance."""
    wanted = [case for case in sorted(CASES.iterdir()) if _is_plain(case)]
    chance.shuffle(wanted)
    found = []
    for case in wanted[:most]:
        context = place / "contexts" / case.name
        if (case / "context").exists():
            shutil.copytree(case / "context", context, symlinks=True)
        context.mkdir(parents=True, exist_ok=True)
        if (case / "prepare.sh").exists():
            subprocess.run(["sh", "-eu", str(case / "prepare.sh")], cwd=context, check=True, capture_output=True)
        words = (str(context), "-f", str(case / "Dockerfile"), *bases.arguments(case / "Dockerfile"))
        found.append(Subject(case.name, words))
    return found


def _is_plain(case: Path) -> bool:
    text = (case / "Dockerfile").read_text(errors="replace")
    return "$BASE" in text and "$DEBIAN" not in text and not (case / "arguments").exists() and "RUN" in text


@contextlib.contextmanager
def prepared(place: Path, seed: int, most: int = MOST) -> Iterator[tuple[Chaos, list[Subject]]]:
    """A registry, a state directory, and Dockerfiles whose images are the same twice."""
    chance = random.Random(seed)
    with docker_registry(place) as registry:
        proxy = Cuttable(registry.port)
        try:
            chaos = Chaos(place, chance, proxy, f"127.0.0.1:{proxy.port}")
            steady = []
            for subject in subjects(place, Bases(chaos.host, place / "store", place / "bases"), chance, most):
                digests, seconds = set(), []
                for _ in range(2):
                    digest, started = place / "calm", time.monotonic()
                    done = gazami("build", *subject.words, "--no-push", "--reproducible", f"--digest-file={digest}",
                                  f"--state-dir={place / 'calm-state'}")  # fmt: skip
                    assert done.returncode == 0, done.stderr
                    seconds.append(time.monotonic() - started)
                    digests.add(digest.read_text())
                if len(digests) == 1:
                    subject.digest, subject.seconds = digests.pop(), min(seconds)
                    steady.append(subject)
            yield chaos, steady
        finally:
            proxy.close()


def main() -> None:
    seconds, seed = float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 30)
    print(f"chaos: {seconds:g} seconds with seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, prepared(Path(name), seed) as (chaos, steady):
        print(f"{len(steady)} Dockerfiles", flush=True)
        chaos.run(steady, seconds)
        for end, count in sorted(chaos.ends.items()):
            print(f"{count:6} {end}")


if __name__ == "__main__":
    main()
