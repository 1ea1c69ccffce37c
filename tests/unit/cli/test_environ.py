"""Where credentials and signs of a container are found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazami.cli.container import container_runtime, overlay_root
from gazami.cli.environ import config_places, look_around, merge_auth, require_secret_files
from gazami.errors import UsageError


def test_places_in_order() -> None:
    environ = {"HOME": "/h", "DOCKER_CONFIG": "/d", "REGISTRY_AUTH_FILE": "/r.json", "XDG_RUNTIME_DIR": "/run/u"}
    assert config_places(environ) == [
        "/d/config.json", "/h/.docker/config.json", "/kaniko/.docker/config.json", "/r.json",
        "/run/u/containers/auth.json",
        "/h/.config/containers/auth.json",
    ]  # fmt: skip
    assert config_places({}) == ["/kaniko/.docker/config.json"]
    assert config_places({"DOCKER_CONFIG": "/kaniko/.docker/"}) == ["/kaniko/.docker/config.json"], "one file, named once"


def test_the_first_file_that_exists_counts(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text("{}")
    around = look_around({"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "missing")})
    assert (around.docker_config, around.docker_config_place) == ("{}", str(tmp_path / ".docker/config.json"))
    assert around.home == str(tmp_path)


def test_the_variable_wins_over_the_file() -> None:
    file = {"auths": {"a": {"auth": "1"}, "b": {"auth": "2"}}, "credsStore": "desktop", "credHelpers": {"b": "x", "c": "y"}}
    merged = json.loads(merge_auth('{"auths": {"b": {"auth": "9"}}}', json.dumps(file)) or "")
    assert merged["auths"] == {"a": {"auth": "1"}, "b": {"auth": "9"}}
    assert merged["credHelpers"] == {"b": "", "c": "y"} and merged["credsStore"] == "desktop"


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"auths": 1}', '{"auths": {"a": "b"}}', "[" * 100_000])
def test_an_unusable_variable(text: str) -> None:
    assert merge_auth(text, None) is None
    if text:
        assert look_around({"DOCKER_AUTH_CONFIG": text}).warnings


def test_secret_files_must_exist(tmp_path: Path) -> None:
    require_secret_files((("e", "env", "value"), ("f", "file", __file__)))
    with pytest.raises(UsageError, match="nowhere"):
        require_secret_files((("f", "file", str(tmp_path / "nowhere")),))


@pytest.mark.parametrize(
    "path, text, runtime",
    [
        (".dockerenv", "", "docker"),
        ("run/.containerenv", "", "podman"),
        ("var/run/secrets/kubernetes.io/serviceaccount/token", "", "kubernetes"),
        ("proc/self/cgroup", "0::/kubepods.slice/pod7", "kubepods"),
        ("proc/self/cgroup", "0::/user.slice", None),
        ("proc/mounts", "overlay / overlay rw 0 0\n", "overlay root"),
        ("proc/mounts", "/dev/vda1 / ext4 rw 0 0\n", None),
    ],
)
def test_signs_of_a_container(tmp_path: Path, path: str, text: str, runtime: str | None) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(text)
    assert container_runtime({}, tmp_path) == runtime
    assert container_runtime({"container": "oci"}, tmp_path) == (runtime if runtime not in (None, "overlay root") else "oci")


def test_mounts_that_cannot_be_read_are_no_overlay() -> None:
    assert not overlay_root("") and not overlay_root("nonsense\n")


def test_helpers_of_the_variable_win() -> None:
    file = {"auths": {"a": {"auth": "1"}}, "credsStore": "old", "credHelpers": {"a": "x", "c": "z"}}
    own = {"credHelpers": {"a": "y"}, "auths": {"c": {"auth": "3"}}}
    merged = json.loads(merge_auth(json.dumps(own), json.dumps(file)) or "")
    assert merged["credHelpers"] == {"a": "y", "c": ""} and merged["credsStore"] == "old"
    alone = json.loads(merge_auth('{"credsStore": "mine"}', None) or "")
    assert alone == {"auths": {}, "credsStore": "mine"}
    assert merge_auth('{"credHelpers": []}', None) is None
