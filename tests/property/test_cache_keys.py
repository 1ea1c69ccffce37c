"""Cache keys: every input's change changes the key, nothing else does, and no two lists of inputs collide."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gazami.cache.keys import RunSettings, after, files_of, key_of, step_inputs
from gazami.dockerfile.instructions import CopyFlags
from gazami.dockerfile.mounts import Mount
from gazami.errors import Source, Span
from gazami.image.config import ImageConfig
from gazami.image.digest import digest_of
from gazami.image.platform import Platform
from gazami.plan.steps import ContextSource, CopyStep, InlineFile, RunMount, RunStep, StepCommon, WorkdirStep

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
PAIRS = st.lists(st.tuples(WORDS, WORDS), max_size=5).map(tuple)
PLATFORM = Platform("linux", "amd64")
SETTINGS = RunSettings(PLATFORM)
BELOW = files_of((digest_of(b"base"),))


def common(**config: Any) -> StepCommon:
    return StepCommon(1, "text", Span(1, 1), Source("Dockerfile", ""), ImageConfig(PLATFORM, **config), "x", "RUN")


RUN = RunStep(common(), ("/bin/sh", "-c", "make"), (("A", "1"), ("B", "2")), "/src", "root")
COPY = CopyStep(common(), ContextSource(), ("a", "b"), "/dst/")
WORKDIR = WorkdirStep(common(), "/src", "root")


def key(step: Any, below: tuple[str, str] = BELOW, contents: Any = (), settings: RunSettings = SETTINGS) -> str:
    return key_of(step_inputs(step, below, contents, settings, "gzip"))


@given(PAIRS, PAIRS)
def test_two_lists_of_inputs_never_have_the_same_key(one: Any, other: Any) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


@given(st.lists(WORDS, max_size=4).map(tuple), st.lists(WORDS, max_size=4).map(tuple))
def test_words_do_not_run_together(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (key(replace(RUN, argv=one)) == key(replace(RUN, argv=other))) == (one == other)
    assert (key(replace(COPY, sources=one)) == key(replace(COPY, sources=other))) == (one == other)


@given(PAIRS, PAIRS)
def test_the_environment_counts_as_a_set_of_variables(one: Any, other: Any) -> None:
    one, other = tuple(dict(one).items()), tuple(dict(other).items())
    assert (key(replace(RUN, env=one)) == key(replace(RUN, env=other))) == (sorted(one) == sorted(other))


CHANGED_RUN: dict[str, Any] = {
    "argv": ("/bin/sh", "-c", "make all"),
    "env": (("A", "1"), ("B", "3")),
    "cwd": "/",
    "user": "33",
    "mounts": (RunMount(Mount("cache", target="/c")),),
    "network": "none",
    "script": InlineFile("/x", "echo"),
}
CHANGED_COPY: dict[str, Any] = {"sources": ("a",), "dest": "/dst", "inline": (InlineFile("x", "y"),), "add": True}
CHANGED_FLAGS: dict[str, Any] = {
    "chown": "1",
    "chmod": "644",
    "link": True,
    "parents": True,
    "exclude": ("*.o",),
    "checksum": "sha256:00",
    "keep_git_dir": True,
    "unpack": True,
}
CHANGED_WORKDIR: dict[str, Any] = {"path": "/other", "user": "33"}
TOLD_BY_CONTENT = {"files", "common", "flags"}


def test_every_field_of_a_step_is_an_input() -> None:
    """A field added to a step has to be thought about here."""
    for step, changed in ((RUN, CHANGED_RUN), (COPY, CHANGED_COPY), (WORKDIR, CHANGED_WORKDIR)):
        assert {each.name for each in fields(step)} == set(changed) | (TOLD_BY_CONTENT & {e.name for e in fields(step)})
        keys = [key(step), *(key(replace(step, **{name: value})) for name, value in changed.items())]
        assert len(set(keys)) == len(keys)


def test_every_flag_of_a_copy_but_its_source_of_files_is_an_input() -> None:
    assert {each.name for each in fields(CopyFlags)} == {*CHANGED_FLAGS, "from_"}
    changed = [replace(COPY, flags=replace(COPY.flags, **{name: value})) for name, value in CHANGED_FLAGS.items()]
    assert len({key(COPY), *map(key, changed)}) == len(changed) + 1
    assert key(replace(COPY, flags=CopyFlags(from_="one"))) == key(COPY)


def test_every_field_of_a_mount_but_its_source_of_files_is_an_input() -> None:
    changed: dict[str, Any] = {
        "type": "cache", "source": "s", "target": "/t", "readonly": True, "id": "i", "sharing": "locked",
        "required": True, "size": 5, "mode": 0o700, "uid": 3, "gid": 4, "env": "E",
    }  # fmt: skip
    assert {each.name for each in fields(Mount)} == {*changed, "from_"}
    plain = Mount("bind", target="/m")
    keys = [key(replace(RUN, mounts=(RunMount(plain),)))]
    keys += [key(replace(RUN, mounts=(RunMount(replace(plain, **{name: value})),))) for name, value in changed.items()]
    assert len(set(keys)) == len(keys)


def test_every_setting_of_the_build_is_an_input_of_run() -> None:
    changed: dict[str, Any] = {
        "platform": Platform("linux", "arm64"), "hosts": (("10.0.0.1", "db"),), "shm_size": 1, "ulimits": (("nofile", 1, 1),),
        "ignore_paths": ("/x",), "snapshot_mode": "time", "network": "none",
    }  # fmt: skip
    assert {each.name for each in fields(RunSettings)} == {*changed, "proxies"}
    keys = [key(RUN), *(key(RUN, settings=replace(SETTINGS, **{n: v})) for n, v in changed.items())]
    assert len(set(keys)) == len(keys)


def test_what_lies_below_and_what_is_copied_are_inputs() -> None:
    other = files_of((digest_of(b"base"), digest_of(b"more")))
    content = (("content of a", "sha256:1"),)
    for step in (RUN, COPY, WORKDIR):
        keys = {key(step), key(step, other), key(step, files_of(())), key(step, after(key_of(()))), key(step, contents=content)}
        assert len(keys) == 5


def test_metadata_and_undeclared_proxies_are_no_inputs() -> None:
    labelled = replace(RUN, common=replace(common(labels=(("a", "b"),)), text="other", created_by="other", number=7))
    assert key(labelled) == key(RUN)
    proxy = (("HTTP_PROXY", "http://p"),)
    behind = replace(RUN, env=(*RUN.env, *proxy))
    assert key(behind, settings=replace(SETTINGS, proxies=frozenset(proxy))) == key(RUN)
    assert key(behind) != key(RUN)
    declared = replace(behind, common=common(env=proxy))
    assert key(declared, settings=replace(SETTINGS, proxies=frozenset(proxy))) != key(RUN)


def test_keys_do_not_change_by_accident() -> None:
    """A change here throws away every user's cache: raise the version in ``cache.keys`` and say so in the changelog."""
    assert key(RUN)[:16] == KNOWN[0]
    assert key(COPY)[:16] == KNOWN[1]
    assert key(replace(COPY, flags=CopyFlags(**CHANGED_FLAGS)))[:16] == KNOWN[2]


KNOWN = ("141e7b9497f2a05f", "9195088c85daa08d", "7e64f72da393cf76")
