"""JSON documents of images as bytes: always valid UTF-8, as RFC 8259 asks for. Pure."""

from __future__ import annotations

import json
import re

_UNDECODABLE = re.compile("[\ud800-\udfff]")


def encode_json(document: object, indent: int | None = None) -> bytes:
    """Bytes of a Dockerfile or a flag that are not UTF-8 (surrogate escapes in our texts) become U+FFFD each, as Go's encoder, and
    so Docker, writes them. Keys keep their order; compact without ``indent``."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=False)
    return _UNDECODABLE.sub("\ufffd", text).encode()
