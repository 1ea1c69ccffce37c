"""Flags from variables and from files: one order, and a project's file that may come from anybody."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gazami.cli.commands.build import COMMAND
from gazami.cli.commands.rows import ROWS, command
from gazami.cli.environ import Surroundings
from gazami.cli.flags import docker, options
from gazami.cli.flags.argv import Flags, parse, with_environment
from gazami.cli.flags.settings import OF_PROJECT, SettingsFile, with_settings
from gazami.cli.main import run
from gazami.cli.request.build import build_request
from gazami.cli.settings_files import settings_files, user_file
from gazami.errors import UsageError

TABLE = COMMAND.table


def read(*argv: str, project: dict[str, object] | None = None, user: dict[str, object] | None = None, **environ: str) -> Flags:
    flags = with_environment(parse(list(argv), TABLE), TABLE, environ)
    files = [SettingsFile("gazami.toml", project or {}, of_project=True), SettingsFile("config.toml", user or {})]
    return with_settings(flags, TABLE, files)


def test_the_order_is_flag_variable_project_user_default() -> None:
    given: dict[str, object] = {"target": "project"}
    user: dict[str, object] = {"target": "user"}
    assert read("--target=flag", project=given, user=user, GAZAMI_TARGET="variable")[options.TARGET][-1] == "flag"
    for name, option in (("compression", options.COMPRESSION),):
        values = {"project": {name: "gzip"}, "user": {name: "zstd"}}
        assert read(f"--{name}=zstd", **values, GAZAMI_COMPRESSION="gzip")[option] == "zstd"  # type: ignore[arg-type]
        assert read(**values, GAZAMI_COMPRESSION="zstd")[option] == "zstd"  # type: ignore[arg-type]
        assert read(**values)[option] == "gzip"  # type: ignore[arg-type]
        assert read(user={name: "zstd"})[option] == "zstd"
        assert read()[option] == ""


@pytest.mark.parametrize("name", ROWS)
def test_every_flag_has_a_variable(name: str) -> None:
    plain = [option for option in command(name).table if option.kind is options.DOCKERFILE.kind]
    table = command(name).table
    for option in plain:
        made = with_environment(Flags(), table, {option.variable: "value"})
        assert made.words(option) == ("value",) and made.spelling(option) == option.variable


def test_variables_of_repeatable_flags_have_lines() -> None:
    flags = read("--build-arg=C=3", GAZAMI_BUILD_ARG="A=1\nB=two words\n")
    assert flags[options.BUILD_ARG] == ("A=1", "B=two words", "C=3")
    assert read(GAZAMI_PULL="always")[docker.PULL] is True


def test_a_kaniko_variable_goes_before_gazamis() -> None:
    assert read(KANIKO_CLEANUP="true", GAZAMI_CLEANUP="false")[options.CLEANUP] is True


def test_an_error_names_the_variable_or_the_key() -> None:
    with pytest.raises(UsageError, match="for GAZAMI_NO_CACHE"):
        read(GAZAMI_NO_CACHE="maybe")
    with pytest.raises(UsageError, match=r"config.toml: shm-size"):
        read(user={"shm-size": "much"})
    with pytest.raises(UsageError, match=r"config.toml: 'taget' is not a flag of gazami") as caught:
        read(user={"taget": "x"})
    assert caught.value.hint == "did you mean target?"
    with pytest.raises(UsageError, match="compression takes one value"):
        read(user={"compression": ["gzip", "zstd"]})
    with pytest.raises(UsageError, match="target is a datetime"):
        import datetime

        read(user={"target": datetime.datetime.now(datetime.UTC)})


def test_values_of_files() -> None:
    user: dict[str, object] = {
        "registry-mirror": ["mirror.example.com"], "insecure": True, "push-retry": 3, "build-arg": {"A": 1, "B": "x"}, "tag": "r/a",
        "label": {"k": "v"},
    }  # fmt: skip
    flags = read("--build-arg=A=2", user=user)
    assert flags[options.REGISTRY_MIRROR] == ("mirror.example.com",) and flags[options.INSECURE] is True
    assert flags[options.PUSH_RETRY] == 3 and flags[options.DESTINATION] == ("r/a",)
    assert flags[options.BUILD_ARG] == ("A=1", "B=x", "A=2")
    made = build_request(flags, Surroundings({}, "/src", "x86_64", 7)).request
    assert dict(made.plan.build_args)["A"] == "2" and made.plan.labels == (("k", "v"),)


# -- a project's file --------------------------------------------------------------------------------------------------------

_SECURITY = """
destination no-push tar-path oci-layout-path output digest-file iidfile metadata-file image-name-with-digest-file
image-name-tag-with-digest-file secret ssh build-context context context-sub-path bucket git index insecure insecure-pull
insecure-registry skip-tls-verify skip-tls-verify-pull skip-tls-verify-registry registry-certificate registry-client-cert
registry-map registry-mirror credential-helpers cache cache-repo cache-from cache-to cache-dir cache-mounts local-cache isolation
force state-dir add-host ulimit verbosity quiet log-format ignore-path skip-push-permission-check push load network
push-ignore-immutable-tag-errors skip-default-registry-fallback check call dryrun volume expose-mounts create-repository if-exists
cached-only report on-failure
"""


@pytest.mark.parametrize("name", _SECURITY.split())
def test_a_project_says_nothing_of_security(name: str) -> None:
    option = TABLE.long(name)
    assert option is not None
    with pytest.raises(UsageError, match=r"gazami.toml: .* cannot be set by the file of a project"):
        read(project={name: "true"})


def test_every_flag_was_thought_about() -> None:
    """A new flag is one of these, or has no effect: whoever adds one decides."""
    harmless = {"push-retry", "image-download-retry", "image-fs-extract-retry", "cache-ttl", "cache-mounts-max", "local-cache-max",
                "no-push-cache", "cache-lease", "cache-lease-timeout", "timeout", "index-run", "log-timestamp",
                "debug"}  # fmt: skip
    every = {option.name for option in TABLE if not option.unused}
    assert every == {*_SECURITY.split(), *OF_PROJECT, *harmless}


@pytest.mark.parametrize(
    "key, value",
    [
        ("dockerfile", "/etc/shadow"), ("dockerfile", "../x"), ("dockerfile", "-"), ("dockerfile", "https://h/D"),
        ("file", "a/../../x"),
        ("build-arg", "AWS_SECRET_ACCESS_KEY"), ("build-arg", ["A=1", "TOKEN"]), ("build-arg", "BUILDKIT_INLINE_CACHE=1"),
    ],
)  # fmt: skip
def test_what_it_may_set_reads_nothing_of_this_machine(key: str, value: object) -> None:
    with pytest.raises(UsageError, match=r"gazami.toml: "):
        read(project={key: value})


def test_what_it_may_set() -> None:
    flags = read(project={"dockerfile": "docker/Dockerfile", "target": "app", "build-arg": {"V": "1"}, "platform": "linux/arm64"})
    assert flags[options.DOCKERFILE] == "docker/Dockerfile" and flags[options.CUSTOM_PLATFORM] == "linux/arm64"


def test_the_page_lists_them() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/settings.md").read_text()
    listed = page.partition("decision 17")[2].partition("\n\n")[2].partition("\n\n")[0]
    names = set(re.findall(r"`([a-z-]+)`", listed)) - {"platform", "file"}
    assert names == OF_PROJECT


# -- where they are ----------------------------------------------------------------------------------------------------------


def test_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    home = {"HOME": str(tmp_path / "home")}
    assert settings_files(home, project=True) == []
    (tmp_path / "gazami.toml").write_text('target = "app"\n')
    own = Path(user_file(home))
    own.parent.mkdir(parents=True)
    own.write_text('registry-mirror = ["m"]\n')
    assert [each.of_project for each in settings_files(home, project=True)] == [True, False]
    assert [each.name for each in settings_files(home, project=False)] == [str(own)]
    assert user_file({"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == "/x/gazami/config.toml" and user_file({}) == ""


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "large", "text"])
def test_a_hostile_file_shows_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("password = hunter2\n")
    path = tmp_path / "gazami.toml"
    match kind:
        case "link":
            path.symlink_to(tmp_path / "secret")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "large":
            path.write_bytes(b"#" * 2_000_000)
        case _:
            path.write_text("password = hunter2\n")
    with pytest.raises(UsageError, match=r"gazami.toml") as caught:
        settings_files({}, project=True)
    assert "hunter2" not in str(caught.value)


def test_files_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"HOME": str(tmp_path)}
    (tmp_path / "gazami.toml").write_text('file = "docker/D"\n')
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/D").write_text("FROM scratch AS one\nFROM scratch AS two\n")
    assert run(["build", "--call=targets"], environ) == 0
    assert "one" in capsys.readouterr().out
    assert run(["lint", "--format=json"], environ) == 0
    assert "StageNameCasing" not in capsys.readouterr().err
    (tmp_path / "gazami.toml").write_text("insecure = true\n")
    assert run(["build", "."], environ) == 1
    assert "insecure cannot be set by the file of a project" in capsys.readouterr().err
    assert run(["version", "--help"], environ) == 0 and run(["completion", "bash"], environ) == 0
