from __future__ import annotations

import json

import pytest

from gazami.image.config import ImageConfig, encode_config, parse_config
from gazami.image.encoding import encode_json
from gazami.image.platform import Platform


@pytest.mark.parametrize(
    ("raw", "expected"), [(b"J\xfcrgen", "J\ufffdrgen"), (b"\xff\xfe", "\ufffd\ufffd"), ("ü".encode(), "ü"), (b"\xc3", "\ufffd")]
)
def test_each_byte_that_is_no_utf8_is_replaced_as_go_does(raw: bytes, expected: str) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    for indent in (None, 2):
        assert json.loads(encode_json({text: [text]}, indent).decode("utf-8")) == {expected: [expected]}


def test_a_config_of_ours_can_be_read_again() -> None:
    raw = b"J\xfcrgen".decode("utf-8", "surrogateescape")
    config = ImageConfig(Platform("linux", "amd64"), env=((raw, raw),), labels=((raw, raw),))
    read = parse_config(encode_config(config))
    assert read.env == (("J\ufffdrgen", "J\ufffdrgen"),) and dict(read.labels) == {"J\ufffdrgen": "J\ufffdrgen"}
