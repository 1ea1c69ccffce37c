"""What a command imports. Start time is mostly imports, and they grow unseen: a name at the top of a module brings twenty more.

Each command is run for real, and says at its end which modules there are. Two things are held: modules that it has no use for
(by name), and how many there are, gazami's own and others, with a little room. Who needs more writes the new number here, and
has seen it then.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.services import docker_registry

RUN = """
import sys
before = set(sys.modules)
words, listing = sys.argv[2:], sys.argv[1]
from gazami.cli.main import run
import os
status = run(words, os.environ)
with open(listing, "w") as file:
    file.write("\\n".join(sorted(set(sys.modules) - before)))
sys.exit(status)
"""

NEVER = frozenset(
    {"dataclasses", "inspect", "ast", "dis", "platform", "asyncio", "multiprocessing", "unittest", "argparse", "pickle"}
    | {
        "rich",
        "boto3",
        "botocore",
        "google",
        "lightkube",
        "cryptography",
        "requests",
        "xml",
        "html",
        "configparser",
        "gazami.cli.tracing",
    }
)
PROTOCOL = frozenset({"ssl", "socket", "http", "email", "urllib3", "gazami.registry.exchange", "gazami.registry.session"})
THREADS = frozenset({"concurrent", "logging", "traceback"})
FILES = frozenset({"tempfile", "shutil", "random", "bz2", "lzma", "zlib", "zipfile", "subprocess", "ctypes", "csv", "base64"})
CACHE = frozenset({"gazami.cache", "gazami.builder.cached"})
SANDBOX = frozenset({"gazami.sandbox.client", "gazami.sandbox.inside", "gazami.rootfs.unpack", "gazami.builder.files.streams"})
BUILDER = frozenset({"gazami.builder.build", "gazami.builder.stages", "gazami.registry.client", "hashlib"})


@dataclass(frozen=True)
class Case:
    """``unwanted`` stands for the modules below each name, too. ``own`` and ``others`` are how many modules there may be."""

    words: str
    unwanted: frozenset[str]
    own: int
    others: int


CASES = {
    "version": Case("--version", NEVER | PROTOCOL | THREADS | FILES | BUILDER | {"typing", "re", "enum", "json"}, 4, 8),
    "help": Case("build --help", NEVER | PROTOCOL | THREADS | FILES | BUILDER | {"pathlib", "json", "threading"}, 28, 38),
    "lint": Case("lint", NEVER | PROTOCOL | THREADS | FILES | SANDBOX | CACHE | {"gazami.builder.build", "hashlib"}, 118, 62),
    "doctor": Case("doctor", NEVER | PROTOCOL - {"socket"} | THREADS - {"traceback"} | CACHE | {"gazami.builder.build"}, 63, 82),
    "build": Case("build . --no-push", NEVER | PROTOCOL | THREADS | FILES - {"zlib"} | SANDBOX | CACHE, 192, 74),
    "own cache": Case("build . --no-push --local-cache=on", NEVER | PROTOCOL | SANDBOX | {"subprocess", "ctypes"}, 217, 99),
    "push": Case("build . -d {host}/app", NEVER | SANDBOX | CACHE | {"subprocess", "ctypes"}, 205, 190),
    "cached": Case("build . -d {host}/app --cache --cache-repo {host}/cache", NEVER | SANDBOX | {"subprocess", "ctypes"}, 225, 190),
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with docker_registry(tmp_path_factory.mktemp("registry")) as registry:
        yield registry.host


@pytest.mark.service
@pytest.mark.parametrize("name", CASES)
def test_a_command_imports_what_it_needs(name: str, tmp_path: Path, host: str) -> None:
    case = CASES[name]
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY hello /hello\n")
    (tmp_path / "hello").write_text("hello\n")
    listing = tmp_path / "modules"
    words = case.words.format(host=host).split()
    for _ in range(2 if name == "cached" else 1):
        command = [sys.executable, "-c", RUN, str(listing), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=_environment(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
    loaded = listing.read_text().split()
    unwanted = [each for each in loaded if any(each == one or each.startswith(f"{one}.") for one in case.unwanted)]
    own = sum(each.partition(".")[0] == "gazami" for each in loaded)
    assert unwanted == []
    others = len(loaded) - own
    assert own <= case.own and others <= case.others, f"{own} of gazami's, {others} others"


def _environment(home: Path) -> dict[str, str]:
    kept = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "GAZAMI_LOCAL_CACHE")
    return {"HOME": str(home), **{name: os.environ[name] for name in kept if name in os.environ}}
