"""Pushing and pulling with a real registry, and what skopeo sees of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.integration.registry.faults import Canned, faulty
from tests.integration.registry.images import AMD64, blob, client, has_blob, opener, push_image, small_image
from tests.services import Registry, docker_registry

from gazami.errors import NotFoundError, RegistryError
from gazami.events import Event, TransferFinished, TransferProgress, TransferStarted
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_INDEX, OCI_MANIFEST, Descriptor, encode_index, encode_manifest
from gazami.image.platform import Platform
from gazami.image.reference import Reference, parse_reference

pytestmark = pytest.mark.service


@pytest.mark.parametrize("oci", [False, True], ids=["docker", "oci"])
def test_a_pushed_image_resolves_and_skopeo_reads_it(registry: Registry, repository: str, oci: bool) -> None:
    reference = Reference(registry.host, repository, "one")
    image = small_image(oci=oci)
    with client() as ours:
        push_image(ours, reference, image)
    with client() as ours:
        resolved = ours.resolve(reference, AMD64)
        layer = b"".join(ours.open_blob(reference, resolved.manifest.layers[0]))
    assert resolved.digest == image.manifest.digest and resolved.index_digest is None
    assert resolved.config.platform == AMD64
    assert layer == image.blobs[0][1]
    seen = subprocess.run(["skopeo", "inspect", "--tls-verify=false", f"docker://{reference}"], capture_output=True, check=True)
    assert json.loads(seen.stdout)["Digest"] == image.manifest.digest


def test_an_index_of_indexes_leads_to_the_platform(registry: Registry, repository: str) -> None:
    arm, amd = small_image(Platform("linux", "arm64")), small_image(AMD64)
    reference = Reference(registry.host, repository, "multi")
    with client() as ours:
        for image in (arm, amd):
            push_image(ours, reference.with_tag(image.manifest.digest[7:20]), image)
        inner = encode_index(
            tuple(
                Descriptor(each.manifest.media_type, each.manifest.digest, len(each.manifest.raw), platform=platform)
                for each, platform in ((arm, Platform("linux", "arm64")), (amd, AMD64))
            )
        )
        ours.push_manifest(reference.with_tag("inner"), inner.raw, inner.media_type)
        outer = encode_index((Descriptor(OCI_INDEX, inner.digest, len(inner.raw), platform=AMD64),))
        ours.push_manifest(reference, outer.raw, outer.media_type)
        resolved = ours.resolve(reference, AMD64)
        assert resolved.digest == amd.manifest.digest
        assert resolved.index_digest == outer.digest
        with pytest.raises(NotFoundError, match="linux/amd64, linux/arm64"):
            ours.resolve(reference.with_tag("inner"), Platform("linux", "s390x"))


def test_an_artifact_is_refused(registry: Registry, repository: str) -> None:
    reference = Reference(registry.host, repository, "chart")
    config = Descriptor("application/vnd.cncf.helm.config.v1+json", digest_of(b"{}"), 2)
    manifest = encode_manifest(OCI_MANIFEST, config, ())
    with client() as ours:
        ours.push_blob(reference, config, opener(b"{}"))
        ours.push_manifest(reference, manifest.raw, manifest.media_type)
        with pytest.raises(RegistryError, match=r"artifact .*helm"):
            ours.resolve(reference, AMD64)


def test_a_blob_is_pushed_found_and_mounted(registry: Registry, repository: str) -> None:
    here = Reference(registry.host, repository, "x")
    there = Reference(registry.host, f"{repository}/other", "x")
    descriptor, data = blob(3_000_000)
    with client() as ours:
        assert ours.push_blob(here, descriptor, opener(data)) == "moved"
        assert ours.push_blob(here, descriptor, opener(data)) == "exists"
        assert ours.push_blob(there, descriptor, opener(data), (here,)) == "mounted"
        assert has_blob(ours, there, descriptor)
        assert not has_blob(ours, there, Descriptor(descriptor.media_type, digest_of(b"nowhere"), 7))
        assert b"".join(ours.open_blob(there, descriptor)) == data


def test_mounting_what_is_not_there_becomes_an_upload(registry: Registry, repository: str) -> None:
    descriptor, data = blob(2000)
    sources = (Reference(registry.host, "not/there", "x"), Reference("other.test", "a/b", "x"))
    with client() as ours:
        assert ours.push_blob(Reference(registry.host, repository, "x"), descriptor, opener(data), sources) == "moved"


def test_an_empty_blob_and_relative_locations(tmp_path: Path, repository: str) -> None:
    descriptor, data = blob(0)
    other, more = blob(70_000)
    with docker_registry(tmp_path, relative_urls=True) as registry, client() as ours:
        reference = Reference(registry.host, repository, "x")
        assert ours.push_blob(reference, other, opener(more)) == "moved"
        ours.push_blob(reference, descriptor, opener(data))
        assert b"".join(ours.open_blob(reference, other)) == more


def test_copying_goes_through_without_being_stored(registry: Registry, repository: str, tmp_path: Path) -> None:
    descriptor, data = blob(2_500_000)
    with docker_registry(tmp_path) as second, client() as ours:
        source = Reference(registry.host, repository, "x")
        ours.push_blob(source, descriptor, opener(data))
        target = Reference(second.host, "copied", "x")
        assert ours.copy_blob(source, target, descriptor) == "moved"
        assert ours.copy_blob(target, Reference(second.host, "again", "x"), descriptor) == "mounted"
        assert b"".join(ours.open_blob(target, descriptor)) == data


def test_what_is_not_there_is_not_found(registry: Registry, repository: str) -> None:
    reference = Reference(registry.host, repository, "missing")
    with client() as ours:
        assert ours.head_manifest(reference) is None
        assert ours.list_tags(reference) == ()
        with pytest.raises(NotFoundError) as caught:
            ours.resolve(reference, AMD64)
        assert caught.value.status == 404 and "spelling" in str(caught.value.hint)
        push_image(ours, reference, small_image())
        assert ours.resolve(reference, AMD64).digest == small_image().manifest.digest
        assert ours.list_tags(reference) == ("missing",)
        found = ours.head_manifest(reference)
        assert found is not None and found.digest == small_image().manifest.digest


def test_a_reference_by_digest(registry: Registry, repository: str) -> None:
    reference = Reference(registry.host, repository, "one")
    image = small_image()
    with client() as ours:
        push_image(ours, reference, image)
        pinned = parse_reference(f"{reference}@{image.manifest.digest}")
        assert ours.resolve(pinned, AMD64).digest == image.manifest.digest
        wrong = reference.with_digest(digest_of(b"other"))
        with pytest.raises(NotFoundError):
            ours.get_manifest(wrong)


def test_checking_for_permission_leaves_nothing_behind(registry: Registry, repository: str) -> None:
    with client() as ours:
        ours.checks.check(Reference(registry.host, repository, "x"))
    assert _uploads(registry, repository).exists() and not _open_uploads(registry, repository)


def _uploads(registry: Registry, repository: str) -> Path:
    return registry.root / "docker/registry/v2/repositories" / repository / "_uploads"


def _open_uploads(registry: Registry, repository: str) -> list[Path]:
    return list(_uploads(registry, repository).glob("*/startedat"))


def test_a_push_goes_on_with_the_upload_that_the_check_opened(registry: Registry, repository: str) -> None:
    reference = Reference(registry.host, repository, "x")
    (one, first), (two, second) = blob(1000), blob(2000)
    with client() as ours:
        ours.checks.check(reference, keep=True)
        before = ours.transport.requests
        assert ours.push_blob(reference, one, opener(first), opened=True) == "moved"
        assert ours.transport.requests - before == 1
        assert ours.push_blob(reference, two, opener(second), opened=True) == "moved"
        assert ours.transport.requests - before == 3, "there was one of them"
        assert b"".join(ours.open_blob(reference, one)) + b"".join(ours.open_blob(reference, two)) == first + second
    assert not _open_uploads(registry, repository)


def test_an_upload_that_is_gone_is_begun_again(registry: Registry, repository: str) -> None:
    reference, (descriptor, data) = Reference(registry.host, repository, "x"), blob(1000)
    with client() as ours:
        ours.checks.check(reference, keep=True)
        shutil.rmtree(_uploads(registry, repository))
        assert ours.push_blob(reference, descriptor, opener(data), opened=True) == "moved"
        assert b"".join(ours.open_blob(reference, descriptor)) == data


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_upload_that_the_check_opened_is_not_tried_twice(registry: Registry, repository: str, status: int) -> None:
    """The registry has forgotten it, or the part of the registry is gone that had it."""
    descriptor, data = blob(1000)
    with faulty(registry.host) as proxy, client() as ours:
        reference = Reference(proxy.host, repository, "x")
        ours.checks.check(reference, keep=True)
        [old] = [path.parent.name for path in _open_uploads(registry, repository)]
        proxy.add("PUT", old, Canned(status), times=None)
        assert ours.push_blob(reference, descriptor, opener(data), opened=True) == "moved"
        assert proxy.count("PUT", old) == 1
        assert b"".join(ours.open_blob(reference, descriptor)) == data


def test_an_upload_that_nobody_went_on_with_is_closed(registry: Registry, repository: str) -> None:
    reference, (descriptor, data) = Reference(registry.host, repository, "x"), blob(100_000)
    with client() as ours:
        ours.checks.check(reference, keep=True)
        assert ours.push_blob(reference, descriptor, opener(data), opened=True) == "moved"  # too large for it
        assert len(_open_uploads(registry, repository)) == 1
        ours.checks.close((reference,))
    assert not _open_uploads(registry, repository)


def test_events_of_a_push_and_a_pull(registry: Registry, repository: str) -> None:
    events: list[Event] = []
    descriptor, data = blob(5_000_000)
    reference = Reference(registry.host, repository, "x")
    with client(emit=events.append) as ours:
        ours.push_blob(reference, descriptor, opener(data))
        for _ in ours.open_blob(reference, descriptor):
            pass
    started = [each for each in events if isinstance(each, TransferStarted)]
    finished = [each for each in events if isinstance(each, TransferFinished)]
    assert [each.direction for each in started] == ["push", "pull"]
    assert [(each.how, each.size) for each in finished] == [("moved", descriptor.size)] * 2
    assert any(isinstance(each, TransferProgress) for each in events)
    assert len({each.key for each in started}) == 2


def test_a_mirror_refuses_pushes(registry: Registry, repository: str, tmp_path: Path) -> None:
    reference = Reference(registry.host, repository, "one")
    descriptor, data = blob(10)
    with docker_registry(tmp_path, proxy=f"http://{registry.host}") as mirror, client() as ours:
        push_image(ours, reference, small_image())
        assert ours.resolve(Reference(mirror.host, repository, "one"), AMD64).digest == small_image().manifest.digest
        with pytest.raises(RegistryError, match="405") as caught:
            ours.push_blob(Reference(mirror.host, repository, "x"), descriptor, opener(data))
        assert "mirror" in str(caught.value.hint)
