"""The executor's file copied alone into other images, and what it does about the copy of /kaniko that it unpacks there."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.container.bases import hostile_root, musl_root
from tests.container.conftest import ROOT, Podman
from tests.container.environments import IN_ANOTHER_IMAGE
from tests.container.pushed import pushed
from tests.programs import gazami

VERSION = "Kaniko version"
USER = ["--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
STARTS = ("/kaniko/executor", "/kaniko/bin/python3 -IB /kaniko/libexec/executor.py")
READ_ONLY = ["--read-only", "--read-only-tmpfs=false", "--tmpfs", "/scratch:rw,exec,mode=1777", "-e", "TMPDIR=/scratch"]


@pytest.fixture(scope="module")
def images(podman: Podman, debian: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Images that have the executor's file and nothing else of gazami, by what they are made from."""
    folder = tmp_path_factory.mktemp("single")
    bases = {
        "scratch": "scratch",
        "musl": podman.image_of(musl_root(folder / "musl/root"), "single-musl"),
        "hostile": podman.image_of(hostile_root(folder / "hostile/root"), "single-hostile"),
        "debian": debian,
    }
    made = {}
    for name, base in bases.items():
        copied = f"COPY --from={podman.image} /kaniko/executor /opt/builder"
        rest = 'ENTRYPOINT ["/opt/builder"]\nWORKDIR /workspace'
        (folder / "Dockerfile").write_text(f"FROM {base}\n{copied}\n{rest}\n")
        made[name] = f"{podman.registry}/single:{name}"
        done = gazami("build", str(folder), f"-t={made[name]}", f"--state-dir={folder / 'state'}")
        assert done.returncode == 0, done.stderr
        subprocess.run(podman.command("pull", "-q", "--tls-verify=false", made[name]), check=True, capture_output=True)
    return made


@pytest.mark.parametrize("options", [[], USER, [*USER, *READ_ONLY]], ids=["root", "user", "read-only"])
@pytest.mark.parametrize("base", ["scratch", "musl", "hostile", "debian"])
def test_the_file_alone_builds(
    base: str, options: list[str], podman: Podman, images: dict[str, str], tmp_path: Path, docker_options: list[str]
) -> None:
    """The registry's name is looked up, files are written, and nothing of the image's own is read."""
    tmp_path.chmod(0o755)
    (tmp_path / "Dockerfile").write_text(f"FROM {podman.base}\nCOPY Dockerfile /of\n")
    tag = f"{podman.registry}/of-single:1"
    done = podman.run([*options, *docker_options], f"--destination={tag}", context=tmp_path, image=images[base])
    log = done.stdout + done.stderr
    if base == "scratch" and options == USER:  # /tmp cannot be made there by a user
        assert done.returncode == 1
        assert "no place to unpack it" in log and "/tmp/gazami-1000: Permission denied" in log
        assert "TMPDIR or GAZAMI_STATE_DIR" in log
        return
    assert done.returncode == 0, log
    assert "POISONED" not in log and "PRELOADED" not in log
    _, files = pushed(tag, tmp_path)
    assert "of" in files


def test_a_run_in_another_image(podman: Podman, images: dict[str, str], docker_options: list[str], tmp_path: Path) -> None:
    """That image's own root is never lent to a step, unless --force says so."""
    (tmp_path / "Dockerfile").write_text(f"FROM {podman.base}\nRUN echo of a step\n")
    done = podman.run(docker_options, "--no-push", context=tmp_path, image=images["debian"])
    log = done.stdout + done.stderr
    assert done.returncode == 0, log
    assert "of a step" in log and f"isolated by {IN_ANOTHER_IMAGE}" in log


def test_git_comes_along(podman: Podman, images: dict[str, str]) -> None:
    done = podman.run([], "--context=git://localhost:1/nothing.git", "--no-push", image=images["scratch"])
    assert done.returncode == 1
    assert "localhost" in done.stderr and "not installed" not in done.stderr


@pytest.fixture(scope="module")
def executor_file(podman: Podman) -> Path:
    """The file, which runs on this machine as anywhere: it has no /kaniko."""
    assert not Path("/kaniko/.program").exists()
    return podman.tree / "kaniko/executor"


def started(
    executor_file: Path, state: Path | None, *words: str, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], **variables}
    if state:
        environ["GAZAMI_STATE_DIR"] = str(state)
    command = [str(executor_file), *(words or ("version",))]
    return subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, check=False)


def program(state: Path) -> Path:
    [folder] = [each for each in state.glob("program-*") if each.is_dir()]
    return folder


def test_a_damaged_copy_is_made_again(executor_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert started(executor_file, state).stdout.startswith(VERSION)
    folder = program(state)
    first = folder.stat().st_ino
    assert started(executor_file, state).stdout.startswith(VERSION)
    assert folder.stat().st_ino == first, "unpacked once"
    library = next(folder.glob("lib/libz.so*"))
    module = folder / "lib/python3.11/dist-packages/gazami/cli/main.pyc"

    def flip() -> None:
        data = bytearray(module.read_bytes())
        data[-1] ^= 1
        times = module.stat()
        module.write_bytes(data)
        os.utime(module, ns=(times.st_atime_ns, times.st_mtime_ns))

    damages = {
        "a file is gone": module.unlink,
        "a bit differs": flip,
        "a library is cut": lambda: os.truncate(library, 100),
        "a mode differs": lambda: (folder / "bin/python3").chmod(0o644),
        "a link leads elsewhere": lambda: (
            (folder / "libexec/executor").unlink(),
            (folder / "libexec/executor").symlink_to("/bin/true"),
        ),
        "others may write": lambda: folder.chmod(0o777),
    }
    for what, damage in damages.items():
        before = folder.stat().st_ino
        damage()
        done = started(executor_file, state)
        assert done.stdout.startswith(VERSION), f"{what}: {done.stderr}"
        assert folder.stat().st_ino != before, f"{what} was not noticed"
        assert sorted(each.name for each in state.iterdir()) == [folder.name, "program.lock"]


def test_a_killed_start_leaves_nothing_that_counts(executor_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    environ = {"GAZAMI_STATE_DIR": str(state)}
    process = subprocess.Popen([str(executor_file), "version"], env=environ, stdout=subprocess.PIPE)
    part = None
    for _ in range(1000):
        part = next((each for each in state.glob("*.part/lib/*")), None)
        if part:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert part, "it was killed while it unpacked"
    assert started(executor_file, state).stdout.startswith(VERSION)
    assert sorted(each.name for each in state.iterdir()) == [program(state).name, "program.lock"]


def test_many_first_starts_at_once(executor_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    environ = {"GAZAMI_STATE_DIR": str(state)}
    every = [
        subprocess.Popen([str(executor_file), "version"], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for each in every:
        out, err = each.communicate(timeout=60)
        assert out.startswith(VERSION), err
    assert program(state)


def test_the_place_is_that_of_the_state(executor_file: Path, tmp_path: Path) -> None:
    """The flag, the variables, in gazami's order; folders of others and ones that are too long are passed over."""
    homes = {"XDG_CACHE_HOME": tmp_path / "xdg", "TMPDIR": tmp_path / "tmp", "HOME": tmp_path / "home"}
    variables = {name: str(path) for name, path in homes.items()}
    (tmp_path / "given").mkdir(mode=0o777)
    assert started(executor_file, None, "version", **variables).returncode == 0
    assert program(homes["XDG_CACHE_HOME"] / "gazami")
    del variables["XDG_CACHE_HOME"]
    assert started(executor_file, None, **variables).returncode == 0
    assert program(homes["TMPDIR"] / f"gazami-{os.getuid()}")
    variables["TMPDIR"] = str(tmp_path / ("long" * 40))
    assert started(executor_file, None, **variables).returncode == 0
    assert program(homes["HOME"] / ".cache/gazami")
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    (tmp_path / "empty").mkdir()
    done = started(executor_file, None, "--no-push", f"--context={tmp_path}", "--state-dir=", **variables, cwd=tmp_path / "empty")
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "empty").iterdir()), "--state-dir=$UNSET is no place, and not the context"
    for words in (["--state-dir", str(tmp_path / "given")], [f"--state-dir={tmp_path / 'other'}"]):
        done = started(executor_file, None, "--no-push", f"--context={tmp_path}", *words, **variables)
        assert done.returncode == 0, done.stderr
    assert program(tmp_path / "given") and program(tmp_path / "other")
    assert (tmp_path / "given").stat().st_mode & 0o77 == 0, "closed, since it holds nothing but state"


@pytest.mark.parametrize("length", [-1, 100, 900_000])
def test_a_file_that_is_not_whole_says_so(length: int, executor_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "executor"
    shutil.copy(executor_file, copy)
    os.truncate(copy, copy.stat().st_size + length if length < 0 else copy.stat().st_size - length)
    done = started(copy, tmp_path / "state")
    assert done.returncode == 1
    assert "not whole: copy it again" in done.stderr


def test_a_byte_of_the_file_differs(executor_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "executor"
    data = bytearray(executor_file.read_bytes())
    data[-1_000_000] ^= 0x55
    copy.write_bytes(data)
    copy.chmod(0o755)
    done = started(copy, tmp_path / "state")
    assert done.returncode == 1
    assert "damaged: copy it again" in done.stderr


def test_the_start_costs_nothing_where_kaniko_is_there(podman: Podman) -> None:
    """Beside that of its Python: blocks of ten starts, one kind after the other, the quickest of each."""
    blocks = [f"for i in 1 2 3 4 5 6 7 8 9 10; do {start} version >/dev/null; done; cat /proc/uptime" for start in STARTS]
    script = "; ".join(["cat /proc/uptime", *(blocks * 4)])
    done = podman.run(["--entrypoint", "/busybox/sh"], "-c", script, image=f"{podman.registry}/gazami:debug")
    times = [float(line.split()[0]) for line in done.stdout.splitlines()]
    spans = [after - before for before, after in itertools.pairwise(times)]
    assert len(spans) == 8, done.stderr
    assert min(spans[::2]) < 1.5 * min(spans[1::2]) + 0.1, spans


def test_the_list_of_states_names_is_the_same() -> None:
    """``executor.c`` closes the same folders as gazami does."""
    from gazami.builder.files.state_directory import _OURS

    text = (ROOT / "deploy/image/executor.c").read_text()
    [names] = re.findall(r"static const char \*names\[\] = \{(.*?)\}", text)
    assert set(re.findall(r'"([^"]+)"', names)) - {".", ".."} == _OURS
