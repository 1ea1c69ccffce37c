"""Documents and words of others, valid ones with something odd in some place: nothing but our own errors, and what was taken can
be written again."""

from __future__ import annotations

import contextlib
import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.layout_images import resolve_layout
from gazami.builder.outputs.publish import load
from gazami.cache.entry import decode_entry
from gazami.cancel import Cancel
from gazami.context.git import time_of
from gazami.context.git_program import Git, _hint
from gazami.dockerfile.parser import parse
from gazami.errors import GazamiError, RegistryError, Source, UsageError
from gazami.foreign import ForeignJSONError, printable, read_json
from gazami.image.config import encode_config, parse_config
from gazami.image.digest import digest_of
from gazami.image.manifest import Index, Manifest, choose_manifest, encode_manifest, parse_manifest
from gazami.image.platform import Platform
from gazami.plan.compile import Missing, compile_plan
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import outline
from gazami.plan.reached import MAX_TRIGGERS, ResolvedImage
from gazami.plan.steps import ImageBase
from gazami.registry.auth import Authorizer
from gazami.registry.credentials import Keychain, parse_docker_config
from gazami.registry.manifests import tags_of
from gazami.registry.redirects import joined, same_origin
from gazami.registry.routing import Trust
from gazami.registry.wire import (
    host_in,
    next_link,
    parse_challenges,
    parse_content_range_start,
    parse_error,
    parse_length,
    parse_range_end,
    parse_retry_after,
    redact,
    with_query,
)

EXAMPLES = int(os.environ.get("GAZAMI_FUZZ_EXAMPLES", "300"))
FUZZ = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
HOST = Platform("linux", "amd64")
DIGEST = "sha256:" + "0" * 64
DESCRIPTOR = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 3}
MANIFEST = {
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": {**DESCRIPTOR, "mediaType": "application/vnd.oci.image.config.v1+json"}, "layers": [DESCRIPTOR],
    "annotations": {"a": "b"},
}  # fmt: skip
INDEX = {
    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [
        {**DESCRIPTOR, "mediaType": MANIFEST["mediaType"], "platform": {"os": "linux", "architecture": "arm", "variant": "v7"}},
    ],
}  # fmt: skip
CONFIG = {
    "os": "linux", "architecture": "arm", "variant": "v7", "created": "2024-01-01T00:00:00Z", "author": "a",
    "config": {
        "Env": ["PATH=/bin"], "Entrypoint": ["sh"], "Cmd": ["x"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}},
        "Volumes": {"/v": {}}, "WorkingDir": "/w", "User": "u", "StopSignal": "9", "OnBuild": ["RUN x"], "Shell": ["sh"],
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 1, "Retries": 2},
    },
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]}, "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "x"}],
    "os.features": ["x"],
}  # fmt: skip
DOCKER = {"auths": {"r.example": {"auth": "dTpw", "identitytoken": "t"}}, "credHelpers": {"q.example": "x"}, "credsStore": "y"}
LAYOUT = {"schemaVersion": 2, "manifests": [{**DESCRIPTOR, "annotations": {"org.opencontainers.image.ref.name": "x"}}]}
TOKEN = {"token": "abc", "access_token": "abc", "expires_in": 60}

WELL_FORMED = st.text(st.characters(exclude_categories=["Cs"]))


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=30)


ODD = st.one_of(
    st.none(), st.booleans(), st.text(max_size=20), st.integers(), st.floats(), st.just("x" * 5000), st.just("\ud800"),
    st.sampled_from([
        [], {}, [[]], [None], {"": None}, "²", "v²", "\x1b[31m\n::x", -1, 1 << 62, 1 << 64, 1e308, "é", "sha512:" + "0" * 128,
        "sha256:" + "g" * 64, "../../etc/passwd", "http://[::1", "9" * 5000, "nan", "inf", "-5", "9999-12-31T23:59:59Z",
    ]),
    nested(st.none() | st.text(max_size=3), st.text(max_size=3)),
    st.integers(1, 200).map(lambda depth: json.loads("[" * depth + "]" * depth)),
)  # fmt: skip


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


@st.composite
def spoiled(draw: st.DrawFn, document: Any) -> bytes:
    """The document with odd values in up to three places, or without them, or other bytes altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=100))
    made = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(made)))
        value = copy.deepcopy(draw(ODD))
        if not path:
            made = value
            break
        holder = made
        for key in path[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            holder[path[-1]] = value
        elif isinstance(holder, dict):
            del holder[path[-1]]
        if not isinstance(made, dict | list):
            break
    return json.dumps(made).encode()


@FUZZ
@given(st.one_of(spoiled(MANIFEST), spoiled(INDEX)), st.sampled_from([None, "", "text/html", str(INDEX["mediaType"])]))
def test_manifests(raw: bytes, kind: str | None) -> None:
    try:
        found = parse_manifest(raw, kind)
    except RegistryError as error:
        assert error.message == printable(error.message) and len(error.message) < 1000
        return
    if isinstance(found, Index):
        for platform in (HOST, Platform("linux", "arm", "v7"), Platform("linux", "arm", "v6")):
            choose_manifest(found, platform)
    else:
        assert isinstance(found, Manifest)
        encode_manifest(found.media_type, found.config, found.layers, found.annotations)
        with contextlib.suppress(RegistryError):
            decode_entry(found)
    for text in (str(each.platform) for each in getattr(found, "manifests", ())):
        assert text == printable(text)


@FUZZ
@given(spoiled(CONFIG))
def test_configs(raw: bytes) -> None:
    try:
        config = parse_config(raw)
    except RegistryError as error:
        assert len(error.message) < 1000
        return
    parse_config(encode_config(config))
    text = "FROM base.example/x\nRUN y\nLABEL a=$PATH\n"
    inputs = PlanInputs({}, HOST, HOST)
    try:
        plan = outline(parse(Source("Dockerfile", text)), Source("Dockerfile", text), inputs)
        missing = compile_plan(plan, inputs, {})
        assert isinstance(missing, Missing)
        compile_plan(plan, inputs, {each: ResolvedImage(digest_of(raw), config) for each in missing.images})
    except GazamiError:
        pass


@FUZZ
@given(spoiled(TOKEN))
def test_token_answers(raw: bytes) -> None:
    class Answer:
        url = "https://auth.example/token"

        def read(self, limit: int) -> bytes:
            return raw

    authorizer = Authorizer("r.example", Keychain(), None, Trust())  # type: ignore[arg-type]
    try:
        token = authorizer._read(Answer())  # type: ignore[arg-type]
    except RegistryError:
        return
    token.header.encode("ascii")
    assert token.header.isprintable() and token.expires == token.expires


@FUZZ
@given(st.one_of(spoiled({"tags": ["a", "b"]}), spoiled({"errors": [{"code": "X", "message": "m", "detail": "d"}]})))
def test_small_answers(raw: bytes) -> None:
    for said in parse_error(raw):
        text = str(said)
        assert text == printable(text) and len(text) < 1000
    with contextlib.suppress(RegistryError):
        tags_of(raw)


@FUZZ
@given(spoiled(DOCKER))
def test_docker_configs(raw: bytes) -> None:
    try:
        config = parse_docker_config(raw.decode("utf-8", "replace"), "config.json")
    except UsageError:
        return
    assert isinstance(config.hosts, frozenset)


@settings(FUZZ, max_examples=max(50, EXAMPLES // 5))
@given(raw=spoiled(LAYOUT))
def test_layouts(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder: Path = tmp_path_factory.mktemp("layout")
    (folder / "index.json").write_bytes(raw)
    calls: tuple[Callable[[], object], ...] = (
        lambda: resolve_layout(ImageBase(f"oci-layout://{folder}:x", HOST)),
        lambda: load(folder, "x", workspace),
        lambda: load(folder, "", workspace),
    )
    with Workspace(str(folder / "state")) as workspace:
        for call in calls:
            with pytest.raises(GazamiError):
                call()


HEADERS = st.one_of(
    st.text(max_size=60),
    st.sampled_from([
        "9" * 5000, "bytes 0-" + "9" * 5000, "0-²", "bytes=0-1/" + "9" * 5000, "Wed, 99 Foo 0000 99:99:99 GMT", "http://[::1",
        "//a:99999999/", "Bearer realm=\"http://[\",service=\"\ud800\"", "<http://[>; rel=next", "https://a@b@c:x/?" + "&" * 500,
        "http://\u2100.example/", "https://x:²/",
    ]),
)  # fmt: skip


@FUZZ
@given(HEADERS)
def test_headers_and_addresses(text: str) -> None:
    for read in (parse_length, parse_range_end, parse_content_range_start, next_link, redact, host_in):
        read(text)
    parse_challenges([text])
    parse_retry_after(text, 0.0)
    assert redact(text) == printable(redact(text))
    same_origin(text, "https://a.example")
    try:
        with_query(joined("https://a.example/x", text), "service", text.encode("utf-8", "replace").decode())
    except RegistryError as error:
        assert error.message == printable(error.message)


@FUZZ
@given(st.lists(st.text(max_size=80), max_size=6))
def test_the_output_of_git(lines: list[str]) -> None:
    git = Git(Path("/"), Path("/"), Cancel(), secrets=("s3cret",))
    said = git._shown("\n".join([*lines, "fatal: s3cret \x1b[31m https://u:p@h/x"]))
    assert said == printable(said) and "s3cret" not in said and "p@h" not in said
    _hint(said)


@FUZZ
@given(st.one_of(st.text(max_size=30), st.integers().map(str)))
def test_the_time_of_a_commit(text: str) -> None:
    assert 0 <= time_of(text) < 1 << 34


@FUZZ
@given(nested(st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | WELL_FORMED, WELL_FORMED))
def test_what_is_within_the_bounds_is_read_as_it_is(value: object) -> None:
    try:
        assert read_json(json.dumps(value)) == value
    except ForeignJSONError as error:
        assert "deep" in str(error)


def test_the_triggers_of_a_base_are_bounded() -> None:
    def build(count: int) -> None:
        config = parse_config(json.dumps({**CONFIG, "config": {"OnBuild": ["RUN x"] * count}}).encode())
        text = "FROM base.example/x\n"
        inputs = PlanInputs({}, HOST, HOST)
        plan = outline(parse(Source("Dockerfile", text)), Source("Dockerfile", text), inputs)
        missing = compile_plan(plan, inputs, {})
        assert isinstance(missing, Missing)
        compile_plan(plan, inputs, {each: ResolvedImage(digest_of(b""), config) for each in missing.images})

    build(MAX_TRIGGERS)
    with pytest.raises(GazamiError, match="100000 ONBUILD instructions"):
        build(100_000)
