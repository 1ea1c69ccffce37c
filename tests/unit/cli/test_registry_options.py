"""Flags and variables about registries → the request."""

from __future__ import annotations

import pytest

from gazami.builder.inputs.registries import open_registry
from gazami.builder.request import BuildRequest
from gazami.cancel import Cancel
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import parse, with_environment
from gazami.cli.flags.options import BUILD
from gazami.cli.request.build import Wanted, build_request
from gazami.cli.request.credentials import PROVIDERS, credential_variables, named_hosts
from gazami.cli.request.registry import certificate_directories
from gazami.errors import UsageError
from gazami.events import discard


def wanted(*argv: str, **environ: str) -> Wanted:
    parsed = with_environment(parse(["--no-push", *argv], BUILD), BUILD, environ)
    return build_request(parsed, Surroundings(environ, cwd="/src", machine="x86_64", uid=7))


def request(*argv: str, **environ: str) -> BuildRequest:
    return wanted(*argv, **environ).request


def test_mirrors_keep_their_order() -> None:
    made = request(
        "--registry-mirror=a.test", "--registry-map=docker.io=b.test;r.test=c.test/p", "--registry-mirror=http://d.test",
        "--skip-default-registry-fallback", KANIKO_REGISTRY_MAP="r.test=e.test", KANIKO_REGISTRY_MIRROR="f.test",
    ).registry  # fmt: skip
    assert made.mirrors == (
        ("docker.io", "b.test"), ("r.test", "c.test/p"), ("r.test", "e.test"),
        ("index.docker.io", "a.test"), ("index.docker.io", "http://d.test"), ("index.docker.io", "f.test"),
    )  # fmt: skip
    assert not made.fallback and request().registry.mirrors == ()


@pytest.mark.parametrize("flag", ["--registry-mirror=ftp://x", "--registry-map=a=UPPER/CASE", "--registry-map=a="])
def test_mirrors_that_are_none(flag: str) -> None:
    with pytest.raises(UsageError, match=flag.partition("=")[0]):
        request(flag)


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ((), PROVIDERS),
        (("--credential-helpers=",), ()),
        (("--credential-helpers=gitlab", "--credential-helpers=env"), ("env", "gitlab")),
        (("--credential-helpers=ecr,acr",), ("ecr", "acr")),
        (("--credential-helpers=", "--credential-helpers=google"), ("google",)),
        (("--credential-helpers=magic",), ()),
    ],
)
def test_credential_helpers(flags: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert request(*flags).credentials.helpers == names
    warned = [each.text for each in wanted(*flags).messages if "credential-helpers" in each.text]
    assert bool(warned) == ("--credential-helpers=magic" in flags)


def test_only_variables_of_credentials_go_on_and_do_not_show() -> None:
    environ = {
        "AWS_SECRET_ACCESS_KEY": "hunter2", "CI_REGISTRY_PASSWORD": "hunter2", "KANIKO_X_PASSWORD": "hunter2",
        "HOME": "/h", "PATH": "/bin", "KANIKO_DIR": "/k", "GITHUB_TOKEN": "hunter2",
    }  # fmt: skip
    assert {name for name, _ in credential_variables(environ)} == {
        "AWS_SECRET_ACCESS_KEY", "CI_REGISTRY_PASSWORD", "KANIKO_X_PASSWORD", "HOME",
    }  # fmt: skip
    around = Surroundings(environ, "/", "x86_64", 0, docker_config='{"auths": {"r": {"auth": "hunter2"}}}')
    made = build_request(parse(["--no-push"], BUILD), around)
    assert "hunter2" not in repr(made) + repr(around)


def test_retries_and_directories() -> None:
    made = request("--image-fs-extract-retry=9", "--push-retry=2", "--push-ignore-immutable-tag-errors", SSL_CERT_DIR="/a:/b")
    assert made.registry.trust.certificate_directories == ("/a", "/b")
    assert certificate_directories({}) == ("/kaniko/ssl/certs",)
    with open_registry(made.registry, made.credentials, discard, Cancel()) as registry:
        options = registry._options
    assert options is made.registry
    assert request("--push-retry=-3").registry.retry.attempts == request().registry.retry.attempts
    assert options.retry.attempts == 10 and options.ignore_immutable_tags and options.fallback


def test_the_hosts_that_the_command_line_names() -> None:
    words = [
        "-d", "one.example/app:1", "--cache-repo=two.example:5000/cache", "--registry-map=quay.io=https://Three.example/q",
        "--build-context=base=docker-image://four.example/base", "--build-arg=BASE=evil.example/x", "-o",
        "type=image,name=five.example/app", "--insecure-registry=localhost",
    ]  # fmt: skip
    found = set(named_hosts(parse(words, BUILD), {"CI_REGISTRY": "https://six.example", "OTHER": "seven.example"}))
    hosts = {"one.example", "two.example:5000", "three.example", "four.example", "five.example", "six.example", "localhost"}
    assert hosts <= found
    assert not found & {"evil.example", "seven.example"}
