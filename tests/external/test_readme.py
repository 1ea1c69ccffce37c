"""The README from its first command on, in a fresh clone: what it installs, and what is built with that."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.roots import busybox_root
from tests.services import docker_registry

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LEFT_OUT = {
    "make demo": "takes minutes; CI's machine has run it by make test",
    "gazami build . --load": "writes to this machine's own podman",
    "gazami login": "asks for a password",
    "make check": "runs this test",
    "make test": "runs this test",
}


def blocks() -> list[list[str]]:
    """The commands of each block, lines that go on joined."""
    found = re.findall(r"^```\n(.*?)^```$", README, re.M | re.S)
    return [[re.sub(r"\s+#.*", "", line).strip() for line in block.replace("\\\n", "").splitlines()] for block in found]


def is_left_out(line: str) -> bool:
    return any(line.startswith(words) for words in LEFT_OUT)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder in which the README's first block was run, and the environment for the others."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")  # the checkout may be another user's
    with docker_registry(folder / "registry") as registry:
        host = f"localhost:{registry.port}"
        kept = {
            name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "HTTP", "http", "no_", "NO_"))
        }
        environ = kept | {
            "PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "GAZAMI_STATE_DIR": str(folder / "state"),
            "KANIKO_REGISTRY_MIRROR": host, "HOST": host,
        }  # fmt: skip
        yield folder, environ


def bash(lines: list[str], folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    script = "\n".join(["set -euo pipefail", *lines])
    return subprocess.run(["bash", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.network
@pytest.mark.slow
def test_the_readme_works_on_a_fresh_clone(clone: tuple[Path, dict[str, str]]) -> None:
    folder, environ = clone
    install, *others = blocks()
    assert install[0].startswith("git clone") and "scripts/setup run" in install[0]
    busybox_root(folder / "base/root")
    (folder / "base/Dockerfile").write_text("FROM scratch\nCOPY root /\n")
    base = f'gazami build {folder}/base -q -t "$HOST/library/busybox:1.36"'
    first = [line.replace("<this repository>", f"-q {ROOT}") for line in install]
    done = bash([*first[:2], base, *first[2:]], folder, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "COPY --from=pages /out/ /srv/www/" in done.stdout

    workspace = folder / "gazami/examples/hello"
    environ = environ | {"PATH": f"{folder}/gazami/.venv/bin:{environ['PATH']}"}
    for block in others:
        lines = [line for line in block if line and not is_left_out(line)]
        lines = [line.replace("registry.example.com", environ["HOST"]).replace("/workspace", str(workspace)) for line in lines]
        lines = [line.replace("/tmp/digest", f"{folder}/digest") for line in lines]
        done = bash(lines, workspace, environ)
        assert done.returncode == 0, f"{lines}\n{done.stdout}{done.stderr}"
    assert (folder / "digest").read_text().startswith("sha256:")
    assert (workspace / "app.tar").exists() and (workspace / "out/index.json").exists()


def test_what_is_left_out_is_there() -> None:
    lines = [line for block in blocks() for line in block]
    assert all(any(line.startswith(words) for line in lines) for words in LEFT_OUT)


def test_the_pictures_are_on_the_first_screen() -> None:
    first = "\n".join(README.splitlines()[:20])
    assert re.findall(r"!\[[^]]+\]\(docs/images/(terminal-\w+)\.svg\)", first) == ["terminal-built", "terminal-failed"]
