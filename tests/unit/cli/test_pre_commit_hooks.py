"""``.pre-commit-hooks.yaml``: the hooks are commands of gazami, and take the files that ``gazami lint FOLDER`` takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from gazami.cli.commands.lint import COMMAND
from gazami.cli.flags.argv import parse
from gazami.context.dockerfiles import is_dockerfile_name

HOOKS = yaml.safe_load((Path(__file__).parents[3] / ".pre-commit-hooks.yaml").read_text())


def test_each_hook_is_a_command() -> None:
    assert [hook["id"] for hook in HOOKS] == ["gazami-lint", "gazami-lint-fix"]
    for hook in HOOKS:
        program, command, *words = hook["entry"].split()
        assert (program, command, hook["language"]) == ("gazami", "lint", "python")
        assert parse([*words, "--error=false", "Dockerfile"], COMMAND.table).positionals == ("Dockerfile",)


@pytest.mark.parametrize(
    "name",
    [
        "Dockerfile",
        "dockerfile",
        "Dockerfile.dev",
        "web.Dockerfile",
        "a.containerfile",
        "Containerfile",
        "Dockerfile.dockerignore",
        "Dockerfile.j2",
        "Dockerfile.jinja2",
        "Dockerfile~",
        "Dockerfiles",
        "README.md",
        "Dockerfile.md",
        "Dockerfile.x.tmpl",
        "x.y.Dockerfile",
    ],
)
def test_the_files_are_those_of_a_folder(name: str) -> None:
    for hook in HOOKS:
        for path in (name, f"a/b/{name}"):
            taken = bool(re.search(hook["files"], path)) and not re.search(hook["exclude"], path)
            assert taken == is_dockerfile_name(name)
        assert re.search(hook["exclude"], f"a/node_modules/{name}")
