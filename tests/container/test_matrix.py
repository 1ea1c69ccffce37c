"""Every environment that podman can make × every kind of root: the isolation that a RUN finds, and exactly what is built.

What is expected of an environment is said in ``environments.py``. Where RUN steps are refused, the same roots build without them.
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conformance.flatten import File
from tests.container.bases import MARK, ROOTS, compiled
from tests.container.conftest import LIMITS, ROOT, Executor, Podman
from tests.container.environments import ENVIRONMENTS, REFUSING, RUNNING
from tests.container.pushed import pushed

SITE = ROOT / "examples/site"
STEPS = """
RUN echo one > /one && chown 33:33 /one && mkdir /d && chmod 1777 /d
COPY file /copied
RUN cat /one /copied > /two && rm /copied
COPY --from={other} /etc/group /group
USER www-data
RUN id -u > /tmp/who
"""
COPIES = "\nCOPY --chown=33:33 file /one\nWORKDIR /d\nCOPY --from={other} /etc/group /group\n"
STARTS_A_DYNAMIC_PROGRAM = 'RUN ["/hello"]\nRUN /hello > /said\n'


def file(content: str, owner: int = 0, mode: str = "0o644") -> File:
    data = content.encode()
    return {
        "kind": "file", "uid": owner, "gid": owner, "mode": mode, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(),
    }  # fmt: skip


MADE = {
    "one": file("one\n", 33),
    "two": file("one\ncopied\n"),
    "tmp/who": file("33\n", 33),
    "d": {"kind": "dir", "uid": 0, "gid": 0, "mode": "0o1777"},
}
SAID = {"said": file("hello of musl\n")}


@dataclass(frozen=True, slots=True)
class Base:
    """A root in the registry: its name there, its files, and what the RUN steps of its row add to :data:`STEPS`."""

    name: str
    files: dict[str, File]

    @property
    def steps(self) -> str:
        return (STARTS_A_DYNAMIC_PROGRAM if "hello" in self.files else "") + STEPS

    @property
    def made(self) -> dict[str, File]:
        return MADE | (SAID if "hello" in self.files else {}) | {"group": self.files["etc/group"]}


@pytest.fixture(scope="module", params=ROOTS)
def base(request: pytest.FixtureRequest, podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Base:
    folder = tmp_path_factory.mktemp(request.param)
    root = ROOTS[request.param](folder / "root")
    for name in ("dev", "proc", "sys"):  # as images have them; those that a RUN has to make stay, as BuildKit's do
        (root / name).mkdir()
    name = podman.image_of(root, request.param)
    return Base(name, pushed(name, folder)[1])


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "file").write_text("copied\n")
    return folder


@pytest.mark.parametrize("what", RUNNING)
def test_run_gives_precisely_the_files_of_base_and_steps(
    what: str, base: Base, podman: Podman, executor: Executor, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text(f"FROM {base.name}\n{base.steps.format(other=podman.base)}")
    target = f"{podman.registry}/matrix:{RUNNING.index(what)}"
    done = executor.build(what, f"--destination={target}", context=context)
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    assert f"isolated by {ENVIRONMENTS[what].mode}" in log
    assert "POISONED" not in log and "PRELOADED" not in log and not (context / "marked").exists()
    assert log.count("hello of musl") == ("hello" in base.files)
    _, files = pushed(target, tmp_path)
    assert {name: files[name] for name in base.made} == base.made
    assert files == base.files | base.made


@pytest.mark.parametrize("what", REFUSING)
def test_where_run_is_refused_the_same_roots_build_without(
    what: str, base: Base, podman: Podman, executor: Executor, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text(f"FROM {base.name}\n{base.steps.format(other=podman.base)}")
    (context / "Copies").write_text(f"FROM {base.name}\n{COPIES.format(other=podman.base)}")
    target = f"{podman.registry}/refused:{REFUSING.index(what)}"
    assert_refused(executor.build(what, f"--destination={target}", context=context))
    done = executor.build(what, f"--destination={target}", "--dockerfile=Copies", context=context)
    assert done.returncode == 0, done.stderr
    directory = {"kind": "dir", "uid": 0, "gid": 0, "mode": "0o755"}
    made = {"one": file("copied\n", 33), "d": directory, "group": base.files["etc/group"]}
    assert pushed(target, tmp_path)[1] == base.files | made


def assert_refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1
    assert "RUN steps cannot be isolated here" in done.stderr
    assert "CAP_SYS_ADMIN" in done.stderr


@pytest.mark.parametrize("what", RUNNING)
def test_apt_get_install(what: str, podman: Podman, executor: Executor, debian: str) -> None:
    """The example of the demo: two stages, Debian, a package with a daemon; podman runs what came out."""
    target = f"{podman.registry}/site:{RUNNING.index(what)}"
    done = executor.build(what, f"--build-arg=BASE={debian}", f"--destination={target}", context=SITE)
    assert f"isolated by {ENVIRONMENTS[what].mode}" in done.stderr
    assert done.returncode == 0, done.stderr
    command = podman.command("run", "--rm", *LIMITS, "--network", "host", "--tls-verify=false", target)
    seen = subprocess.run(
        [*command, "sh", "-c", "nginx -t && stat -c %U:%G /var/www/html/index.html"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout == "www-data:www-data\n"


@pytest.mark.parametrize("what", REFUSING)
def test_apt_get_install_is_refused(what: str, executor: Executor, debian: str) -> None:
    assert_refused(executor.build(what, f"--build-arg=BASE={debian}", "--no-push", context=SITE))


def test_the_preloaded_library_would_be_noticed(tmp_path: Path) -> None:
    """The control of the hostile root: the same library where a program loads it."""
    compiled(MARK, tmp_path / "mark.so", "gcc", "-shared", "-fPIC", "-nostdlib")
    environ = {"LD_PRELOAD": str(tmp_path / "mark.so")}
    done = subprocess.run(["/bin/true"], env=environ, cwd=tmp_path, capture_output=True, check=True)
    assert b"PRELOADED" in done.stderr
    assert (tmp_path / "marked").exists()
