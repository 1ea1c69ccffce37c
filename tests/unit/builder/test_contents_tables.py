"""Tables of contents of a base: each is asked for once, and what fails in a thread reaches whoever wanted it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.estargz import estargz, rows_of
from tests.security.test_lying_images import a_tar

from gazami.builder.files.contents_tables import ContentsTables
from gazami.cancel import Cancel
from gazami.errors import ArchiveError, Cancelled, RegistryError
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import Layer, LocalFile
from gazami.registry.transport import Transport
from gazami.rootfs.tree import Tree

TAR = a_tar(app_is_a_link=False)
BLOB, _, NOTES = estargz(TAR, rows_of(TAR))


class Blobs:
    """A large blob, of which ``part`` reads the end."""

    def __init__(self, transport: Transport, part: Callable[[int, int], bytes]) -> None:
        self.cancel, self.asked, self._part = Cancel(), 0, part
        self.registry: Any = self
        self.transport = transport

    def part(self, layer: Layer, offset: int, length: int) -> bytes:
        self.asked += 1
        return self._part(offset, length)


def layer(**notes: str) -> Layer:
    return Layer(Descriptor(OCI_LAYER_GZIP, digest_of(BLOB), len(BLOB), tuple((notes or NOTES).items())),
                 digest_of(b"tar"), LocalFile(""))  # fmt: skip


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> Callable[[Callable[[int, int], bytes]], ContentsTables]:
    from tests.integration.registry.images import client

    def make(part: Callable[[int, int], bytes]) -> ContentsTables:
        ours = client()
        request.addfinalizer(ours.close)
        return ContentsTables(Blobs(ours.transport, part))  # type: ignore[arg-type]

    return make


def the_end(offset: int, length: int) -> bytes:
    return BLOB[offset : offset + length]


def failing(error: BaseException) -> Callable[[int, int], bytes]:
    def part(offset: int, length: int) -> bytes:
        raise error

    return part


@pytest.mark.parametrize("error", [Cancelled("ended"), RuntimeError("a bug")])
def test_what_fails_in_a_thread_is_raised(tables: Any, error: BaseException) -> None:
    with pytest.raises(type(error)):
        tables(failing(error)).read([layer()])


@pytest.mark.parametrize("error", [RegistryError("no parts"), ArchiveError("no table")])
def test_a_table_that_is_not_to_be_had_is_not_asked_for_again(tables: Any, error: BaseException) -> None:
    ours = tables(failing(error))
    assert not ours.read([layer()]) and not ours.read([layer()])
    assert ours.blobs.asked == 1
    assert not ours.apply(layer(), Tree())


def test_no_request_where_a_layer_has_no_table(tables: Any) -> None:
    ours = tables(the_end)
    assert not ours.read([layer(), layer(other="note")])
    assert not ours.read([])
    assert ours.blobs.asked == 0


def test_a_layer_is_applied_from_its_table(tables: Any) -> None:
    ours, tree = tables(the_end), Tree()
    assert ours.read([layer()]) and ours.apply(layer(), tree)
    assert (app := tree.get("app")) is not None and app.is_directory
    assert ours.read([layer()]) and ours.blobs.asked == 1
