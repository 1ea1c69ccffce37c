"""The GitHub Action's inputs as flags."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gazami.cli.kaniko.action import HUB, ActionInputs, docker_config, flags
from gazami.errors import UsageError

ROOT = Path(__file__).parents[3]


def inputs(**given: str) -> ActionInputs:
    environ = {"GITHUB_WORKSPACE": "/github/workspace", "GITHUB_REPOSITORY": "Owner/Repo", "GITHUB_ACTOR": "me"}
    return ActionInputs(environ | {key if key.isupper() else f"INPUT_{key.upper()}": value for key, value in given.items()})


def words(**given: str) -> list[str]:
    return flags(inputs(**given), Path("/out"))


@pytest.mark.parametrize(
    ("registry", "image", "name"),
    [
        ("docker.io", "me/App", "docker.io/me/app"),
        ("ghcr.io", "app", "ghcr.io/owner/repo/app"),
        ("ghcr.io", "owner/repo/app", "ghcr.io/owner/repo/app"),
        ("https://r.example.com:5000/", "team/app", "r.example.com:5000/team/app"),
    ],
)
def test_names(registry: str, image: str, name: str) -> None:
    assert inputs(registry=registry, image=image).image == name


@pytest.mark.parametrize(
    ("ref", "tag", "given"),
    [
        ("refs/heads/main", "latest", {}),
        ("refs/heads/master", "latest", {}),
        ("refs/heads/feature/x", "feature-x", {}),
        ("refs/tags/v1.2", "v1.2", {}),
        ("refs/tags/v1.2", "1.2", {"strip_tag_prefix": "v"}),
        ("refs/pull/7/merge", "pull-7-merge", {}),
        ("refs/heads/main", "mine", {"tag": "mine"}),
        ("", "latest", {}),
    ],
)
def test_tags(ref: str, tag: str, given: dict[str, str]) -> None:
    assert inputs(image="a", GITHUB_REF=ref, **given).tag == tag


def test_the_command_line() -> None:
    found = words(
        image="app",
        path="sub",
        build_file="docker/Dockerfile",
        tag="1",
        tag_with_latest="true",
        target="prod",
        cache="true",
        cache_ttl="6h",
        cache_registry="cache",
        cache_directory="/c",
        report="out/report",
        registry="ghcr.io",
        extra_args="--build-arg 'A=b c' --label x=y",
        debug="true",
    )
    assert "--context=/github/workspace/sub" in found
    assert "--dockerfile=/github/workspace/sub/docker/Dockerfile" in found
    assert "--destination=ghcr.io/owner/repo/app:1" in found
    assert "--destination=ghcr.io/owner/repo/app:latest" in found
    assert "--cache-repo=ghcr.io/owner/repo/cache" in found
    assert "--report=/github/workspace/out/report" in found
    assert {"--target=prod", "--cache=true", "--cache-ttl=6h", "--cache-dir=/c", "--verbosity=debug", "--reproducible"} <= set(
        found
    )
    assert found[-4:] == ["--build-arg", "A=b c", "--label", "x=y"]


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(UsageError, match="image"):
        words()
    with pytest.raises(UsageError, match="extra_args"):
        words(image="a", extra_args="'open")


def test_credentials() -> None:
    assert docker_config(inputs(image="a")) == ""
    auths = json.loads(docker_config(inputs(image="a", GITHUB_TOKEN="t", registry="ghcr.io")))["auths"]
    assert list(auths) == ["ghcr.io"]
    assert list(json.loads(docker_config(inputs(image="a", password="p", username="u")))["auths"]) == [HUB]


def test_every_input_of_action_yml_is_read() -> None:
    text = (ROOT / "action.yml").read_text()
    declared = set(re.findall(r"^  (\w+):$", text.partition("outputs:")[0].partition("inputs:")[2], re.MULTILINE))
    source = (ROOT / "src/gazami/cli/kaniko/action.py").read_text()
    assert declared == set(re.findall(r'(?:text|flag)\("(\w+)"', source))
