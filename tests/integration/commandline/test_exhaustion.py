"""Each resource run out for real: the error names it and what there is, none is called a bug. The control has no limit."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.service]
as_root = pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
STEPS = 12


@pytest.fixture
def filled(context: Path) -> Path:
    for number in range(STEPS):
        (context / f"f{number}").write_bytes(os.urandom(200_000))
    (context / "Dockerfile").write_text("FROM scratch\n" + "".join(f"COPY f{n} /\n" for n in range(STEPS)))
    return context


def gazami(
    context: Path, state: Path, *words: str, before: tuple[str, ...] = (), limit: tuple[int, int] | None = None
) -> tuple[int, str]:
    def limited() -> None:
        if limit is not None:
            resource.setrlimit(limit[0], (limit[1], limit[1]))

    command = [*before, sys.executable, "-m", "gazami", "build", str(context), "--no-push", f"--state-dir={state}", *words]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limited, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert "bug in gazami" not in said
    assert "Traceback" not in said
    return done.returncode, said


def in_tmpfs(place: Path, options: str) -> tuple[str, ...]:
    """A command before another one, which has a small tmpfs at ``place`` in a mount namespace of its own."""
    place.mkdir()
    return ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o {options} none {place} && exec "$@"', "sh")


def test_without_a_limit_it_builds(filled: Path, tmp_path: Path) -> None:
    assert gazami(filled, tmp_path / "s")[0] == 0


def test_descriptors(filled: Path, tmp_path: Path) -> None:
    status, said = gazami(filled, tmp_path / "s", limit=(resource.RLIMIT_NOFILE, 6))
    assert (status, "out of file descriptors: this process may have 6" in said, "ulimit -n" in said) == (1, True, True)


@pytest.mark.parametrize("count", [1000, 100_000])
def test_the_size_of_files(count: int, filled: Path, tmp_path: Path) -> None:
    status, said = gazami(filled, tmp_path / "s", limit=(resource.RLIMIT_FSIZE, count))
    assert status == 1
    assert f"File too large (limit {count / 1000:.1f} kB)" in said
    assert "ulimit -f" in said


def test_memory(filled: Path, tmp_path: Path) -> None:
    """Wherever it runs out: some of these sizes end the interpreter before gazami begins."""
    told = 0
    for size in range(30, 100, 6):
        command = [sys.executable, "-m", "gazami", "build", str(filled), "--no-push", f"--state-dir={tmp_path / 's'}"]
        bound = (size << 20, size << 20)
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=120,
            preexec_fn=lambda bound=bound: resource.setrlimit(resource.RLIMIT_AS, bound),
        )  # fmt: skip
        assert "bug in gazami" not in done.stderr
        told += "out of memory (address space" in done.stderr or "cannot start a thread" in done.stderr
    assert told


@as_root
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_processes(count: int, filled: Path, tmp_path: Path) -> None:
    """Root has no such limit: user 54321 with the right to read what is root's."""
    state = tmp_path / "s"
    state.mkdir(mode=0o700)
    os.chown(state, 54321, 54321)
    caps = "-all,+dac_override,+dac_read_search"
    before = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", f"--inh-caps={caps}", f"--ambient-caps={caps}",
              f"--bounding-set={caps}")  # fmt: skip
    assert gazami(filled, state, before=before)[0] == 0
    status, said = gazami(filled, state, before=(*before, "prlimit", f"--nproc={count}"))
    if status:
        assert "cannot start" in said
        assert "ulimit -u" in said
    else:
        assert count > 3


@as_root
def test_a_full_disk(filled: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    before = in_tmpfs(small, "size=1m")
    status, said = gazami(filled, small / "s", before=before)
    assert status == 1
    assert "o space left" in said
    assert "--state-dir" in said
    status, said = gazami(filled, tmp_path / "s", f"--tar-path={small / 'o.tar'}", before=before)
    assert status == 1
    assert f"cannot write the archive {small / 'o.tar'}: No space left" in said
    assert "1.0 MB" in said, "how large it is"


@as_root
def test_no_inodes(filled: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    status, said = gazami(filled, small / "s", before=in_tmpfs(small, "nr_inodes=12"))
    assert status == 1
    assert "of 12 inodes are free" in said


@as_root
@pytest.mark.sandbox
def test_a_base_that_does_not_fit_is_not_pulled(busybox: str, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN true\n")
    small = tmp_path / "small"
    status, said = gazami(context, small / "s", before=in_tmpfs(small, "size=300k"))
    assert status == 1
    assert "the base images do not fit" in said
    assert "MB compressed" in said and "MB free" in said
    assert gazami(context, small / "s", before=in_tmpfs(tmp_path / "more", "size=1m"))[0] == 0, "a control with room"
    (context / "Dockerfile").write_text(f"FROM {busybox}\nENV a=1\n")  # nothing is unpacked
    assert (
        gazami(
            context,
            small / "s",
            before=("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=300k none {small} && exec "$@"', "sh"),
        )[0]
        == 0
    )


@as_root
def test_permissions_name_what_the_path_is(filled: Path, tmp_path: Path) -> None:
    nobody = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=-all,+dac_read_search",
              "--ambient-caps=-all,+dac_read_search", "--bounding-set=-all,+dac_read_search")  # fmt: skip
    state = tmp_path / "s"
    state.mkdir(mode=0o700)
    os.chown(state, 54321, 54321)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    status, said = gazami(filled, state, f"--tar-path={closed / 'o.tar'}", before=nobody)
    assert (status, f"--tar-path: cannot write {closed / 'o.tar'}: Permission denied" in said) == (1, True)
    assert "--state-dir" not in said
    status, said = gazami(filled, closed / "s", before=nobody)
    assert (status, f"cannot use the state directory {closed / 's'}: Permission denied" in said) == (1, True)
    assert "--state-dir" in said
