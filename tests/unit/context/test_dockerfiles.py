"""Which files below a folder are Dockerfiles."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazami.context.dockerfiles import dockerfiles_below, is_dockerfile_name
from gazami.errors import ContextError


@pytest.mark.parametrize(
    "name", ["Dockerfile", "dockerfile", "Dockerfile.dev", "Dockerfile.a.b", "web.Dockerfile", "web.dockerfile", "Containerfile",
             "Containerfile.x", "a.Containerfile"]
)  # fmt: skip
def test_dockerfiles(name: str) -> None:
    assert is_dockerfile_name(name)


@pytest.mark.parametrize(
    "name", ["Dockerfile.dockerignore", "Dockerfile.j2", "Dockerfile.tmpl", "Dockerfile~", ".Dockerfile", "Dockerfile.bak",
             "Dockerfiles", "MyDockerfile", "Dockerfile.", "README.md", "Dockerfile.md", "a.containerignore"]
)  # fmt: skip
def test_others(name: str) -> None:
    assert not is_dockerfile_name(name)


def test_a_folder(tmp_path: Path) -> None:
    for name in (
        "Dockerfile",
        "b/Dockerfile",
        "a/Dockerfile",
        ".hidden/Dockerfile",
        "vendor/Dockerfile",
        "a/node_modules/b/Dockerfile",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "Dockerfile.folder").mkdir()
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "Dockerfile.link").symlink_to("Dockerfile")
    assert dockerfiles_below(str(tmp_path)) == tuple(
        str(tmp_path / name) for name in ("Dockerfile", "a/Dockerfile", "b/Dockerfile")
    )


def test_no_folder() -> None:
    with pytest.raises(ContextError, match="cannot read the folder /no/such: No such file"):
        dockerfiles_below("/no/such")
