"""The cache that this machine keeps by itself: the second build of a Dockerfile is a cached one, bases included."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.services import Registry, docker_registry

pytestmark = [pytest.mark.service, pytest.mark.sandbox]

AUTO = {"GAZAMI_LOCAL_CACHE": "auto"}
"""As users have it; the tests' own variable turns it off."""

Done = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def base(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """busybox of another repository, in a registry whose log says what is fetched."""
    folder = tmp_path_factory.mktemp("base")
    shutil.copy("/bin/busybox", folder / "busybox")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/\nCOPY busybox /bin/sh\nCOPY busybox /bin/cat\n")
    done = gazami("build", str(folder), f"--state-dir={folder / 'state'}", f"-t={registry.host}/base/busybox:1", "-q")
    assert done.returncode == 0, done.stderr
    return f"{registry.host}/base/busybox:1"


@pytest.fixture
def folder(tmp_path: Path, base: str) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN echo ONE > /one\nCOPY a /a\n")
    return folder


def built(folder: Path, *flags: str, status: int = 0, **variables: str) -> Done:
    words = ["build", str(folder), f"--state-dir={folder.parent / 'state'}", "--local-cache=on", "--progress=raw", *flags]
    done = gazami(*words, env={**os.environ, **variables})
    assert done.returncode == status, done.stderr
    return done


def found(done: Done) -> tuple[int, int]:
    match = re.search(r"Cache oci:.*/state/cache: (\d+) of (\d+) steps? found", done.stderr)
    assert match, done.stderr
    return int(match[1]), int(match[2])


def blobs_fetched(registry: Registry) -> int:
    return len(re.findall(r'"GET /v2/base/busybox/blobs/', registry.log.read_text()))


def test_a_second_build_finds_every_step(folder: Path, registry: Registry) -> None:
    assert found(built(folder)) == (0, 2)
    before = blobs_fetched(registry)
    again = built(folder)
    assert found(again) == (2, 2)
    assert blobs_fetched(registry) - before <= 1  # the config
    (folder / "a").write_text("b")
    assert found(built(folder)) == (1, 2)


def test_a_changed_run_fetches_no_base(folder: Path, base: str, registry: Registry) -> None:
    built(folder)
    before = blobs_fetched(registry)
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN cat /bin/busybox > /dev/null; echo TWO > /two\n")
    assert found(built(folder)) == (0, 1)
    assert blobs_fetched(registry) - before <= 1
    # and where a push needs the layers of the base in another repository, it has them too
    built(folder, f"-t={registry.host}/else/where:1")
    assert blobs_fetched(registry) - before <= 2


def test_a_failed_build_keeps_the_base(folder: Path, base: str, registry: Registry) -> None:
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN exit 3\n")
    built(folder, status=3)
    before = blobs_fetched(registry)
    built(folder, status=3)
    assert blobs_fetched(registry) - before <= 1


@pytest.mark.parametrize("flags, variables", [(["--no-cache"], {}), (["--local-cache=off"], {}), ([], {"CI": "true"})])
def test_it_can_be_off(flags: list[str], variables: dict[str, str], folder: Path) -> None:
    words = ["build", str(folder), f"--state-dir={folder.parent / 'state'}", "--no-push", *flags]
    done = gazami(*words, env={**AUTO, **variables})
    assert done.returncode == 0 and "Cache" not in done.stderr
    assert not (folder.parent / "state/cache").exists()


def test_cache_alone_means_it(folder: Path) -> None:
    words = ["build", str(folder), f"--state-dir={folder.parent / 'state'}", "--no-push", "--cache"]
    assert found(gazami(*words, env=AUTO)) == (0, 2)
    assert found(gazami(*words, env=AUTO)) == (2, 2)


def test_the_executor_has_none(folder: Path) -> None:
    program = [sys.executable, "-m", "gazami.cli.kaniko.executor", "--force", "--no-push", f"--context={folder}"]
    words = [f"--state-dir={folder.parent / 'state'}", "--local-cache=on"]
    done = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (folder.parent / "state/cache").exists()
    done = subprocess.run([*program, *words, "--cache"], capture_output=True, text=True, check=False)
    assert "specify cache repo with --cache-repo" in done.stderr


def test_it_has_a_bound(folder: Path, base: str) -> None:
    for number in range(6):
        (folder / "Dockerfile").write_text(f"FROM {base}\nRUN head -c 300000 /dev/urandom > /f; echo {number}\n")
        (folder / "Dockerfile").write_text(f"FROM scratch\nCOPY big /big{number}\n")
        (folder / "big").write_bytes(os.urandom(300_000))
        built(folder, "--local-cache-max=1m")
    blobs = [path for path in (folder.parent / "state/cache/blobs/sha256").iterdir() if path.is_file()]
    assert 600_000 < sum(path.stat().st_size for path in blobs) < 1 << 20
    assert found(built(folder, "--local-cache-max=1m")) == (1, 1)  # the newest one is there


def test_a_damaged_base_is_fetched_again(folder: Path, base: str) -> None:
    built(folder)
    blobs = folder.parent / "state/cache/blobs/sha256"
    for path in blobs.iterdir():
        if path.stat().st_size > 100_000:
            path.write_bytes(b"x" * path.stat().st_size)
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN echo TWO > /two\n")
    done = built(folder)
    assert "building again without the cache" in done.stderr
    (folder / "Dockerfile").write_text(f"FROM {base}\nRUN echo THREE > /three\n")
    assert "again" not in built(folder).stderr


def test_a_cache_that_cannot_be_written_is_a_warning(folder: Path) -> None:
    (folder.parent / "state").mkdir(mode=0o700)
    (folder.parent / "state/cache").write_text("in the way")
    done = built(folder)
    assert "WARN" in done.stderr and "cannot store layers in the cache" in done.stderr


def test_builds_at_the_same_time_share_it(folder: Path, base: str) -> None:
    def one(number: int) -> Done:
        own = folder.parent / f"src{number}"
        own.mkdir()
        (own / "Dockerfile").write_text(f"FROM {base}\nRUN echo SHARED > /shared\nRUN echo {number} > /own\n")
        return built(own, "--local-cache-max=20m")

    with ThreadPoolExecutor(4) as pool:
        assert all(done.returncode == 0 and "WARN" not in done.stderr for done in pool.map(one, range(4)))
    again = [built(folder.parent / f"src{number}") for number in range(4)]
    assert [found(done) for done in again] == [(2, 2)] * 4


def test_stages_without_hits(folder: Path, base: str) -> None:
    (folder / "Dockerfile").write_text(
        f"FROM {base} AS one\nRUN echo FROM-ONE; echo 1 > /one\nFROM {base} AS two\nRUN echo FROM-TWO; echo 2 > /two\n"
        f"FROM {base}\nCOPY --from=one /one /\nCOPY --from=two /two /\nRUN echo FROM-LAST; cat /one /two\n"
    )
    built(folder)
    assert built(folder).stdout == ""
    done = built(folder, "--no-cache-filter=one")
    assert done.stdout == "FROM-ONE\n"  # and what is copied of it has not changed
    assert "the build has no stage nine" in built(folder, "--no-cache-filter", "nine").stderr


def test_it_is_explained(folder: Path, base: str) -> None:
    def explained(*flags: str) -> str:
        words = ["cache", "explain", str(folder), f"--state-dir={folder.parent / 'state'}", *flags]
        done = gazami(*words, env=AUTO)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert explained().count("MISS") == 2
    built(folder)
    assert explained().count("HIT") == 2 and explained("--local-cache=on", "-t=localhost:1/x").count("HIT") == 2
    (folder / "a").write_text("other")
    assert "HIT   [0] RUN echo ONE" in explained() and "MISS  [0] COPY a /a" in explained()
