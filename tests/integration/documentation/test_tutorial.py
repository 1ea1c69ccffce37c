"""docs/tutorial/first-image.md, section by section, as it is written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.services import docker_registry

PAGE = (Path(__file__).parents[3] / "docs/tutorial/first-image.md").read_text()


def section(number: int) -> list[str]:
    """The blocks of a section."""
    text = PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", text, re.M | re.S)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str], str]]:
    folder = tmp_path_factory.mktemp("tutorial")
    with docker_registry(folder / "registry") as registry:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environ = os.environ | {"PATH": path, "GAZAMI_STATE_DIR": str(folder / "state"), "HOME": str(folder)}
        yield folder, environ, f"localhost:{registry.port}"


def run(shell: tuple[Path, dict[str, str], str], script: str) -> str:
    folder, environ, host = shell
    inside = folder / "first"
    words = ["bash", "-euc", script.replace("localhost:5000", host)]
    where = inside if inside.exists() else folder
    done = subprocess.run(words, cwd=where, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.root
@pytest.mark.service
def test_the_tutorial(shell: tuple[Path, dict[str, str], str]) -> None:
    folder = shell[0]
    [write] = section(2)
    run(shell, write)
    plan, shown = section(3)
    assert run(shell, plan) == shown

    [build] = section(4)
    digest = run(shell, build).strip()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    inspect, unpack = section(5)
    seen = run(shell, inspect)
    assert f'"Digest": "{digest}"' in seen
    assert seen.count('"sha256:') >= 4
    files = run(shell, unpack)
    assert {"bundle/rootfs/bin/busybox", "bundle/rootfs/srv/www/index.html"} <= set(files.splitlines())

    [line] = section(7)
    path = folder / "first/Dockerfile"
    path.write_text(path.read_text().replace("COPY busybox /bin/busybox\n", f"COPY busybox /bin/busybox\n{line}"))
    run(shell, build)
    run(shell, "rm -rf files && gazami build . --no-push -o files && test -L files/bin/ls")
