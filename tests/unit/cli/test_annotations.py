"""``--annotation`` with buildx's types: never a part of the key."""

from __future__ import annotations

import pytest

from gazami.cli.request.annotations import Annotations, read_annotations
from gazami.errors import UsageError
from gazami.image.platform import parse_platform

AMD = parse_platform("linux/amd64")


@pytest.mark.parametrize(
    "key, has_index, manifest, index",
    [
        ("a", False, "a", ""),
        ("org.example.a:b", False, "org.example.a:b", ""),
        ("manifest:a", False, "a", ""),
        ("manifest:a:b", False, "a:b", ""),
        ("index:a", True, "", "a"),
        ("manifest,index:a", True, "a", "a"),
        ("index,manifest:a", False, "a", ""),
        ("manifest[linux/amd64]:a", False, "a", ""),
        ("manifest[linux/arm64]:a", False, "", ""),
        ("manifest[linux/arm64],index:a", True, "", "a"),
        ("manifest[linux/arm64],manifest[linux/amd64]:a", True, "a", ""),
        ("manifest-descriptor:a", True, "", ""),
    ],
)
def test_what_gets_it(key: str, has_index: bool, manifest: str, index: str) -> None:
    found = read_annotations(((key, "v"),), AMD, has_index=has_index)
    assert found.manifest == (((manifest, "v"),) if manifest else ())
    assert found.index == (((index, "v"),) if index else ())
    lost = (key.startswith("index") and not has_index) or "descriptor" in key
    assert bool(found.unused) == lost


@pytest.mark.parametrize("key", ["indx:a", "foo:a", "manifest[no/such/platform/x]:a", "manifest:", "index[]:a"])
def test_what_is_no_type(key: str) -> None:
    if key == "index[]:a":  # an empty platform is none of buildx's forms: a key like any other
        assert read_annotations(((key, "v"),), AMD, has_index=True) == Annotations(((key, "v"),))
        return
    with pytest.raises(UsageError):
        read_annotations(((key, "v"),), AMD, has_index=True)
