"""Tables of contents of a base: each is asked for once, and what fails in a thread reaches whoever wanted it."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tests.estargz import estargz, rows_of
from tests.security.test_lying_images import a_tar

from gazami.builder.cached.keys import StepKeys
from gazami.builder.files.contents_tables import ContentsTables
from gazami.cancel import Cancel
from gazami.errors import ArchiveError, Cancelled, RegistryError
from gazami.image.digest import digest_of
from gazami.image.manifest import OCI_LAYER_GZIP, Descriptor
from gazami.image.model import Layer, LocalFile
from gazami.layer.compression import compressor
from gazami.layer.contents_table import MAX_TABLE
from gazami.registry.transport import Transport
from gazami.rootfs.tree import Tree
from gazami.values import replace

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


def test_the_tables_of_a_build_are_held_up_to_a_bound(tables: Any) -> None:
    """A manifest names thousands of layers, and each of its tables may inflate to the largest that is read."""
    ours = tables(the_end)
    ours._room = 3 * MAX_TABLE // 2
    big = json.dumps({"entries": [], "pad": "x" * (MAX_TABLE - 100)}).encode()
    pack = compressor("zstd", 1)
    packed = pack.compress(big) + pack.flush()
    ours.blobs._part = lambda offset, length: packed
    chunked = "io.github.containers.zstd-chunked."
    notes = ((chunked + "manifest-checksum", digest_of(packed)), (chunked + "manifest-position", f"0:{len(packed)}:1:1"))
    layers = [
        Layer(Descriptor(OCI_LAYER_GZIP, digest_of(b"%d" % number), 5 << 20, notes), digest_of(b"tar"), LocalFile(""))
        for number in range(20)
    ]
    assert not ours.read(layers)
    held = [raw for raw in ours._read.values() if raw is not None]
    assert len(held) == 1 and ours.blobs.asked < 20


def test_a_key_says_which_layer_a_table_is_of() -> None:
    """An image with the tables of another one, at other layers, has other trees."""
    one, two = Descriptor(OCI_LAYER_GZIP, digest_of(b"1"), 9 << 20), Descriptor(OCI_LAYER_GZIP, digest_of(b"2"), 9 << 20)

    def key(*layers: Descriptor) -> object:
        base: Any = "base"
        images: Any = {base: SimpleNamespace(manifest=SimpleNamespace(layers=layers))}
        nothing: Any = None
        return StepKeys(nothing, images, nothing, nothing, "")._blobs(base)

    notes = tuple(NOTES.items())
    found = {key(one, two), key(replace(one, annotations=notes), two), key(one, replace(two, annotations=notes))}
    assert len(found) == 3
