"""SIGTERM and Ctrl-C end any build within five seconds, whatever it waits for; and a failure ends what goes on beside it.

The other side accepts and never answers, so a build that does not wake sits there for minutes (a control shows that it does wait).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.strict_registry import Quirks, StrictRegistry, strict_registry

from gazami.cancel import Cancel

pytestmark = [pytest.mark.service, pytest.mark.timeout(120)]
SOON = 5.0
"""Seconds."""


def start(context: Path, dockerfile: str, *arguments: str) -> subprocess.Popen[bytes]:
    (context / "Dockerfile").write_text(dockerfile)
    command = [sys.executable, "-m", "gazami", "build", str(context), f"--state-dir={context.parent / 'state'}"]
    log = (context.parent / "log").open("wb")
    return subprocess.Popen([*command, *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def ends(process: subprocess.Popen[bytes], context: Path, number: signal.Signals) -> None:
    """Signal the build, which waits, and see it end."""
    time.sleep(0.3)
    assert process.poll() is None, (context.parent / "log").read_text()  # the control: it does wait
    begun = time.monotonic()
    process.send_signal(number)
    try:
        status = process.wait(SOON)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(f"still there after {SOON} s: {(context.parent / 'log').read_text()}")
    assert time.monotonic() - begun < SOON
    assert status == 128 + number
    text = (context.parent / "log").read_text()
    assert "Traceback" not in text
    assert "bug in gazami" not in text
    assert not list((context.parent / "state").glob("build-*"))


@pytest.fixture
def both(registry: StrictRegistry, base: str) -> Iterator[Callable[[Quirks], StrictRegistry]]:
    """A second registry with the base in it, that behaves as it is told."""
    with contextlib.ExitStack() as held:

        def make(quirks: Quirks) -> StrictRegistry:
            other = held.enter_context(strict_registry(quirks))
            other.blobs, other.manifests = dict(registry.blobs), dict(registry.manifests)
            return other

        yield make


PULLS = {
    "a manifest": Quirks(silence=r"GET /v2/base/four/manifests"),
    "half a manifest": Quirks(silence=r"GET /v2/base/four/manifests", half=True),
    "a config or a blob": Quirks(silence=r"GET /v2/base/four/blobs"),
    "half a config": Quirks(silence=r"GET /v2/base/four/blobs", half=True),
    "a token": Quirks(silence=r"GET /token", token=True),
}
PUSHES = {
    "the check": Quirks(silence=r"POST .*/blobs/uploads/"),
    "a look": Quirks(silence=r"HEAD .*/blobs/"),
    "the bytes": Quirks(silence=r"PATCH "),
    "the commit": Quirks(silence=r"PUT .*/blobs/"),
    "the manifest": Quirks(silence=r"PUT .*/manifests/"),
    "a token": Quirks(silence=r"GET /token", token=True),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("what", PULLS)
def test_in_a_pull(context: Path, both: Callable[[Quirks], StrictRegistry], what: str, number: signal.Signals) -> None:
    other = both(PULLS[what])
    process = start(context, f"FROM {other.host}/base/four:1\nCOPY file /\n", "--no-push")
    assert other.silent.wait(20)
    ends(process, context, number)


@pytest.mark.parametrize("shape", ["one stage", "several", "a copy to another registry", "an archive"])
def test_in_the_layers_of_a_pull(context: Path, both: Callable[[Quirks], StrictRegistry], shape: str) -> None:
    """The config comes, the layers begin and stop."""
    digests = [digest for (_, digest), data in both(Quirks()).blobs.items() if len(data) > 1 << 20]
    other = both(Quirks(silence=f"GET /v2/base/four/blobs/{digests[0]}", half=True))
    image = f"{other.host}/base/four:1"
    text = f"FROM {image}\nCOPY file /\n"
    flags = ["--no-push"]
    match shape:
        case "several":
            text = f"FROM {image} AS a\nCOPY file /\nFROM {image}\nCOPY --from=a /file /x\n"
        case "a copy to another registry":
            text, flags = f"FROM {image}\nENV A=1\n", [f"-t={both(Quirks()).host}/x/y:1"]
        case "an archive":
            text, flags = f"FROM {image}\nENV A=1\n", ["--no-push", f"--tar-path={context.parent / 'a.tar'}"]
    process = start(context, text, *flags)
    assert other.silent.wait(20)
    ends(process, context, signal.SIGTERM)


@pytest.mark.parametrize("what", PUSHES)
def test_in_a_push(context: Path, what: str) -> None:
    (context / "file").write_bytes(os.urandom(8 << 20))  # more than the kernel's buffers take
    with strict_registry(PUSHES[what]) as other:
        process = start(context, "FROM scratch\nCOPY file /\n", f"-t={other.host}/x/y:1")
        assert other.silent.wait(20)
        ends(process, context, signal.SIGTERM)


@pytest.mark.sandbox
def test_in_an_upload_that_grows(context: Path, both: Callable[[Quirks], StrictRegistry]) -> None:
    other = both(Quirks(silence=r"PATCH "))
    text = f"FROM {other.host}/base/four:1\nRUN head -c 40000000 /dev/urandom > /x; sleep 1\n"
    process = start(context, text, f"-t={other.host}/base/four:2")
    assert other.silent.wait(30)
    ends(process, context, signal.SIGTERM)


@pytest.mark.parametrize("what", ["GET /v2/c/c/manifests", "GET /token"])
def test_in_a_look_up(context: Path, what: str) -> None:
    with strict_registry(Quirks(silence=what, token="token" in what)) as other:
        process = start(
            context, "FROM scratch\nCOPY file /\n", "--no-push", "--cache", "--cache-copy-layers", f"--cache-repo={other.host}/c/c"
        )
        assert other.silent.wait(20)
        ends(process, context, signal.SIGTERM)


@pytest.mark.parametrize(("size", "what"), [(8 << 20, "PATCH "), (100, "PUT .*/blobs/uploads/")], ids=["a layer", "a small one"])
def test_in_what_the_cache_stores(context: Path, size: int, what: str) -> None:
    (context / "file").write_bytes(os.urandom(size))
    with strict_registry(Quirks(silence=what)) as other:
        process = start(
            context, "FROM scratch\nCOPY file /\n", "--no-push", "--cache", "--cache-copy-layers", f"--cache-repo={other.host}/c/c"
        )
        assert other.silent.wait(20)
        ends(process, context, signal.SIGTERM)


@pytest.mark.parametrize("kind", ["never accepts", "never greets", "has no room"])
def test_in_a_connection(context: Path, kind: str) -> None:
    """A port whose connections stay in the kernel, one that does not answer a TLS greeting, one that drops the first packet."""
    with socket.socket() as server, contextlib.ExitStack() as held:
        server.bind(("127.0.0.1", 0))
        server.listen(0 if kind == "has no room" else 8)
        port = server.getsockname()[1]
        if kind == "has no room":
            for _ in range(4):
                other = held.enter_context(socket.socket())
                other.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    other.connect(("127.0.0.1", port))
        flags = [] if kind == "never greets" else ["--insecure-pull"]
        process = start(context, f"FROM 127.0.0.1:{port}/x/y:1\nCOPY file /\n", "--no-push", *flags)
        time.sleep(1.5)
        ends(process, context, signal.SIGTERM)


@pytest.mark.sandbox
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_in_a_command(context: Path, base: str, number: signal.Signals) -> None:
    process = start(context, f"FROM {base}\nRUN echo begun; sleep 100\n", "--no-push")
    until(lambda: "begun\n" in (context.parent / "log").read_text())
    ends(process, context, number)


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_at_the_lock_of_a_directory_cache(context: Path) -> None:
    with held(context.parent / "cache/.lock"):
        flags = ["--no-push", "--cache", "--cache-copy-layers", f"--cache-repo=oci:{context.parent / 'cache'}"]
        process = start(context, "FROM scratch\nCOPY file /\n", *flags)
        until(lambda: "writing layers" in (context.parent / "log").read_text())
        ends(process, context, signal.SIGTERM)


@pytest.mark.sandbox
def test_at_the_lock_of_a_cache_mount(context: Path, base: str) -> None:
    text = f"FROM {base}\nRUN --mount=type=cache,id=x,target=/c,sharing=locked echo again\n"
    (context / "Dockerfile").write_text(text)
    done = gazami("build", str(context), "--no-push", f"--state-dir={context.parent / 'state'}")
    assert done.returncode == 0, done.stderr
    name = hashlib.sha256(b"x").hexdigest()[:32]
    lock = context.parent / f"state/cache-mounts/{name}.lock"
    assert lock.exists()
    with held(lock):
        process = start(context, text, "--no-push")
        until(lambda: "RUN" in (context.parent / "log").read_text())
        ends(process, context, signal.SIGTERM)


# -- a failure ends what goes on beside it -----------------------------------------------------------------------------


@pytest.mark.sandbox
@pytest.mark.parametrize("stuck", ["a blob", "a file", "a command"])
def test_a_failed_stage_ends_its_siblings_at_once(context: Path, base: str, stuck: str) -> None:
    with strict_registry(Quirks()) as other:
        (context / "file").write_bytes(os.urandom(3 << 20))
        assert start(context, "FROM scratch\nCOPY file /\n", f"-t={other.host}/x/y:1").wait(60) == 0
        layer = max(other.blobs, key=lambda key: len(other.blobs[key]))[1]
        other.quirks = Quirks(silence=f"GET /(file|v2/x/y/blobs/{layer})")
        sibling = {
            "a blob": f"FROM {other.host}/x/y:1 AS b\nCOPY Dockerfile /\n",
            "a file": f"FROM scratch AS b\nADD http://{other.host}/file /\n",
            "a command": f"FROM {base} AS b\nRUN sleep 100\n",
        }[stuck]
        ends = "FROM scratch\nCOPY --from=a /etc /a\nCOPY --from=b / /b\n"
        process = start(context, f"FROM {base} AS a\nRUN sleep 2; exit 7\n{sibling}{ends}", "--no-push")
        begun = time.monotonic()
        if stuck != "a command":
            assert other.silent.wait(20)
            begun = time.monotonic()
        status = process.wait(40)
    log = (context.parent / "log").read_text()
    assert status == 7, log
    assert time.monotonic() - begun < 2 + 2 * SOON
    assert not list((context.parent / "state").glob("build-*"))


def test_an_upload_that_fails_ends_the_others_at_once(context: Path) -> None:
    (context / "file").write_bytes(os.urandom(8 << 20))
    (context / "other").write_bytes(b"x")
    with strict_registry(Quirks(silence=r"PATCH /v2/x/", denied=r"PUT /v2/y/|POST /v2/y/")) as registry:
        begun = time.monotonic()
        process = start(
            context,
            "FROM scratch\nCOPY file /\nCOPY other /\n",
            f"-t={registry.host}/x/y:1",
            f"-t=localhost:{registry.host.partition(':')[2]}/y/y:1",
            "--skip-push-permission-check",
        )
        status = process.wait(60)
        assert status == 1, (context.parent / "log").read_text()
        assert time.monotonic() - begun < SOON + 10


def test_an_image_that_cannot_be_had_ends_the_look_for_the_others(context: Path, both: Callable[[Quirks], StrictRegistry]) -> None:
    other = both(Quirks(silence="GET /v2/base/four/manifests"))
    text = f"FROM {other.host}/base/four:1 AS a\nFROM {other.host}/no/such:1\nCOPY --from=a / /\n"
    begun = time.monotonic()
    process = start(context, text, "--no-push")
    assert process.wait(30) == 1
    assert time.monotonic() - begun < SOON + 3
    assert "no/such" in (context.parent / "log").read_text()


# -- the switch itself -------------------------------------------------------------------------------------------------


def test_the_callback_is_called_once_and_not_after_its_context() -> None:
    cancel, calls = Cancel(), []
    with cancel.on_set(lambda: calls.append("left")):
        pass
    with cancel.on_set(lambda: calls.append("in")):
        cancel.set()
        cancel.set()
    with cancel.on_set(lambda: calls.append("late")):
        pass
    assert calls == ["in", "late"]


def test_a_callback_that_fails_keeps_nobody_asleep() -> None:
    cancel, woken = Cancel(), threading.Event()

    def fail() -> None:
        raise OSError("gone")

    with cancel.on_set(fail), cancel.on_set(woken.set):
        cancel.set()
    assert woken.is_set()


def test_a_context_is_not_left_while_its_callback_runs() -> None:
    cancel, inside, go, order = Cancel(), threading.Event(), threading.Event(), []

    def callback() -> None:
        inside.set()
        go.wait(5)
        order.append("called")

    def use() -> None:
        with cancel.on_set(callback):
            inside.wait(5)
        order.append("left")

    user = threading.Thread(target=use)
    user.start()
    time.sleep(0.05)
    setter = threading.Thread(target=cancel.set)
    setter.start()
    inside.wait(5)
    go.set()
    for each in (user, setter):
        each.join(5)
    assert order == ["called", "left"]


def test_parts_are_set_with_the_whole_and_alone() -> None:
    whole = Cancel()
    one, two = whole.part(), whole.part()
    one.set("alone")
    assert (whole.is_set, one.is_set, two.is_set) == (False, True, False)
    whole.set("all")
    assert two.is_set
    assert two.reason == "all"
    assert one.reason == "alone"
