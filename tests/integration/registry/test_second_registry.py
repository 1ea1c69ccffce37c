"""The same work with a registry that behaves differently from Debian's docker-registry (see ``strict_registry``)."""

from __future__ import annotations

import pytest
from tests.integration.registry.faults import CutAnswer, CutUpload, KnowsUpload, faulty
from tests.integration.registry.images import AMD64, blob, client, opener, push_image, small_image
from tests.programs import gazami
from tests.strict_registry import Quirks, strict_registry

from gazami.image.manifest import Manifest
from gazami.image.reference import Reference

pytestmark = pytest.mark.service

RELATIVE = "/v2/{name}/blobs/uploads/{session}"
QUIRKS = {
    "as it is": Quirks(),
    "mounts": Quirks(mount=201),
    "mount 404": Quirks(mount=404),
    "mount 405": Quirks(mount=405),
    "absolute location": Quirks(location="http://{host}" + RELATIVE),
    "absolute location with a query": Quirks(location="http://{host}" + RELATIVE + "?a=1&b=%2F"),
    "relative location": Quirks(location=RELATIVE),
    "location of https": Quirks(location="https://{host}" + RELATIVE),
    "location beside": Quirks(location="{session}"),
    "no HEAD": Quirks(heads=False),
    "digests": Quirks(digests=True),
    "pieces": Quirks(least=3 << 20, most=4 << 20),
}


@pytest.mark.parametrize("quirks", QUIRKS.values(), ids=[name.replace(" ", "-") for name in QUIRKS])
def test_push_mount_and_pull(quirks: Quirks) -> None:
    image = small_image(size=9 << 20)
    layer, data = image.blobs[0]
    with strict_registry(quirks) as registry:
        reference, other = Reference(registry.host, "team/app", "one"), Reference(registry.host, "other", "two")
        with client() as ours:
            ours.checks.check(reference)
            push_image(ours, reference, image)
            how = ours.push_blob(other, layer, opener(data), (reference,))
            assert how == ("mounted" if quirks.mount == 201 else "moved")
            assert ours.push_blob(other, layer, opener(data)) in ("exists", "moved")
        assert registry.blobs["other", layer.digest] == data
        with client() as ours:
            resolved = ours.resolve(reference, AMD64)
            assert b"".join(ours.open_blob(reference, resolved.manifest.layers[0])) == data
            found = ours.head_manifest(reference)
            assert found is not None and found.digest == image.manifest.digest
            assert ours.head_manifest(reference.with_tag("none")) is None
            again = ours.get_manifest(reference.with_digest(image.manifest.digest))
            assert isinstance(again, Manifest) and again.digest == image.manifest.digest


@pytest.mark.parametrize("knows", [False, True], ids=["no state", "state"])
def test_cuts(knows: bool) -> None:
    """A cut pull cannot go on and starts again; a cut push neither, as the registry does not tell how much it has,
    or tells more than it has."""
    descriptor, data = blob(3_000_000)
    with strict_registry(Quirks()) as registry, faulty(registry.host) as faults, client() as ours:
        reference = Reference(faults.host, "team/app", "x")
        faults.add("PATCH", "/uploads/", CutUpload(1_000_000))
        if knows:
            faults.add("GET", "/uploads/", KnowsUpload())
        assert ours.push_blob(reference, descriptor, opener(data)) == "moved"
        assert registry.blobs["team/app", descriptor.digest] == data
        faults.add("GET", "/blobs/", CutAnswer(1_000_000), times=2)
        assert b"".join(ours.open_blob(reference, descriptor)) == data
    assert ("GET", f"/v2/team/app/blobs/{descriptor.digest}", 416) in registry.seen


def test_a_build_with_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("build")
    (place / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    with strict_registry(Quirks(mount=404)) as registry:
        for text in ("FROM scratch\nCOPY Dockerfile /\n", f"FROM {registry.host}/a/one:1\nLABEL x=y\n"):
            (place / "Dockerfile").write_text(text)
            names = ("--destination", f"{registry.host}/a/one:1", "--destination", f"{registry.host}/b/two:2")
            done = gazami("build", str(place), f"--state-dir={place / 'state'}", *names)
            assert done.returncode == 0, done.stderr
        posts = [status for method, path, status in registry.seen if method == "PUT" and "manifests" in path]
        assert posts == [201] * 4
        heads = [path for method, path, _ in registry.seen if method == "GET" and path.endswith("/manifests/1")]
        assert len(heads) == 1, "one request for each reference of a build"
