"""Credentials of a cloud go to the cloud's own registries and to no host that only looks like one."""

from __future__ import annotations

import pytest

from gazami.registry.credentials import Credential, Lookup
from gazami.registry.providers.azure import is_azure
from gazami.registry.providers.ecr import api_of, is_ecr
from gazami.registry.providers.google import is_google
from gazami.registry.providers.grant import FAILED_FOR, Grant, Provider, Unavailable
from gazami.registry.providers.variables import GitLab, HostVariables

ECR = [
    "123456789012.dkr.ecr.eu-central-1.amazonaws.com",
    "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
    "123456789012.dkr-ecr.eu-west-1.on.aws",
    "public.ecr.aws",
]
GOOGLE = ["gcr.io", "eu.gcr.io", "europe-west3-docker.pkg.dev", "docker.pkg.dev", "x.google.com"]
AZURE = ["team.azurecr.io", "team-2.azurecr.cn", "team.azurecr.us", "team.westeurope.geo.azurecr.io"]


@pytest.mark.parametrize("host", ECR)
def test_ecr(host: str) -> None:
    assert is_ecr(host) and not is_google(host) and not is_azure(host)


@pytest.mark.parametrize("host", GOOGLE)
def test_google(host: str) -> None:
    assert is_google(host) and not is_ecr(host) and not is_azure(host)


@pytest.mark.parametrize("host", AZURE)
def test_azure(host: str) -> None:
    assert is_azure(host) and not is_ecr(host) and not is_google(host)


@pytest.mark.parametrize("host", [*ECR, *GOOGLE, *AZURE])
@pytest.mark.parametrize(
    "twist", ["{}.evil.test", "{}:5000", "{}\n", "{}.", "evil.test/{}", "evil-{}-x", "{}@evil.test", "evil.test:443\\@{}"]
)
def test_look_alikes_get_nothing(host: str, twist: str) -> None:
    name = twist.format(host)
    assert not (is_ecr(name) or is_google(name) or is_azure(name))


@pytest.mark.parametrize(
    "host",
    [
        "12345678901.dkr.ecr.eu-central-1.amazonaws.com", "x123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.co", "123456789012xdkr.ecr.eu-central-1.amazonaws.com",
        "123456789012.dkr.ecr.a.b.amazonaws.com", "notpublic.ecr.aws", "public.ecr.aws.com",
        "evilgcr.io", "gcr.io.test", "evilpkg.dev", "pkg.dev", "google.com", "evilgoogle.com", "xgcr.io",
        "azurecr.io", "teamazurecr.io", "team.azurecr.io.evil.test", "team.azurecr.com", ".azurecr.io",
        "team.azurecrxio", "-.azurecr.io", "mcr.microsoft.com",
    ],
)  # fmt: skip
def test_other_hosts_get_nothing(host: str) -> None:
    assert not (is_ecr(host) or is_google(host) or is_azure(host))


def test_operations_of_ecr() -> None:
    private = api_of("123456789012.dkr.ecr.eu-central-1.amazonaws.com")
    assert (private.endpoint, private.account) == ("https://api.ecr.eu-central-1.amazonaws.com", "123456789012")
    assert api_of(ECR[1]).endpoint == "https://ecr-fips.us-gov-west-1.amazonaws.com"
    assert api_of(ECR[2]).endpoint == "https://api.ecr.cn-north-1.amazonaws.com.cn"
    assert api_of(ECR[3]).endpoint == "https://ecr.eu-west-1.api.aws"
    public = api_of("public.ecr.aws")
    assert (public.endpoint, public.service) == ("https://api.ecr-public.us-east-1.amazonaws.com", "ecr-public")


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        ("registry.example-site.com", "KANIKO_REGISTRY_EXAMPLE_SITE_COM"),
        ("registry.example-site.com", "KANIKO_EXAMPLE_SITE_COM"),
        ("registry.example-site.com:5000", "KANIKO_EXAMPLE_SITE_COM"),
        ("registry.example-site.com", "KANIKO_COM"),
        ("index.docker.io", "KANIKO_DOCKER_IO"),
        ("localhost:5000", "KANIKO_LOCALHOST"),
        ("localhost:5000", "KANIKO_LOCALHOST_5000"),
    ],
)
def test_variables_of_a_host(registry: str, name: str) -> None:
    found = HostVariables({f"{name}_USER": "ada", f"{name}_PASSWORD": "pw"}, [registry]).lookup(registry, "a")
    assert found.credential == Credential("ada", "pw") and "pw" not in str(found.asked)
    assert HostVariables({f"{name}_USER": "ada"}).lookup(registry, "a") == Lookup()
    assert HostVariables({f"{name}_USER": "ada", f"{name}_PASSWORD": "pw"}).lookup("other.test", "a") == Lookup()


def test_the_most_specific_variable_of_a_host_wins() -> None:
    environ = {"KANIKO_COM_USER": "far", "KANIKO_COM_PASSWORD": "x", "KANIKO_A_COM_USER": "near", "KANIKO_A_COM_PASSWORD": "y"}
    found = HostVariables(environ).lookup("r.a.com", "a").credential
    assert found is not None and found.username == "near"
    half = {**environ, "KANIKO_R_A_COM_USER": "half"}
    assert HostVariables(half).lookup("r.a.com", "a").credential == found


def test_gitlab() -> None:
    environ = {"CI_REGISTRY": "registry.gitlab.test:5050", "CI_REGISTRY_USER": "job", "CI_REGISTRY_PASSWORD": "pw"}
    assert GitLab(environ).lookup("registry.gitlab.test:5050", "a").credential == Credential("job", "pw")
    for other in ("registry.gitlab.test", "evil.registry.gitlab.test:5050", "registry.gitlab.test:50500", "x"):
        assert GitLab(environ).lookup(other, "a") == Lookup()
    assert GitLab({}).lookup("", "a") == Lookup() and GitLab({"CI_REGISTRY": ""}).lookup("", "a") == Lookup()
    incomplete = GitLab({"CI_REGISTRY": "r.test", "CI_REGISTRY_USER": "job"}).lookup("r.test", "a")
    assert incomplete.credential is None and "not both" in incomplete.asked[0]


def test_answers_are_kept_while_they_live() -> None:
    times = [0.0]
    asked: list[str] = []

    def get(registry: str) -> Grant:
        asked.append(registry)
        if len(asked) == 3:
            raise Unavailable("the cloud is away")
        return Grant(Credential("u", str(len(asked))), lifetime=1000)

    provider = Provider("Cloud", lambda host: host.endswith(".cloud"), get, clock=lambda: times[0])
    assert provider.lookup("r.test", "a") == Lookup() and not asked, "nothing is asked for other hosts"
    first = provider.lookup("r.cloud", "a")
    assert provider.lookup("r.cloud", "b") is first and first.until == 880
    times[0] = 881
    again = provider.lookup("r.cloud", "a")
    assert again.credential == Credential("u", "2")
    times[0] = 2000
    failed = provider.lookup("r.cloud", "a")
    assert failed.credential is None and failed.asked == ("Cloud: the cloud is away",)
    provider.lookup("r.cloud", "a")
    assert len(asked) == 3
    times[0] += FAILED_FOR
    assert provider.lookup("r.cloud", "a").credential == Credential("u", "4")


AMBIGUOUS = "KANIKO_REGISTRY_CORP_EXAMPLE"


@pytest.mark.parametrize(
    ("registry", "name", "named", "used"),
    [
        ("registry.corp.example", AMBIGUOUS, (), True),
        ("registry-corp.example", AMBIGUOUS, (), False),
        ("registry.corp-example", AMBIGUOUS, (), False),
        ("registry_corp.example", AMBIGUOUS, (), False),
        ("evil.registry-corp.example", AMBIGUOUS, (), False),
        ("evil.registry.corp.example", AMBIGUOUS, (), True),
        ("a-b.registry.corp.example", AMBIGUOUS, (), True),
        # named: the user's own words decide, also against the spelling with dots
        ("registry-corp.example", AMBIGUOUS, ("registry-corp.example",), True),
        ("registry-corp.example:5000", AMBIGUOUS, ("registry-corp.example",), True),
        ("registry.corp.example", AMBIGUOUS, ("registry-corp.example",), False),
        ("evil.registry.corp.example", AMBIGUOUS, ("registry-corp.example",), False),
        ("registry.corp.example", AMBIGUOUS, ("registry-corp.example", "registry.corp.example"), True),
        ("registry-corp.example", AMBIGUOUS, ("other.example",), False),
        ("two.corp.example", "KANIKO_CORP_EXAMPLE", ("one.corp.example",), True),
        # two underscores
        ("registry-corp.example", "KANIKO_REGISTRY__CORP_EXAMPLE", (), True),
        ("registry.corp.example", "KANIKO_REGISTRY__CORP_EXAMPLE", (), False),
        ("registry--corp.example", "KANIKO_REGISTRY__CORP_EXAMPLE", (), False),
        ("x.registry-corp.example", "KANIKO_REGISTRY__CORP_EXAMPLE", (), True),
        ("Registry.Corp.Example", AMBIGUOUS, (), True),
    ],
)
def test_a_variable_goes_to_the_host_that_it_is_meant_for(registry: str, name: str, named: tuple[str, ...], used: bool) -> None:
    environ = {f"{name}_USER": "ada", f"{name}_PASSWORD": "pw"}
    found = HostVariables(environ, named).lookup(registry, "a")
    assert found.credential == (Credential("ada", "pw") if used else None)
    assert "pw" not in str(found.asked)


def test_a_variable_that_is_not_used_is_explained() -> None:
    environ = {f"{AMBIGUOUS}_USER": "ada", f"{AMBIGUOUS}_PASSWORD": "pw"}
    assert "KANIKO_REGISTRY__CORP_EXAMPLE_USER" in HostVariables(environ).lookup("registry-corp.example", "a").asked[0]
