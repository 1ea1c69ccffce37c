"""What ``gazami diff`` finds, fact by fact, and what it passes over."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from tests.unit.builder.images import layer, layout, member, opened

from gazami.builder.contents.compared import Comparison, compare
from gazami.builder.contents.opened import Opened
from gazami.cli.main import run
from gazami.errors import ArchiveError, IntegrityError
from gazami.values import replace

FILE = member("etc/a", b"text")


def compared(tmp_path: Path, first: tuple[bytes, ...], second: tuple[bytes, ...], **options: Any) -> Comparison:
    return compare(opened(layout(tmp_path / "1", *first)), opened(layout(tmp_path / "2", *second)), **options)


def found(comparison: Comparison) -> dict[str, str | tuple[str, ...]]:
    return {each.path: each.names or each.how for each in comparison.files}


@pytest.mark.parametrize(
    ("other", "names"),
    [
        (member("etc/a", b"Text"), ("digest",)),
        (member("etc/a", b"texts"), ("size", "digest")),
        (member("etc/a", b"text", mode=0o4755), ("mode",)),
        (member("etc/a", b"text", uid=5), ("uid",)),
        (member("etc/a", b"text", gid=5), ("gid",)),
        (member("etc/a", b"text", pax_headers={"SCHILY.xattr.user.x": "1"}), ("xattrs",)),
        (member("etc/a", kind="link", linkname="b"), ("kind", "mode", "size", "digest", "link")),
        (member("etc/a", kind="dir"), ("kind", "size", "digest")),
        (member("etc/a", kind="char", devmajor=1, devminor=3), ("kind", "size", "digest", "device")),
        (member("etc/a", kind="fifo"), ("kind", "size", "digest")),
    ],
    ids=lambda value: "-".join(value) if isinstance(value[0], str) else "",
)
def test_a_fact_that_differs(other: Any, names: tuple[str, ...], tmp_path: Path) -> None:
    assert found(compared(tmp_path, (layer(FILE),), (layer(other),))) == {"/etc/a": names}


@pytest.mark.parametrize(
    ("kind", "old", "new", "name"),
    [
        ("link", {"linkname": "b"}, {"linkname": "c"}, "link"),
        ("char", {"devmajor": 1, "devminor": 3}, {"devmajor": 1, "devminor": 5}, "device"),
        ("dir", {"mode": 0o755}, {"mode": 0o700}, "mode"),
    ],
)
def test_a_fact_of_what_is_no_file(kind: str, old: Any, new: Any, name: str, tmp_path: Path) -> None:
    first, second = (layer(member("x", kind=kind, **each)) for each in (old, new))
    assert found(compared(tmp_path, (first,), (second,))) == {"/x": (name,)}


def test_values_of_attributes_and_hard_links(tmp_path: Path) -> None:
    one, two = ({"SCHILY.xattr.user.x": each} for each in "12")
    first = layer(member("a", b"t", pax_headers=one), member("b", b"s"), member("c", kind="hard", linkname="b"))
    second = layer(member("a", b"t", pax_headers=two), member("b", b"s"), member("c", b"s"))
    assert found(compared(tmp_path, (first,), (second,))) == {"/a": ("xattrs",), "/c": ("hardlink",)}


def test_times_count_where_they_are_asked_for(tmp_path: Path) -> None:
    first, second = layer(member("a", mtime=1)), layer(member("a", mtime=2))
    assert compared(tmp_path, (first,), (second,)).equal
    assert found(compared(tmp_path, (first,), (second,), times=True)) == {"/a": ("mtime",)}


def test_layers_do_not_count_and_what_they_delete_is_gone(tmp_path: Path) -> None:
    first = (
        layer(member("d/old", b"1"), member("gone", b"2"), member("d/kept", b"3")),
        layer(member("d/.wh..wh..opq"), member("d/kept", b"3"), member(".wh.gone")),
    )
    assert compared(tmp_path, first, (layer(member("d/kept", b"3")),)).equal
    comparison = compared(tmp_path, first[:1], first)
    assert found(comparison) == {"/d/old": "removed", "/gone": "removed"}


def test_a_shared_base_is_read_once_and_equal_layers_not_at_all(tmp_path: Path) -> None:
    base, top, other = layer(FILE), layer(member("b", b"1")), layer(member("b", b"2"))
    asked: list[str] = []

    def counted(image: Opened) -> Opened:
        return replace(image, read=lambda blob: (asked.append(blob.digest), image.read(blob))[1])

    first, second = (counted(opened(layout(tmp_path / name, base, each))) for name, each in (("1", top), ("2", other)))
    assert found(compare(first, second)) == {"/b": ("digest",)}
    assert len(asked) == len(set(asked)) == 3
    asked.clear()
    assert compare(first, first).equal
    assert asked == []


def test_paths_are_ignored_by_pattern_with_what_lies_below(tmp_path: Path) -> None:
    second = layer(member("var/log/a/b", b"1"), member("x/y.pyc", b"2"), member("var/logs", b"3"))
    comparison = compared(tmp_path, (layer(member("x", kind="dir", mode=0o755)),), (second,), ignored=("/var/log/", "*.pyc"))
    assert found(comparison) == {"/var": "added", "/var/logs": "added"}


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"User": "5"}, ("User", "", "added")),
        ({"WorkingDir": "/w"}, ("WorkingDir", "", "changed")),
        ({"Entrypoint": ["a"]}, ("Entrypoint", "", "added")),
        ({"Cmd": ["a"]}, ("Cmd", "", "added")),
        ({"Shell": ["a"]}, ("Shell", "", "added")),
        ({"Env": ["A=1"]}, ("Env", "A", "added")),
        ({"Labels": {"l": ""}}, ("Labels", "l", "added")),
        ({"ExposedPorts": {"80/tcp": {}}}, ("ExposedPorts", "80/tcp", "added")),
        ({"Volumes": {"/v": {}}}, ("Volumes", "/v", "added")),
        ({"StopSignal": "INT"}, ("StopSignal", "", "added")),
        ({"OnBuild": ["RUN x"]}, ("OnBuild", "", "added")),
    ],
)
def test_a_field_of_the_config(config: dict[str, Any], field: tuple[str, str, str], tmp_path: Path) -> None:
    first, second = opened(layout(tmp_path / "1")), opened(layout(tmp_path / "2", **config))
    assert [(each.field, each.key, each.how) for each in compare(first, second).config] == [field]
    assert [each.how for each in compare(second, first).config] == ["removed" if field[2] == "added" else "changed"]
    assert compare(second, second).equal


def test_what_a_container_does_not_notice_of_a_config(tmp_path: Path) -> None:
    first = layout(tmp_path / "1", Env=["A=1", "B=2"], WorkingDir="/", Entrypoint=[])
    second = layout(tmp_path / "2", Env=["B=2", "A=1"])
    assert compare(opened(first), opened(second)).equal


def test_a_healthcheck(tmp_path: Path) -> None:
    first, second = (layout(tmp_path / each, Healthcheck={"Test": ["CMD", "a"], "Retries": int(each)}) for each in "12")
    assert [each.key for each in compare(opened(first), opened(second)).config] == ["retries"]


def test_a_damaged_layer_and_one_that_is_no_archive_are_refused(tmp_path: Path) -> None:
    first, second = layout(tmp_path / "1", layer(FILE)), layout(tmp_path / "2", layer(member("b", b"1")))
    blob = next(each for each in (second / "blobs/sha256").iterdir() if each.read_bytes()[:2] == b"\x1f\x8b")
    blob.write_bytes(gzip.compress(layer(member("b", b"2")), 1, mtime=0))
    with pytest.raises(IntegrityError, match="damaged"):
        compare(opened(first), opened(second))
    with pytest.raises(ArchiveError):
        compare(opened(first), opened(layout(tmp_path / "3", b"no archive" * 100)))


def test_no_bytes_of_files_are_kept(tmp_path: Path) -> None:
    first, second = (
        opened(layout(tmp_path / name, layer(member("a", bytes(96 << 20))), layer(member("b", name.encode())))) for name in "12"
    )
    tracemalloc.start()
    assert found(compare(first, second)) == {"/b": ("digest",)}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


# -- the command -----------------------------------------------------------------------------------------------------------------


def test_the_answer_and_the_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = layout(tmp_path / "1", layer(FILE, member("d/e", b"1"), member("l", kind="link", linkname="a")), Env=["A=1"])
    second = layout(tmp_path / "2", layer(member("etc/a", b"text2", mode=0o600), member("n/e", b"12")), Env=["A=2"], User="5")
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    assert run(["diff", f"{first}/", f"{second}/"], environ) == 1
    assert capsys.readouterr().out.splitlines() == [
        "config:",
        "  + User: 5",
        "  ~ Env A: 1 -> 2",
        "files:",
        "  - /d/  and 1 below",
        "  ~ /etc/a  mode 0644 -> 0600, size 4 -> 5, content",
        "  - /l -> a",
        "  + /n/  and 1 below",
        "differences: 2 of the config, 6 of files (2 added, 3 removed, 1 changed)",
    ]
    assert run(["diff", f"{first}/", f"{first}/"], environ) == 0
    assert capsys.readouterr().out == "no difference\n"
    for words in (
        [f"{first}/"],
        [f"{first}/", f"{tmp_path}/none"],
        ["--nonsense"],
        [f"{first}/", f"{second}/", "--platform=linux/x y"],
    ):
        assert run(["diff", *words], environ) == 2
    assert "hint" in capsys.readouterr().err


def test_json_of_hostile_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = b"bad\xff\x1b[31m\nx".decode("utf-8", "surrogateescape")
    first, second = layout(tmp_path / "1"), layout(tmp_path / "2", layer(member(name, b"1")), Labels={"l": "\x1b[31mred"})
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    assert run(["diff", f"{first}/", f"{second}/", "--json"], environ) == 1
    document = json.loads(capsys.readouterr().out.encode("ascii"))
    assert document["files"][0]["path"] == "/bad\ufffd\x1b[31m\nx"
    assert document["files"][0]["B"]["size"] == 1
    assert document["equal"] is False
    assert run(["diff", f"{first}/", f"{second}/"], environ) == 1
    assert "\x1b" not in capsys.readouterr().out
