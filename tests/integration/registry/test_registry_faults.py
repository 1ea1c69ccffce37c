"""What becomes of pulls and pushes when the network and the registry misbehave."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import replace

import pytest
from tests.integration.registry.faults import (
    Canned,
    Corrupt,
    CutAnswer,
    CutUpload,
    DropAnswerHeaders,
    DropRequestHeader,
    FaultyRegistry,
    Kind,
    KnowsUpload,
    SwallowAnswer,
    faulty,
)
from tests.integration.registry.images import AMD64, HASTY, blob, client, has_blob, opener, push_image, small_image
from tests.services import free_port

from gazami.cancel import Cancel
from gazami.errors import AuthenticationError, Cancelled, HostError, IntegrityError, RegistryError, TransportError
from gazami.events import Event, Message, TransferFinished
from gazami.image.manifest import MAX_MANIFEST
from gazami.image.reference import Reference
from gazami.registry.client import RegistryClient
from gazami.registry.credentials import Keychain, parse_docker_config
from gazami.registry.options import RegistryOptions
from gazami.registry.retry import RetryPolicy
from gazami.registry.upload import SMALL, SMALLEST_CHUNK

pytestmark = pytest.mark.service

SIZE = 3_000_000


@pytest.fixture
def there(faults: FaultyRegistry, repository: str) -> Reference:
    return Reference(faults.host, repository, "x")


# pulling


def test_a_pull_goes_on_where_it_was_cut(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    with client() as ours:
        ours.push_blob(there, descriptor, opener(data))
        faults.add("GET", "/blobs/sha256", CutAnswer(500_000), times=5)
        assert b"".join(ours.open_blob(there, descriptor)) == data
    ranges = [each.headers.get("Range") for each in faults.seen if each.method == "GET"]
    assert ranges == [None, *(f"bytes={count * 500_000}-" for count in range(1, 6))]


def test_a_pull_from_a_server_that_ignores_ranges(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    with client() as ours:
        ours.push_blob(there, descriptor, opener(data))
        faults.add("GET", "/blobs/sha256", CutAnswer(1_500_000))
        faults.add("GET", "/blobs/sha256", DropRequestHeader("Range"))
        assert b"".join(ours.open_blob(there, descriptor)) == data


def test_a_pull_from_a_server_that_refuses_ranges(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    with client() as ours:
        ours.push_blob(there, descriptor, opener(data))
        faults.add("GET", "/blobs/sha256", CutAnswer(1_500_000))
        faults.add("GET", "/blobs/sha256", Canned(416))
        assert b"".join(ours.open_blob(there, descriptor)) == data


def test_a_pull_that_gets_nowhere_ends(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    events: list[Event] = []
    with client(emit=events.append) as ours:
        ours.push_blob(there, descriptor, opener(data))
        faults.add("GET", "/blobs/sha256", CutAnswer(0), times=None)
        with pytest.raises(TransportError, match="after 4 attempts"):
            b"".join(ours.open_blob(there, descriptor))
    assert [each.how for each in events if isinstance(each, TransferFinished)] == ["moved", "failed"]


def test_wrong_bytes_never_end_well(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    with client() as ours:
        ours.push_blob(there, descriptor, opener(data))
        faults.add("GET", "/blobs/sha256", Corrupt())
        with pytest.raises(IntegrityError, match="has the digest"):
            for _ in ours.open_blob(there, descriptor):
                pass
        faults.add("GET", "/blobs/sha256", Corrupt(b"more"))
        with pytest.raises(IntegrityError, match="more than"):
            for _ in ours.open_blob(there, descriptor):
                pass
        with pytest.raises(IntegrityError, match="bytes instead of"):
            for _ in ours.open_blob(there, replace(descriptor, size=10)):
                pass


def test_wrong_manifests(faults: FaultyRegistry, there: Reference) -> None:
    image = small_image()
    with client() as ours:
        push_image(ours, there, image)
        faults.add("GET", "/manifests/", Corrupt(), times=2)
        with pytest.raises(IntegrityError, match="announced"):
            ours.get_manifest(there)
        with pytest.raises(IntegrityError, match="has the digest"):
            ours.get_manifest(there.with_digest(image.manifest.digest))
        faults.add("GET", "/manifests/", Canned(200, body=b"[]"))
        with pytest.raises(RegistryError, match="malformed"):
            ours.get_manifest(there)
        faults.add("GET", "/manifests/", Canned(200, body=b" " * (MAX_MANIFEST + 1)))
        with pytest.raises(RegistryError, match="larger than"):
            ours.get_manifest(there)
        assert ours.get_manifest(there).digest == image.manifest.digest
        before = len(faults.seen)
        ours.get_manifest(there)
        assert len(faults.seen) == before, "a manifest is asked for once"


def test_statuses_that_pass_are_waited_out(faults: FaultyRegistry, there: Reference) -> None:
    events: list[Event] = []
    with client(emit=events.append) as ours:
        push_image(ours, there, small_image())
        faults.add("GET", "/manifests/", Canned(503))
        faults.add("GET", "/manifests/", Canned(429, (("Retry-After", "1"),)))
        began = time.monotonic()
        assert ours.resolve(there, AMD64).digest == small_image().manifest.digest
        assert time.monotonic() - began >= 1
    assert sum("trying again" in each.text for each in events if isinstance(each, Message)) == 2


def test_statuses_that_stay_are_told(faults: FaultyRegistry, there: Reference) -> None:
    with client() as ours:
        faults.add("GET", "/manifests/", Canned(502, body=b"bad gateway"), times=None)
        with pytest.raises(TransportError, match="status 502, bad gateway after 4 attempts"):
            ours.get_manifest(there)


def test_nobody_listens() -> None:
    host = f"127.0.0.1:{free_port()}"
    with client() as ours, pytest.raises(TransportError) as caught:
        ours.get_manifest(Reference(host, "a", "x"))
    assert "refused" in str(caught.value) and "4 attempts" in str(caught.value) and host in str(caught.value)


def test_nobody_listens_on_this_machine_and_the_user_has_not_said_how_often_to_try() -> None:
    host, began = f"127.0.0.1:{free_port()}", time.monotonic()
    with RegistryClient(RegistryOptions(), Keychain([]), lambda _: None, Cancel()) as ours, pytest.raises(TransportError) as caught:
        ours.get_manifest(Reference(host, "a", "x"))
    assert "connection refused after 3 attempts" in str(caught.value)
    assert time.monotonic() - began < 4


def test_cancelling_ends_a_wait_at_once(faults: FaultyRegistry, there: Reference) -> None:
    cancel = Cancel()
    faults.add("GET", "/manifests/", Canned(503), times=None)

    def emit(event: Event) -> None:
        cancel.set("enough")

    patient = replace(HASTY, retry=RetryPolicy(base=30))
    began = time.monotonic()
    with RegistryClient(patient, Keychain(), emit, cancel) as ours, pytest.raises(Cancelled):
        ours.get_manifest(there)
    assert time.monotonic() - began < 5


def test_a_redirect_to_another_host_gets_no_authorization(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(1000)
    with faulty() as storage, client(keychain=_keychain(faults.host)) as ours:
        storage.add("GET", "/signed", Canned(200, body=data), times=None)
        faults.add("GET", "/blobs/sha256", Canned(401, (("WWW-Authenticate", 'Basic realm="x"'),)))
        faults.add("GET", "/blobs/sha256", Canned(307, (("Location", f"http://{storage.host}/signed?X-Sig=abc"),)))
        assert b"".join(ours.open_blob(there, descriptor)) == data
        assert "Authorization" in faults.seen[-1].headers
        assert "Authorization" not in storage.seen[-1].headers
        storage.faults[:] = []
        storage.add("GET", "/signed", Canned(403), times=None)
        faults.add("GET", "/blobs/sha256", Canned(307, (("Location", f"http://u:pw@{storage.host}/signed?X-Sig=abc"),)))
        with pytest.raises(AuthenticationError) as caught:
            b"".join(ours.open_blob(there, descriptor))
        assert "abc" not in str(caught.value) and "pw@" not in str(caught.value) and "hunter2" not in str(caught.value)


def test_redirects_in_a_circle(faults: FaultyRegistry, there: Reference) -> None:
    faults.add("GET", "", Canned(302, (("Location", "{here}/round"),)), times=None)
    with client() as ours, pytest.raises(TransportError, match="too many redirects"):
        ours.get_manifest(there)


# pushing


def test_a_push_goes_on_where_it_was_cut(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    with client() as ours:
        faults.add("PATCH", "", CutUpload(1_000_000))
        faults.add("GET", "/uploads/", KnowsUpload())
        assert ours.push_blob(there, descriptor, opener(data)) == "moved"
        assert b"".join(ours.open_blob(there, descriptor)) == data
    lengths = [each.headers["Content-Length"] for each in faults.seen if each.method == "PATCH"]
    assert lengths == ["3000000", "2000000"]


@pytest.mark.parametrize("status", [400, 404, 204])
def test_a_push_starts_again_where_the_registry_does_not_know_its_state(
    faults: FaultyRegistry, there: Reference, status: int
) -> None:
    descriptor, data = blob(SIZE)
    with client() as ours:
        faults.add("PATCH", "", CutUpload(1_000_000))
        faults.add("GET", "/uploads/", Canned(status))
        assert ours.push_blob(there, descriptor, opener(data)) == "moved"
    assert faults.count("POST") == 2


def test_a_lost_answer_to_the_commit_is_found_out(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    with client() as ours:
        faults.add("PUT", "/uploads/", SwallowAnswer())
        assert ours.push_blob(there, descriptor, opener(data)) == "moved"
    assert faults.count("PATCH") == 1 and faults.count("HEAD") == 2


@pytest.mark.parametrize("method", ["HEAD", "POST", "PATCH", "PUT"])
@pytest.mark.parametrize("status", [503, 416, 500])
def test_a_push_survives_one_bad_answer(faults: FaultyRegistry, there: Reference, method: str, status: int) -> None:
    descriptor, data = blob(20_000)
    with client() as ours:
        faults.add(method, "/blobs/", Canned(status))
        if (method, status) == ("POST", 416):
            with pytest.raises(RegistryError, match="416"):
                ours.push_blob(there, descriptor, opener(data))
        else:
            assert ours.push_blob(there, descriptor, opener(data)) == "moved"
            assert b"".join(ours.open_blob(there, descriptor)) == data


@pytest.mark.parametrize("status", [202, 404, 405, 401, 403, 500])
def test_a_mount_that_does_not_happen(faults: FaultyRegistry, there: Reference, status: int) -> None:
    descriptor, data = blob(20_000)
    headers: tuple[tuple[str, str], ...] = ()
    faults.add("POST", "mount=", Canned(status, headers))
    with client() as ours:
        source = Reference(faults.host, "other", "x")
        assert ours.push_blob(there, descriptor, opener(data), (source,)) == "moved"


def test_a_push_in_pieces_to_a_registry_that_limits_bodies(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(3 * SMALLEST_CHUNK + 5)
    with client() as ours:
        faults.add("PATCH", "", Canned(413))
        assert ours.push_blob(there, descriptor, opener(data)) == "moved"
        assert b"".join(ours.open_blob(there, descriptor)) == data
    pieces = [each.headers.get("Content-Range") for each in faults.seen if each.method == "PATCH"]
    half = len(data) // 2
    assert pieces == [None, f"0-{half - 1}", f"{half}-{2 * half - 1}", f"{2 * half}-{len(data) - 1}"]


@pytest.mark.parametrize(("size", "method"), [(20_000, "PUT"), (200_000, "PATCH")])
def test_a_push_that_never_succeeds_ends(faults: FaultyRegistry, there: Reference, size: int, method: str) -> None:
    descriptor, data = blob(size)
    with client() as ours:
        faults.add(method, "", CutUpload(0), times=None)
        with pytest.raises(TransportError, match=r"cannot push blob .* after \d attempts"):
            ours.push_blob(there, descriptor, opener(data))


def test_a_push_of_other_bytes_than_promised(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(20_000)
    with client() as ours:
        with pytest.raises(RegistryError, match="DIGEST_INVALID"):
            ours.push_blob(there, descriptor, opener(b"x" + data[1:]))
        with pytest.raises(HostError, match="19999 bytes"):
            ours.push_blob(there, descriptor, opener(data[:-1]))


@pytest.mark.in_one_request
@pytest.mark.parametrize(
    "fault", [CutUpload(300_000), SwallowAnswer(), Canned(503), Canned(413), Canned(400), Canned(405)], ids=str
)
def test_a_blob_that_goes_in_one_request_and_does_not_arrive_goes_again(
    fault: Kind, faults: FaultyRegistry, there: Reference
) -> None:
    descriptor, data = blob(1_000_000)
    with client() as ours:
        faults.add("PUT", "/uploads/", fault)
        assert ours.push_blob(there, descriptor, opener(data)) == "moved"
        assert b"".join(ours.open_blob(there, descriptor)) == data
    methods = [each.method for each in faults.seen if each.method != "GET"]
    assert methods[:3] == ["HEAD", "POST", "PUT"]


@pytest.mark.parametrize("size", [1000, SMALL + 1])
def test_an_upload_location_on_another_host_gets_no_authorization(size: int, faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(size)
    with faulty() as storage, client(keychain=_keychain(faults.host)) as ours:
        faults.add(*(("HEAD", "/blobs/") if size > SMALL else ("POST", "/uploads/")), Canned(401, (("WWW-Authenticate", "Basic"),)))
        faults.add("POST", "/uploads/", Canned(202, (("Location", f"http://{storage.host}/up?session=7"),)))
        storage.add("PATCH", "/up", Canned(202))
        storage.add("PUT", "/up", Canned(201))
        assert ours.push_blob(there, descriptor, opener(data)) == "moved"
        assert "Authorization" in faults.seen[-1].headers
        assert all("Authorization" not in each.headers for each in storage.seen)
        assert storage.seen[-1].target == f"/up?session=7&digest={descriptor.digest.replace(':', '%3A')}"


def test_a_manifest_that_is_stored_differently(faults: FaultyRegistry, there: Reference) -> None:
    image = small_image()
    with client() as ours:
        push_image(ours, there, image)
        faults.add("PUT", "/manifests/", Canned(201, (("Docker-Content-Digest", "sha256:" + "0" * 64),)))
        with pytest.raises(IntegrityError, match="stored"):
            ours.push_manifest(there, image.manifest.raw, image.manifest.media_type)
        faults.add("PUT", "/manifests/", DropAnswerHeaders(("docker-content-digest",)))
        ours.push_manifest(there, image.manifest.raw, image.manifest.media_type)
        faults.add("HEAD", "/manifests/", DropAnswerHeaders(("docker-content-digest",)))
        found = ours.head_manifest(there)
        assert found is not None and found.digest == image.manifest.digest


def test_a_copy_of_damaged_bytes_is_not_committed(faults: FaultyRegistry, there: Reference) -> None:
    descriptor, data = blob(SIZE)
    target = Reference(faults.host, f"{there.repository}/copy", "x")
    with client() as ours:
        ours.push_blob(there, descriptor, opener(data))
        faults.add("POST", "mount=", Canned(404))
        faults.add("GET", "/blobs/sha256", Corrupt())
        with pytest.raises(IntegrityError):
            ours.copy_blob(there, target, descriptor)
        assert not has_blob(ours, target, descriptor)
        faults.add("POST", "mount=", Canned(404))
        faults.add("GET", "/blobs/sha256", CutAnswer(1_000_000))
        faults.add("PATCH", "/copy/", CutUpload(1_500_000))
        assert ours.copy_blob(there, target, descriptor) == "moved"
        assert b"".join(ours.open_blob(target, descriptor)) == data


def _keychain(host: str) -> Keychain:
    auth = base64.b64encode(b"ada:hunter2").decode()
    return Keychain((parse_docker_config(json.dumps({"auths": {host: {"auth": auth}}}), "config.json"),))
