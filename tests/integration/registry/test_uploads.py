"""Uploads in the background."""

from __future__ import annotations

import io
import threading
from typing import BinaryIO

import pytest
from tests.integration.registry.faults import Canned, FaultyRegistry
from tests.integration.registry.images import blob, client, has_blob, opener
from tests.services import Registry

from gazami.errors import Cancelled, RegistryError
from gazami.image.reference import Reference
from gazami.registry.transfer import Uploads

pytestmark = pytest.mark.service


def test_each_blob_goes_once(faults: FaultyRegistry, repository: str) -> None:
    reference = Reference(faults.host, repository, "x")
    blobs = [blob(100_000, seed) for seed in range(6)]
    with client() as ours, Uploads(ours) as uploads:
        for _ in range(3):
            for descriptor, data in blobs:
                uploads.submit(reference, descriptor, opener(data))
        uploads.wait()
        assert all(has_blob(ours, reference, descriptor) for descriptor, _ in blobs)
    assert faults.count("PATCH") == 6


def test_the_first_error_stops_the_others(faults: FaultyRegistry, registry: Registry, repository: str) -> None:
    reference = Reference(faults.host, repository, "x")
    bad, data = blob(10)
    big, _ = blob(5_000_000, 1)
    failing = threading.Event()

    class Slow(io.RawIOBase):
        """Gives its first bytes, and the rest once the other upload has failed."""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def read(self, size: int = -1) -> bytes:
            failing.wait(10)
            return bytes(size)

    def open_slow() -> BinaryIO:
        return Slow()  # type: ignore[return-value]

    with client() as ours, Uploads(ours) as uploads:
        slow = uploads.submit(reference, big, open_slow)
        faults.add("POST", "/uploads/", Canned(400, body=b'{"errors":[{"code":"NAME_INVALID"}]}'), times=None, skip=0)
        first = uploads.submit(Reference(faults.host, f"{repository}/bad", "x"), bad, opener(data))
        first.exception(10)
        failing.set()
        with pytest.raises(RegistryError, match="NAME_INVALID"):
            uploads.wait()
        assert isinstance(slow.exception(10), (Cancelled, RegistryError))


def test_copies_are_uploads_too(faults: FaultyRegistry, repository: str) -> None:
    source, target = Reference(faults.host, repository, "x"), Reference(faults.host, f"{repository}/to", "x")
    descriptor, data = blob(100_000)
    with client() as ours, Uploads(ours) as uploads:
        uploads.submit(source, descriptor, opener(data)).result(10)
        assert uploads.submit_copy(source, target, descriptor).result(10) == "mounted"
        uploads.wait()
