"""The gate's pure part: every way in which an image's parts can disagree has an error that names it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest

from gazami.builder.outputs.export import Finished, finish
from gazami.errors import IntegrityError
from gazami.image.config import History, scratch_config
from gazami.image.digest import Digest, digest_of
from gazami.image.manifest import DOCKER_LAYER_GZIP, OCI_MANIFEST, Descriptor, encode_manifest
from gazami.image.model import Image, Layer, LocalFile
from gazami.image.platform import parse_platform
from gazami.image.validate import check_image
from gazami.values import replace

WHEN = "2026-01-01T00:00:00Z"


def layer(text: bytes, size: int = 100) -> Layer:
    return Layer(Descriptor(DOCKER_LAYER_GZIP, digest_of(text), size), digest_of(text + b" unpacked"), LocalFile("/x", True))


def image(*texts: bytes) -> Image:
    made = Image(scratch_config(parse_platform("linux/amd64")), (), OCI_MANIFEST)
    for text in texts:
        made = made.with_layer(layer(text), History(WHEN, "COPY", "")).with_history(History(WHEN, "ENV", ""))
    return made


def check(finished: Finished) -> None:
    check_image(finished.image, finished.config, finished.manifest)


@pytest.mark.parametrize("layers", [(), (b"a",), (b"a", b"b"), (b"a", b"a")])
def test_an_honest_image_passes(layers: tuple[bytes, ...]) -> None:
    check(finish(image(*layers), (("note", "x"),), WHEN))


@dataclass(frozen=True)
class Fault:
    says: str

    def of(self, good: Finished) -> Finished:
        raise NotImplementedError


class FewerDiffIds(Fault):
    def of(self, good: Finished) -> Finished:
        config = replace(good.image.config, diff_ids=good.image.config.diff_ids[:1])
        return finish(replace(good.image, config=config), (), WHEN)


class OtherOrder(Fault):
    def of(self, good: Finished) -> Finished:
        config = replace(good.image.config, diff_ids=good.image.config.diff_ids[::-1])
        return finish(replace(good.image, config=config), (), WHEN)


class MoreHistory(Fault):
    def of(self, good: Finished) -> Finished:
        config = replace(good.image.config, history=(*good.image.config.history, History(WHEN, "RUN", "")))
        return finish(replace(good.image, config=config), (), WHEN)


class LessHistory(Fault):
    def of(self, good: Finished) -> Finished:
        config = replace(good.image.config, history=good.image.config.history[1:])
        return finish(replace(good.image, config=config), (), WHEN)


class EmptyBlob(Fault):
    def of(self, good: Finished) -> Finished:
        return finish(replace(good.image, layers=(layer(b"a", 0), *good.image.layers[1:])), (), WHEN)


class DigestOfNothing(Fault):
    def of(self, good: Finished) -> Finished:
        nothing = Digest("sha256:" + hashlib.sha256().hexdigest())
        hollow = replace(good.image.layers[0], descriptor=Descriptor(DOCKER_LAYER_GZIP, nothing, 20))
        return finish(replace(good.image, layers=(hollow, *good.image.layers[1:])), (), WHEN)


class OtherConfig(Fault):
    def of(self, good: Finished) -> Finished:
        return replace(good, config=good.config + b" ")


class OtherManifest(Fault):
    def of(self, good: Finished) -> Finished:
        wrong = (good.manifest.layers[1], good.manifest.layers[0])
        return replace(good, manifest=encode_manifest(OCI_MANIFEST, good.manifest.config, wrong, ()))


class ManifestOfFewer(Fault):
    def of(self, good: Finished) -> Finished:
        fewer = encode_manifest(OCI_MANIFEST, good.manifest.config, good.manifest.layers[:1], ())
        return replace(good, manifest=fewer)


class ManifestBytes(Fault):
    def of(self, good: Finished) -> Finished:
        return replace(good, manifest=replace(good.manifest, raw=good.manifest.raw + b" "))


@pytest.mark.parametrize(
    "fault",
    [
        FewerDiffIds("1 diff ids that are not those of 2 layers"),
        OtherOrder("diff ids"),
        MoreHistory("3 entries with a layer"),
        LessHistory("1 entries with a layer"),
        EmptyBlob("layer 1 .* is empty"),
        DigestOfNothing("layer 1 .* is empty"),
        OtherConfig("names the config"),
        OtherManifest("for layer 1"),
        ManifestOfFewer("names 1 layers"),
        ManifestBytes("does not match its digest"),
    ],
    ids=lambda fault: type(fault).__name__,
)
def test_parts_that_disagree(fault: Fault) -> None:
    with pytest.raises(IntegrityError, match=fault.says):
        check(fault.of(finish(image(b"a", b"b"), (), WHEN)))
