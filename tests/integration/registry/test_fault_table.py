"""Every fault against every operation: the right bytes or a clear error, and no blob that is believed but is not there.

The faults stand between the client and Debian's docker-registry. For each pair the table says how it ends: ``GOOD``,
or a text of the error. Afterwards whatever the registry claims to have is read back, around the faults, and checked.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from tests.integration.registry.faults import (
    Canned,
    Corrupt,
    CorruptUpload,
    CutAnswer,
    CutUpload,
    FaultyRegistry,
    Kind,
    RedirectTo,
    Slow,
    WrongLength,
    faulty,
)
from tests.integration.registry.images import AMD64, HASTY, client, has_blob, opener, small_image
from tests.services import Registry

from gazami.errors import GazamiError, IntegrityError, NotFoundError, RegistryError
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain, parse_docker_config

pytestmark = pytest.mark.service

IMAGE = small_image(size=400_000)
LAYER, DATA = IMAGE.blobs[0]
CONFIG, TEXT = IMAGE.blobs[1]
PIECE = 64 * 1024
GOOD = ""


@dataclass(frozen=True, slots=True)
class Place:
    """``behind`` is the repository through the faults, ``real`` the same one around them, ``source`` has the image."""

    faults: FaultyRegistry
    behind: Reference
    real: Reference
    source: Reference


@dataclass(frozen=True, slots=True)
class Fault:
    """What to answer to the requests of one operation: method, path, kind, how often."""

    kind: Callable[[str], Kind]
    times: int | None


def pull_manifest(ours: RegistryClient, place: Place) -> None:
    assert ours.resolve(place.source, AMD64).digest == IMAGE.manifest.digest


def pull_blob(ours: RegistryClient, place: Place) -> None:
    assert b"".join(ours.open_blob(place.source, LAYER)) == DATA


def push_blob(ours: RegistryClient, place: Place) -> None:
    assert ours.push_blob(place.behind, LAYER, opener(DATA)) == "moved"


def push_small(ours: RegistryClient, place: Place) -> None:
    """It goes with its digest, in one request."""
    assert ours.push_blob(place.behind, CONFIG, opener(TEXT)) == "moved"


def push_manifest(ours: RegistryClient, place: Place) -> None:
    assert ours.push_manifest(place.behind, IMAGE.manifest.raw, IMAGE.manifest.media_type) == IMAGE.manifest.digest


def mount(ours: RegistryClient, place: Place) -> None:
    assert ours.push_blob(place.behind, LAYER, opener(DATA), (place.source,)) in ("mounted", "moved")


def check(ours: RegistryClient, place: Place) -> None:
    ours.checks.check(place.behind)


OPERATIONS: dict[str, tuple[Callable[[RegistryClient, Place], None], str, str]] = {
    "manifest pull": (pull_manifest, "GET", "/manifests/"),
    "blob pull": (pull_blob, "GET", "/blobs/sha256"),
    "blob push": (push_blob, "PATCH", "/uploads/"),
    "blob commit": (push_blob, "PUT", "/uploads/"),
    "small blob push": (push_small, "PUT", "/uploads/"),
    "manifest push": (push_manifest, "PUT", "/manifests/"),
    "mount": (mount, "POST", "mount="),
    "permission check": (check, "POST", "/uploads/"),
}

UPLOADS = ("blob push", "blob commit", "small blob push")
ALL = tuple(OPERATIONS)

# fault → (what is answered, how often, {operation: how it ends})
TABLE: dict[str, tuple[Kind, int | None, dict[str, str]]] = {
    "answer cut every 64 KiB": (CutAnswer(PIECE), 20, {"blob pull": GOOD}),
    "answer cut at once": (CutAnswer(10), 1, dict.fromkeys(("manifest pull", "blob pull"), GOOD)),
    "answer always cut at once": (CutAnswer(0), None, {"blob pull": "after 4 attempts", "manifest pull": "after 4 attempts"}),
    "upload cut after 64 KiB": (CutUpload(PIECE), 2, {"blob push": GOOD}),
    "upload always cut": (CutUpload(PIECE), None, {"blob push": "after"}),
    "slow": (Slow(0.05), 3, dict.fromkeys(ALL, GOOD)),
    "silent once": (Slow(3.0), 1, dict.fromkeys(ALL, GOOD)),
    "500 once": (Canned(500), 1, dict.fromkeys(ALL, GOOD)),
    "503 once": (Canned(503, body=b"try later"), 1, dict.fromkeys(ALL, GOOD)),
    "502 always": (Canned(502), None, {**dict.fromkeys(ALL, "status 502"), "mount": GOOD}),
    "429 once": (Canned(429, (("Retry-After", "1"),)), 1, {**dict.fromkeys(ALL, GOOD)}),
    "429 always": (Canned(429, (("Retry-After", "0"),)), None, {**dict.fromkeys(ALL, "status 429"), "mount": GOOD}),
    "429 for an hour": (
        Canned(429, (("Retry-After", "3600"),)), None, {**dict.fromkeys(ALL, "status 429"), "mount": GOOD},
    ),
    "wrong bytes": (Corrupt(), 1, {"manifest pull": "digest", "blob pull": "has the digest"}),
    "upload with a wrong byte": (CorruptUpload(), 1, {"blob push": GOOD}),
    "uploads with wrong bytes": (CorruptUpload(), None, {"blob push": "DIGEST_INVALID"}),
    "too many bytes": (Corrupt(b"more"), 1, {"manifest pull": "digest", "blob pull": "more than"}),
    "wrong length, more": (WrongLength(7), 1, {"blob pull": "bytes instead of", "manifest pull": "digest"}),
    "wrong length, less": (WrongLength(-7), 1, {"blob pull": "bytes instead of", "manifest pull": "digest"}),
    "400": (Canned(400), None, {**dict.fromkeys(ALL, "status 400"), "mount": GOOD}),
    "401": (Canned(401), None, {**dict.fromkeys(ALL, "status 401"), "mount": GOOD}),
    "403": (Canned(403), None, {**dict.fromkeys(ALL, "status 403"), "mount": GOOD}),
    "404": (Canned(404), None, {**dict.fromkeys(ALL, "status 404"), "mount": GOOD}),
    "405": (Canned(405), None, {**dict.fromkeys(ALL, "status 405"), "mount": GOOD}),
    "416 once": (Canned(416), 1, {"blob push": GOOD, "blob commit": GOOD, "mount": GOOD}),
    "mount 202": (Canned(202), 1, {"mount": GOOD}),
    "taken as a part": (Canned(202), 1, {"small blob push": GOOD}),
    "too large": (Canned(413), 1, {"small blob push": GOOD}),
    "a small blob cut": (CutUpload(100), 2, {"small blob push": GOOD}),
    "a small blob with a wrong byte": (CorruptUpload(), 1, {"small blob push": GOOD}),
    "nonsense": (Canned(299, body=b"\x00"), None, {"manifest pull": "status 299", "permission check": "status 299"}),
}  # fmt: skip

CASES = [(fault, operation) for fault, (_, _, ends) in TABLE.items() for operation in ends]


@pytest.fixture
def place(registry: Registry, repository: str) -> Iterator[Place]:
    source = Reference(registry.host, "fault-table/source", "one")
    real = Reference(registry.host, repository, "one")
    with client() as ours, faulty(registry.host) as faults:
        for descriptor, data in IMAGE.blobs:
            ours.push_blob(source, descriptor, opener(data))
        ours.push_manifest(source, IMAGE.manifest.raw, IMAGE.manifest.media_type)
        behind = Reference(faults.host, repository, "one")
        yield Place(faults, behind, real, Reference(faults.host, source.repository, "one"))


def believed(place: Place) -> None:
    """What the registry says that it has in the repository is right: the layer, and the image when it is there."""
    with client() as ours:
        for blob, data in IMAGE.blobs:
            if has_blob(ours, place.real, blob):
                assert b"".join(ours.open_blob(place.real, blob)) == data
        found = ours.head_manifest(place.real)
        assert found is None or found.digest == IMAGE.manifest.digest


@pytest.mark.parametrize(("fault", "operation"), CASES, ids=lambda value: value.replace(" ", "-"))
def test_fault(place: Place, fault: str, operation: str) -> None:
    kind, times, ends = TABLE[fault]
    work, method, path = OPERATIONS[operation]
    blob = CONFIG if operation == "small blob push" else LAYER
    if operation == "manifest push":
        with client() as ours:
            for descriptor, data in IMAGE.blobs:
                ours.push_blob(place.real, descriptor, opener(data))
    place.faults.add(method, path, kind, times=times)
    began = time.monotonic()
    with client(replace(HASTY, read_timeout=1.0)) as ours:
        if ends[operation] == GOOD:
            work(ours, place)
            if method != "GET" and operation != "permission check" and operation != "manifest push":
                with client() as around:
                    assert has_blob(around, place.real, blob), "what was claimed is there"
        else:
            with pytest.raises(RegistryError) as caught:
                work(ours, place)
            said = str(caught.value)
            assert ends[operation] in said and "Traceback" not in said
            if operation in UPLOADS:
                with client() as around:
                    assert not has_blob(around, place.real, blob)
    assert time.monotonic() - began < 20 and len(place.faults.seen) < 60
    believed(place)


@pytest.mark.parametrize(
    "operation", ["blob pull", "manifest pull", "blob push", "small blob push", "manifest push", "permission check"]
)
def test_a_redirect_to_another_server_takes_no_authorization_along(place: Place, registry: Registry, operation: str) -> None:
    """307 to a second server in front of the same registry, which writes down what it is sent."""
    work, method, path = OPERATIONS[operation]
    entry = {"auth": base64.b64encode(b"ada:hunter2").decode()}
    text = json.dumps({"auths": {place.faults.host: entry}})
    place.faults.add(method, path, Canned(401, (("WWW-Authenticate", 'Basic realm="x"'),)))
    with faulty(registry.host) as other, client(keychain=Keychain((parse_docker_config(text, "c"),))) as ours:
        place.faults.add(method, path, RedirectTo(other.host), times=None)
        if operation == "manifest push":
            with client() as around:
                for descriptor, data in IMAGE.blobs:
                    around.push_blob(place.real, descriptor, opener(data))
        work(ours, place)
        assert other.seen and all("Authorization" not in each.headers for each in other.seen)
    sent = [each.headers.get("Authorization") for each in place.faults.seen if each.method == method]
    assert "Basic " + entry["auth"] in sent
    believed(place)


@pytest.mark.parametrize("status", [400, 404, 416, 500])
def test_an_upload_whose_state_is_not_told(place: Place, status: int) -> None:
    """The connection is cut in the middle, and the registry does not say how much it has."""
    place.faults.add("PATCH", "/uploads/", CutUpload(PIECE))
    place.faults.add("GET", "/uploads/", Canned(status), times=None)
    with client() as ours:
        try:
            push_blob(ours, place)
        except RegistryError as error:
            assert status == 500 and "status 500" in str(error)
    believed(place)


def test_a_registry_without_head(place: Place) -> None:
    place.faults.add("HEAD", "", Canned(405), times=None)
    with client() as ours:
        push_blob(ours, place)
        found = ours.head_manifest(place.source)
        assert found is not None and found.digest == IMAGE.manifest.digest
        assert ours.head_manifest(place.behind.with_tag("none")) is None


@pytest.mark.parametrize("location", ["{here}/v2/{path}?_state=a%2Fb&x=1", "/v2/{path}?_state=a%2Fb", "../uploads/x1"])
def test_locations_of_every_shape(place: Place, location: str) -> None:
    """Absolute, relative, with a query: the digest is added and nothing else is changed."""
    path = f"{place.behind.repository}/blobs/uploads/x1"
    place.faults.add("POST", "/uploads/", Canned(202, (("Location", location.replace("{path}", path)),)))
    place.faults.add("PATCH", "/uploads/x1", Canned(202))
    place.faults.add("PUT", "/uploads/x1", Canned(201))
    with client() as ours:
        push_blob(ours, place)
    put = place.faults.seen[-1].target
    query = "?_state=a%2Fb&x=1&" if "x=1" in location else "?_state=a%2Fb&" if "_state" in location else "?"
    assert put == f"/v2/{path}{query}digest={LAYER.digest.replace(':', '%3A')}"


def test_pieces_are_not_smaller_than_the_registry_allows(place: Place) -> None:
    """413 asks for pieces, OCI-Chunk-Min-Length says how small they may be."""
    big = small_image(size=5 << 20)
    descriptor, data = big.blobs[0]
    least = (descriptor.size * 2) // 3
    path = f"/v2/{place.behind.repository}/blobs/uploads/x1"
    opened = Canned(202, (("Location", path), ("OCI-Chunk-Min-Length", str(least))))
    place.faults.add("POST", "/uploads/", opened, times=2)
    place.faults.add("PATCH", "/uploads/x1", Canned(413))
    place.faults.add("PATCH", "/uploads/x1", Canned(202), times=2)
    place.faults.add("PUT", "/uploads/x1", Canned(201))
    with client() as ours:
        assert ours.push_blob(place.behind, descriptor, opener(data)) == "moved"
    pieces = [int(each.headers["Content-Length"]) for each in place.faults.seen if each.method == "PATCH"]
    assert pieces == [descriptor.size, least, descriptor.size - least]


def test_blobs_that_are_not_known_yet(place: Place) -> None:
    """Registries that are consistent eventually refuse a manifest right after its blobs came."""
    body = b'{"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "blob unknown to registry"}]}'
    with client() as ours:
        for descriptor, data in IMAGE.blobs:
            ours.push_blob(place.real, descriptor, opener(data))
        place.faults.add("PUT", "/manifests/", Canned(404, body=body), times=2)
        push_manifest(ours, place)
        place.faults.add("PUT", "/manifests/", Canned(404, body=body), times=None)
        with pytest.raises(RegistryError, match="MANIFEST_BLOB_UNKNOWN"):
            push_manifest(ours, place)
    assert place.faults.count("PUT", "/manifests/") == 3 + 4


def test_the_errors_are_of_the_right_kind(place: Place) -> None:
    place.faults.add("GET", "/blobs/", Corrupt())
    with client() as ours:
        with pytest.raises(IntegrityError):
            pull_blob(ours, place)
        with pytest.raises(NotFoundError):
            ours.get_manifest(place.behind.with_tag("none"))
        with pytest.raises(GazamiError, match="error pushing image"):
            place.faults.add("PUT", "/manifests/", Canned(404))
            push_manifest(ours, place)
