"""An identity that somebody names is that one or none. In each control run the name is left out, and another one is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazami.registry.providers.aws import find_keys
from gazami.registry.providers.azure import storage_token
from gazami.registry.providers.google import access_token
from gazami.registry.providers.grant import Unavailable


class Instance:
    """The web as a machine in a cloud sees it: its metadata services know somebody, and nobody else answers."""

    def ask(self, method: str, url: str, *_: object, metadata: bool = False, **__: object) -> bytes:
        if not metadata or not url.startswith("http://169.254.169.254/latest"):
            raise Unavailable(f"{url}: not here")
        return b"token" if method == "PUT" else b"the-instances-role"

    def json(self, method: str, url: str, *rest: object, metadata: bool = False) -> dict[str, object]:
        if not metadata or "/ecs" in url:
            raise Unavailable(f"{url}: not here")
        return {"AccessKeyId": "INSTANCE", "SecretAccessKey": "x", "access_token": "INSTANCE"}

    def form(self, url: str, fields: dict[str, str]) -> dict[str, object]:
        raise Unavailable(f"{url}: not here")


KEYS = {"AWS_ACCESS_KEY_ID": "KEYS", "AWS_SECRET_ACCESS_KEY": "x"}
AWS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "a profile that is not there": ({"AWS_PROFILE": "prodd"}, KEYS),
    "the same by its older name": ({"AWS_DEFAULT_PROFILE": "prodd"}, {}),
    "a profile with half of its keys": ({"AWS_PROFILE": "half"}, KEYS),
    "a profile whose role has no token": ({"AWS_PROFILE": "role"}, KEYS),
    "a file of credentials that is not there": ({"AWS_SHARED_CREDENTIALS_FILE": "HOME/nothing"}, {}),
    "a file of credentials that is broken": ({"AWS_SHARED_CREDENTIALS_FILE": "HOME/broken"}, {}),
    "a config that is not there": ({"AWS_CONFIG_FILE": "HOME/nothing"}, {}),
    "a key without its secret": ({"AWS_ACCESS_KEY_ID": "A"}, {}),
    "a secret without its key": ({"AWS_SECRET_ACCESS_KEY": "A"}, {}),
    "a token that is not there": ({"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/nothing", "AWS_ROLE_ARN": "arn"}, {}),
    "a token without a role": ({"AWS_WEB_IDENTITY_TOKEN_FILE": "HOME/broken"}, {}),
    "a container's credentials that do not answer": ({"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/ecs"}, {}),
    "the same as a URL": ({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/ecs"}, {}),
}  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(
        "[half]\naws_access_key_id = A\n[role]\nrole_arn = arn\nweb_identity_token_file = /nothing\n"
    )
    (tmp_path / "broken").write_text("not an ini file [")
    return tmp_path


@pytest.mark.parametrize("what", AWS)
def test_amazon(what: str, home: Path) -> None:
    named, others = AWS[what]
    environ = {"HOME": str(home), **others}
    with pytest.raises(Unavailable) as caught:
        find_keys({**environ, **{key: value.replace("HOME", str(home)) for key, value in named.items()}}, Instance(), "eu")  # type: ignore[arg-type]
    assert next(iter(named)) in caught.value.message or "only one of" in caught.value.message
    control = find_keys(environ, Instance(), "eu")  # type: ignore[arg-type]
    assert control.access == ("KEYS" if others else "INSTANCE")


def test_a_profile_that_only_has_a_region_names_nobody(home: Path) -> None:
    (home / ".aws/config").write_text("[profile ci]\nregion = eu-west-1\n")
    found = find_keys({"HOME": str(home), "AWS_PROFILE": "ci", **KEYS}, Instance(), "eu")  # type: ignore[arg-type]
    assert found.access == "KEYS"


@pytest.mark.parametrize("text", [None, "", "{", json.dumps({"type": "service_account"}), '{"type": []}', "[" * 5000])
@pytest.mark.parametrize("by", ["variable", "gcloud"])
def test_google(by: str, text: str | None, tmp_path: Path) -> None:
    place = tmp_path / "application_default_credentials.json"
    if text is not None:
        place.write_text(text)
    variable = {"GOOGLE_APPLICATION_CREDENTIALS": str(place)} if by == "variable" else {"CLOUDSDK_CONFIG": str(tmp_path)}
    if by == "gcloud" and text is None:
        assert access_token(variable, Instance()) == "INSTANCE", "a settings folder without credentials names nobody"  # type: ignore[arg-type]
        return
    with pytest.raises(Unavailable):
        access_token(variable, Instance())  # type: ignore[arg-type]
    assert access_token({}, Instance()) == "INSTANCE"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "named",
    [
        {"AZURE_CLIENT_SECRET": "x"},
        {"AZURE_CLIENT_SECRET": "x", "AZURE_TENANT_ID": "t"},
        {"AZURE_CLIENT_SECRET": "x", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"},
        {"AZURE_FEDERATED_TOKEN_FILE": "/nothing", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"},
        {"AZURE_CLIENT_CERTIFICATE_PATH": "/c.pem", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"},
        {"AZURE_USERNAME": "u", "AZURE_PASSWORD": "p"},
    ],
)
def test_azure(named: dict[str, str]) -> None:
    with pytest.raises(Unavailable):
        storage_token(named, Instance())  # type: ignore[arg-type]
    assert storage_token({"AZURE_CLIENT_ID": "c"}, Instance()) == "INSTANCE"  # type: ignore[arg-type]
