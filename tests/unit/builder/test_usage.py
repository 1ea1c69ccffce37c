"""What ``gazami analyze`` counts: no byte twice, none left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.builder.images import layer, layout, member, opened

from gazami.builder.contents.usage import analyze, spare
from gazami.cli.main import run

BASE = layer(member("a", b"1" * 1000), member("b", b"2" * 500), member("d/c", b"3" * 70), member("same", b"x" * 30))
TOP = layer(
    member("a", b"1" * 1000, mode=0o600), member("b", b"4" * 400), member(".wh.d"), member("copy", b"x" * 30),
    member("again", kind="hard", linkname="copy"), member("empty"), member("empty2"),
)  # fmt: skip
HISTORY = ("ADD rootfs", "RUN chmod")


def test_what_is_hidden_and_what_is_there_twice(tmp_path: Path) -> None:
    found = analyze(opened(layout(tmp_path / "1", BASE, TOP, history=HISTORY)))
    assert [(each.file.path, each.file.size, each.file.layer, each.by, each.fate) for each in found.hidden] == [
        ("/a", 1000, 1, 2, "unchanged"), ("/b", 500, 1, 2, "replaced"), ("/d/c", 70, 1, 2, "deleted"),
    ]  # fmt: skip
    assert [[each.path for each in group] for group in found.duplicates] == [["/copy", "/same"]]
    assert spare(found.duplicates[0]) == found.duplicate_bytes == 30
    assert [(each.files, each.bytes, each.deletes, each.hidden) for each in found.layers] == [(4, 1600, 0, 1570), (5, 1430, 1, 0)]
    assert found.bytes == 1600 + 1430 == found.hidden_bytes + sum(each.size for each in found.kept)
    assert [each.path for each in found.kept[:2]] == ["/a", "/b"]
    assert [each.created_by for each in found.layers] == list(HISTORY)


def test_equal_layers_hide_each_other(tmp_path: Path) -> None:
    found = analyze(opened(layout(tmp_path / "1", BASE, BASE)))
    assert found.hidden_bytes == 1600
    assert {each.fate for each in found.hidden} == {"unchanged"}
    assert found.duplicates == ()


def test_a_name_twice_in_a_layer(tmp_path: Path) -> None:
    found = analyze(opened(layout(tmp_path / "1", layer(member("a", b"12"), member("a", b"345")))))
    assert [(each.file.size, each.by) for each in found.hidden] == [(2, 1)]
    assert [each.size for each in found.kept] == [3]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = layout(tmp_path / "1", BASE, TOP, history=HISTORY)
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    assert run(["analyze", f"{image}/", "--top=2"], environ) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith(" compressed, 3.0 kB of files; a container sees 1.5 kB in 6 files")
    assert lines[4].split()[3:] == ["1.6", "kB", "1.6", "kB", "ADD", "rootfs"]
    assert lines[6:] == [
        "",
        "largest files:",
        "    1.0 kB  /a  (layer 2)",
        "     400 B  /b  (layer 2)",
        "",
        "waste: 1.6 kB, 52.8 % of 3.0 kB",
        "  hidden by later layers: 1.6 kB in 3 files",
        "      1.0 kB  /a  (layer 1, written again, unchanged, in layer 2)",
        "       500 B  /b  (layer 1, replaced in layer 2)",
        "  duplicates: 30 B in 1 file",
        "        30 B  /copy = /same",
    ]
    assert run(["analyze", f"{image}/", "--json", "--top=0"], environ) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["waste"]["bytes"] == 1600
    assert [each["fate"] for each in document["waste"]["hidden"]["list"]] == ["unchanged", "replaced", "deleted"]
    assert document["waste"]["duplicates"]["list"][0]["files"][1] == {"path": "/same", "layer": 1}
    assert len(document["largest"]) == document["visible"]["files"] == 6
    assert run(["analyze"], environ) == 1


def test_an_image_without_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", f"{layout(tmp_path / '1')}/"], {"HOME": str(tmp_path), "PATH": "/usr/bin"}) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "waste: 0 B"
