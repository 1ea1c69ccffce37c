from __future__ import annotations

import pytest

from gazami.errors import NotFoundError, RegistryError, TransportError, UsageError
from gazami.image.reference import Reference, parse_reference
from gazami.registry.mirrors import Mirror, none_has, parse_mirror, places
from gazami.registry.options import RegistryOptions

DEBIAN = parse_reference("debian:12")


def asked(reference: Reference, *mirrors: tuple[str, str], fallback: bool = True) -> list[str]:
    return [str(each) for each in places(reference, RegistryOptions(mirrors=mirrors, fallback=fallback))]


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("mirror.test", Mirror("mirror.test")),
        ("mirror.test:5000/hub/proxy/", Mirror("mirror.test:5000", "hub/proxy")),
        ("http://mirror.test", Mirror("mirror.test", "", "http")),
        ("https://127.0.0.1:5000/hub", Mirror("127.0.0.1:5000", "hub", "https")),
        ("localhost:5000", Mirror("localhost:5000")),
        ("registry", Mirror("registry")),
        ("docker.io", Mirror("index.docker.io")),
        ("[::1]:5000", Mirror("[::1]:5000")),
    ],
)
def test_mirrors_as_they_are_written(text: str, mirror: Mirror) -> None:
    assert parse_mirror(text) == mirror


@pytest.mark.parametrize("text", ["", "ftp://mirror.test", "mirror.test/UPPER", "a b", "mirror.test:port"])
def test_mirrors_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_mirror(text)


@pytest.mark.parametrize("key", ["index.docker.io", "docker.io", "https://index.docker.io/v1/"])
def test_docker_hub_by_every_name(key: str) -> None:
    assert asked(DEBIAN, (key, "mirror.test/hub")) == ["mirror.test/hub/library/debian", "index.docker.io/library/debian"]


def test_the_order_and_the_fallback() -> None:
    mirrors = (("r.test", "a.test"), ("index.docker.io", "x.test"), ("r.test", "b.test/p"), ("r.test", "a.test"))
    reference = parse_reference("r.test/team/app:1")
    assert asked(reference, *mirrors) == ["a.test/team/app", "b.test/p/team/app", "r.test/team/app"]
    assert asked(reference, *mirrors, fallback=False) == ["a.test/team/app", "b.test/p/team/app"]
    other = parse_reference("r.test:5000/team/app:1")
    assert asked(other, *mirrors, fallback=False) == ["r.test:5000/team/app"], "no mirror is no reason to refuse"


def test_the_error_that_names_every_mirror() -> None:
    options = RegistryOptions(mirrors=(("index.docker.io", "a.test"), ("index.docker.io", "b.test")), fallback=False)
    first, second = places(DEBIAN, options)
    missing, away = NotFoundError("no such tag"), TransportError("connection refused")
    error = none_has(DEBIAN, [(first, missing), (second, away)])
    assert str(error).startswith("image not found on any configured mapped registries for index.docker.io")
    assert "a.test: no such tag" in str(error) and "b.test: connection refused" in str(error)
    assert isinstance(error, TransportError)
    assert isinstance(none_has(DEBIAN, [(first, missing)]), NotFoundError)
    assert type(none_has(DEBIAN, [(first, RegistryError("odd"))])) is RegistryError
