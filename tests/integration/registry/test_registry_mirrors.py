"""Pulls from mirrors: real registries stand in for Docker Hub and for each other."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.registry.faults import Canned, CutAnswer, FaultyRegistry, faulty
from tests.integration.registry.images import AMD64, HASTY, blob, client, opener, push_image, small_image
from tests.services import Registry, docker_registry, free_port

from gazami.errors import AuthenticationError, NotFoundError, RegistryError, TransportError
from gazami.events import Event, Message
from gazami.image.reference import Reference, parse_reference
from gazami.registry.credentials import Keychain, parse_docker_config
from gazami.registry.options import RegistryOptions

pytestmark = pytest.mark.service

SIZE = 3_000_000


def mirrored(*pairs: tuple[str, str], fallback: bool = False) -> RegistryOptions:
    return replace(HASTY, mirrors=pairs, fallback=fallback)


def warnings(events: list[Event]) -> list[str]:
    return [each.text for each in events if isinstance(each, Message) and each.level == "warning"]


@pytest.fixture
def hub(registry: Registry, repository: str) -> Reference:
    """An image of Docker Hub that is on the mirror below the prefix ``hub`` alone."""
    reference = Reference("index.docker.io", repository, "one")
    with client() as ours:
        push_image(ours, Reference(registry.host, f"hub/{repository}", "one"), small_image())
    return reference


@pytest.mark.parametrize("scheme", ["", "http://"])
@pytest.mark.parametrize("key", ["docker.io", "index.docker.io"])
def test_an_image_of_docker_hub_comes_from_a_mirror(registry: Registry, hub: Reference, key: str, scheme: str) -> None:
    with client(mirrored((key, f"{scheme}{registry.host}/hub"))) as ours:
        resolved = ours.resolve(hub, AMD64)
        assert resolved.reference == hub and resolved.digest == small_image().manifest.digest
        assert b"".join(ours.open_blob(hub, resolved.manifest.layers[0])) == small_image().blobs[0][1]
        found = ours.head_manifest(hub)
        assert found is not None and found.digest == resolved.digest


def test_a_dead_mirror_is_passed_over_and_remembered(registry: Registry, hub: Reference) -> None:
    dead = f"127.0.0.1:{free_port()}"
    events: list[Event] = []
    with client(mirrored(("docker.io", dead), ("docker.io", f"{registry.host}/hub")), emit=events.append) as ours:
        resolved = ours.resolve(hub, AMD64)
        assert b"".join(ours.open_blob(hub, resolved.manifest.layers[0])) == small_image().blobs[0][1]
        ours.get_manifest(hub.with_digest(resolved.digest))
    told = warnings(events)
    assert len(told) == 1 and dead in told[0] and "refused" in told[0], "one warning, not one for each blob"


def test_a_mirror_without_the_image_is_passed_over(faults: FaultyRegistry, registry: Registry, hub: Reference) -> None:
    events: list[Event] = []
    options = mirrored(("docker.io", f"{faults.host}/empty"), ("docker.io", f"{registry.host}/hub"))
    with client(options, emit=events.append) as ours:
        resolved = ours.resolve(hub, AMD64)
        b"".join(ours.open_blob(hub, resolved.manifest.layers[0]))
    assert [each.target for each in faults.seen] == [f"/v2/empty/{hub.repository}/manifests/one"]
    (told,) = warnings(events)
    assert "404" in told and str(hub) in told


def test_the_registry_itself_comes_last(registry: Registry, repository: str) -> None:
    reference = Reference(registry.host, repository, "one")
    with faulty() as empty, client(mirrored((registry.host, empty.host), fallback=True)) as ours:
        empty.add("GET", "", Canned(404), times=None)
        push_image(ours, reference, small_image())
        assert not empty.seen, "mirrors are for pulls"
        assert ours.resolve(reference, AMD64).digest == small_image().manifest.digest
        assert empty.count("GET", "/manifests/one") == 1
        with pytest.raises(NotFoundError, match=f"cannot pull {registry.host}"):
            ours.get_manifest(reference.with_tag("none"))


def test_no_mirror_has_it(registry: Registry, repository: str) -> None:
    dead = f"127.0.0.1:{free_port()}"
    reference = Reference("index.docker.io", repository, "none")
    with client(mirrored(("docker.io", dead), ("docker.io", registry.host))) as ours:
        with pytest.raises(TransportError) as caught:
            ours.resolve(reference, AMD64)
        said = str(caught.value)
        assert said.startswith("image not found on any configured mapped registries for index.docker.io")
        assert f"{dead}: " in said and "refused" in said and f"{registry.host}: " in said and "404" in said
        assert ours.head_manifest(parse_reference(f"{registry.host}/{repository}:none")) is None


def test_a_blob_goes_on_at_the_next_mirror(registry: Registry, repository: str) -> None:
    descriptor, data = blob(SIZE)
    reference = Reference("index.docker.io", repository, "x")
    events: list[Event] = []
    with faulty(registry.host) as first, faulty(registry.host) as second:
        options = mirrored(("docker.io", first.host), ("docker.io", second.host))
        with client(options, emit=events.append) as ours:
            ours.push_blob(Reference(registry.host, repository, "x"), descriptor, opener(data))
            first.add("GET", "/blobs/", CutAnswer(1_000_000))
            first.add("GET", "/blobs/", Canned(500), times=None)
            assert b"".join(ours.open_blob(reference, descriptor)) == data
        assert [each.headers.get("Range") for each in second.seen] == ["bytes=1000000-"]
    assert len(warnings(events)) == 1 and "500" in warnings(events)[0]


def test_a_blob_comes_from_where_the_manifest_came(registry: Registry, hub: Reference) -> None:
    with faulty() as empty, faulty(registry.host) as full:
        empty.add("GET", "", Canned(404), times=None)
        with client(mirrored(("docker.io", empty.host), ("docker.io", f"{full.host}/hub"))) as ours:
            resolved = ours.resolve(hub, AMD64)
            b"".join(ours.open_blob(hub, resolved.manifest.layers[0]))
        assert len(empty.seen) == 1 and full.count("GET", "/blobs/") == 2


def test_credentials_are_those_of_the_mirror(tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"ada:pw").decode()}
    with docker_registry(tmp_path, htpasswd=(("ada", "pw"),)) as mirror:
        keychain = Keychain((parse_docker_config(json.dumps({"auths": {mirror.host: entry}}), "config.json"),))
        reference = Reference("index.docker.io", "library/app", "one")
        with client(mirrored(("docker.io", mirror.host)), keychain) as ours:
            push_image(ours, Reference(mirror.host, "library/app", "one"), small_image())
            assert ours.resolve(reference, AMD64).digest == small_image().manifest.digest
        hubs = Keychain((parse_docker_config(json.dumps({"auths": {"docker.io": entry}}), "config.json"),))
        with client(mirrored(("docker.io", mirror.host)), hubs) as ours, pytest.raises(RegistryError) as caught:
            ours.resolve(reference, AMD64)
        assert not isinstance(caught.value, AuthenticationError) and f"no entry for {mirror.host}" in str(caught.value)


def test_a_pull_through_mirror(registry: Registry, repository: str, tmp_path: Path) -> None:
    """Debian's docker-registry as a cache of another one: what it has not yet, it fetches."""
    with client() as ours:
        push_image(ours, Reference(registry.host, repository, "one"), small_image())
    with docker_registry(tmp_path, proxy=f"http://{registry.host}") as cache:
        reference = Reference("upstream.test", repository, "one")
        with client(mirrored(("upstream.test", cache.host))) as ours:
            resolved = ours.resolve(reference, AMD64)
            assert b"".join(ours.open_blob(reference, resolved.manifest.layers[0])) == small_image().blobs[0][1]


def test_the_cache_of_layers_has_no_mirror(registry: Registry, repository: str) -> None:
    reference = Reference(registry.host, f"{repository}/cache", "key")
    with faulty() as empty, client(mirrored((registry.host, empty.host))) as ours:
        cache = ours.for_cache()
        push_image(cache, reference, small_image())
        assert cache.resolve(reference, AMD64).digest == small_image().manifest.digest
        assert not empty.seen


@pytest.mark.parametrize(
    "text",
    [
        "The repository has enabled tag immutability",
        "The image tag 'one' already exists and cannot be overwritten because the tag is immutable.",
    ],
)
def test_a_tag_that_may_not_change(faults: FaultyRegistry, repository: str, text: str) -> None:
    reference, image = Reference(faults.host, repository, "one"), small_image()
    body = json.dumps({"errors": [{"code": "TAG_INVALID", "message": text}]}).encode()
    faults.add("PUT", "/manifests/one", Canned(400, body=body), times=None)
    events: list[Event] = []
    with client(replace(HASTY, ignore_immutable_tags=True), emit=events.append) as ours:
        push_image(ours, reference, image)
        assert "the tag exists and is immutable" in warnings(events)[0]
        faults.add("PUT", "/manifests/two", Canned(400, body=b"{}"))
        with pytest.raises(RegistryError, match="error pushing image"):
            ours.push_manifest(reference.with_tag("two"), image.manifest.raw, image.manifest.media_type)
    with client() as ours, pytest.raises(RegistryError, match="error pushing image: cannot push the manifest"):
        ours.push_manifest(reference, image.manifest.raw, image.manifest.media_type)
