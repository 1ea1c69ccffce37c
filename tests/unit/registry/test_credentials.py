from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gazami.errors import HostError, UsageError
from gazami.registry.credentials import Credential, DockerConfig, GivenCredentials, Keychain, parse_docker_config

HUB = "index.docker.io"


def auth(user: str, password: str = "pw") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def config(**document: Any) -> DockerConfig:
    return parse_docker_config(json.dumps(document), "config.json")


def user(source: DockerConfig, registry: str, repository: str = "a/b") -> str | None:
    found = source.lookup(registry, repository).credential
    return found.username if found else None


def test_a_program_that_is_missing_stops_nothing_that_others_can_do() -> None:
    """The clouds' programs are replaced; another one is missed only where nothing else has a credential."""
    other = GivenCredentials("elsewhere", (("reg.test", Credential("ada", "pw")),))
    broken = config(credsStore="there-is-none")
    assert Keychain([broken, other]).lookup("reg.test", "a").credential == Credential("ada", "pw")
    with pytest.raises(HostError, match="docker-credential-there-is-none, the credential program"):
        Keychain([broken, other]).lookup("other.test", "a")
    replaced = Keychain([config(credsStore="ecr-login"), other])
    assert replaced.lookup("other.test", "a").credential is None
    assert "not installed" in replaced.lookup("other.test", "a").asked[0]


@pytest.mark.parametrize(
    ("key", "registry"),
    [
        ("reg.test", "reg.test"),
        ("reg.test:5000", "reg.test:5000"),
        ("https://reg.test", "reg.test"),
        ("https://reg.test/", "reg.test"),
        ("https://reg.test/v1/", "reg.test"),
        ("http://reg.test:5000/v2/", "reg.test:5000"),
        ("reg.test/v1/", "reg.test"),
        ("https://index.docker.io/v1/", HUB),
        ("docker.io", HUB),
        ("index.docker.io", HUB),
        ("registry-1.docker.io", HUB),
    ],
)
def test_keys_of_every_shape(key: str, registry: str) -> None:
    assert user(config(auths={key: auth("ada")}), registry) == "ada"
    assert user(config(auths={key: auth("ada")}), "other.test") is None


def test_the_longest_path_wins() -> None:
    source = config(
        auths={
            "reg.test": auth("host"),
            "reg.test/team": auth("team"),
            "reg.test/team/app": auth("app"),
            "docker.io/library": auth("hub-library"),
        }
    )
    assert user(source, "reg.test", "team/app") == "app"
    assert user(source, "reg.test", "team/app/deep") == "app"
    assert user(source, "reg.test", "team/other") == "team"
    assert user(source, "reg.test", "teams") == "host"
    assert user(source, HUB, "library/debian") == "hub-library"
    assert user(source, HUB, "else/where") is None


def test_the_kinds_of_entries() -> None:
    source = config(
        auths={
            "a.test": {"username": "ada", "password": "pw"},
            "b.test": {"identitytoken": "id", **auth("00000000-0000-0000-0000-000000000000", "")},
            "c.test": {"registrytoken": "rt"},
            "d.test": {},
            "e.test": auth("ada", "with:colon\0"),
            "https://index.docker.io/v1/": auth("exact"),
            "docker.io": auth("loose"),
        }
    )
    assert source.lookup("a.test", "x").credential == Credential("ada", "pw")
    identity = source.lookup("b.test", "x").credential
    assert identity and identity.identity_token == "id"
    assert source.lookup("c.test", "x").credential == Credential(registry_token="rt")
    assert source.lookup("d.test", "x").credential is None
    assert source.lookup("e.test", "x").credential == Credential("ada", "with:colon")
    assert user(source, HUB) == "exact"


def test_secrets_are_not_shown() -> None:
    credential = Credential("ada", "hunter2", "identity", "registry")
    for secret in ("hunter2", "identity'", "registry'"):
        assert secret not in repr(credential)
    lookup = config(auths={"a.test": auth("ada", "hunter2")}).lookup("a.test", "x")
    assert "hunter2" not in repr(lookup)
    assert lookup.asked == ("config.json, entry a.test: used, user ada",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not valid JSON"),
        ("{'auths'}", "not valid JSON"),
        ("[]", "not a JSON object"),
        ('{"auths": []}', "'auths' is not"),
        ('{"auths": {"r.test": "x"}}', "'r.test' is not"),
        ('{"auths": {"r.test": {"auth": "hunter2hunter2"}}}', "'r.test'"),
        ('{"auths": {"r.test": {"auth": "aHVudGVyMg=="}}}', "user:password"),
        ('{"credsStore": "../evil"}', "helper"),
        ('{"credHelpers": {"r.test": "a/b"}}', "helper"),
    ],
)
def test_malformed_configs(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_docker_config(text, "/root/.docker/config.json")
    assert str(caught.value).startswith("/root/.docker/config.json") and "hunter2" not in str(caught.value)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential program ``fake`` that knows some servers and writes down what it was asked."""
    file = tmp_path / "docker-credential-fake"
    file.write_text(
        "#!/bin/sh\n"
        f'read server; echo "$1 $server" >> {tmp_path}/asked\n'
        'case "$server" in\n'
        '  known.test) echo \'{"ServerURL":"known.test","Username":"ada","Secret":"pw"}\' ;;\n'
        '  https://index.docker.io/v1/) echo \'{"Username":"hub","Secret":"pw"}\' ;;\n'
        '  token.test) echo \'{"Username":"<token>","Secret":"id"}\' ;;\n'
        '  broken.test) echo "no daemon" >&2; exit 3 ;;\n'
        "  nonsense.test) echo hello ;;\n"
        '  *) echo "credentials not found in native keychain"; exit 1 ;;\n'
        "esac\n"
    )
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_a_credential_program(programs: Path) -> None:
    source = config(credsStore="fake", auths={"file.test": auth("from-file")})
    assert user(source, "known.test") == "ada" and user(source, "known.test", "other") == "ada"
    assert user(source, HUB) == "hub"
    assert source.lookup("token.test", "x").credential == Credential(identity_token="id")
    assert user(source, "file.test") == "from-file"
    unknown = source.lookup("unknown.test", "x")
    assert unknown.credential is None
    assert unknown.asked[0] == "docker-credential-fake for unknown.test: has none"
    asked = (programs / "asked").read_text().splitlines()
    assert asked.count("get known.test") == 1
    for server, said in (("broken.test", "status 3: no daemon"), ("nonsense.test", "JSON")):
        with pytest.raises(HostError, match=said):
            source.lookup(server, "x")


def test_a_missing_program_matters_to_its_registry_alone(programs: Path) -> None:
    source = config(
        credHelpers={"gone.test": "absent", "docker.io": "fake", "both.test": "absent"}, auths={"both.test": auth("file")}
    )
    assert user(source, "other.test") is None
    assert user(source, HUB) == "hub"
    assert user(source, "both.test") == "file"
    with pytest.raises(HostError, match=r"docker-credential-absent, the credential program for gone\.test") as caught:
        source.lookup("gone.test", "x")
    assert "PATH" in str(caught.value.hint)


def test_sources_are_asked_in_order() -> None:
    given = GivenCredentials("CI_REGISTRY_USER", (("reg.test", Credential("ci", "pw")),))
    keychain = Keychain((config(auths={"x.test": auth("x")}), given))
    found = keychain.lookup("reg.test", "a")
    assert found.credential == Credential("ci", "pw")
    assert found.asked == ("config.json: no entry for reg.test", "CI_REGISTRY_USER: used, user ci")
    assert Keychain().lookup("reg.test", "a").credential is None
