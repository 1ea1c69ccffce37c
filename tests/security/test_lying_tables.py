"""A base whose layer has a table of contents that lies: it is the author's own image that is another one than its bytes say, and no
other image, no copy from it and no command in it finds out anything of the table."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.estargz import estargz, rows_of
from tests.security.test_lying_images import COPY, FILLER, a_tar, built, copied, files, layout

TAR = a_tar(app_is_a_link=False, text=b"true", programs=True)
LIE = [{"name": "etc/", "type": "dir", "mode": 0o755}, {"name": "app", "type": "symlink", "mode": 0o777, "linkName": "etc"}]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three images of one blob: ``evil`` believes its table, ``good`` does not know of it."""
    blob, tar, notes = estargz(TAR, [*LIE, {"name": "filler", "type": "reg", "mode": 0o755, "size": len(FILLER)}])
    layout(tmp_path / "evil", tar, tar, blob, notes)
    layout(tmp_path / "good", tar, tar, blob)
    return tmp_path


def test_control_the_table_is_believed_of_the_image_that_names_it(place: Path) -> None:
    assert copied(place, f"FROM evil\n{COPY}") == ["etc/file"]
    assert copied(place, f"FROM good\n{COPY}") == ["app/file"]


CACHE = ("--cache", "--cache-copy-layers")


@pytest.mark.parametrize("cached", [False, True], ids=["without a cache", "with a cache"])
def test_an_image_of_the_same_bytes_is_not_changed(cached: bool, place: Path) -> None:
    """Neither by what this machine keeps nor by what the layer cache has of the other one."""
    flags = (*CACHE, f"--cache-repo=oci:{place / 'cache'}") if cached else ()
    assert copied(place, f"FROM evil\n{COPY}", *flags) == ["etc/file"]
    assert copied(place, f"FROM good\n{COPY}", *flags) == ["app/file"]
    shutil.rmtree(place / "state")
    assert copied(place, f"FROM good\n{COPY}", *flags) == ["app/file"]


def test_nor_is_one_that_says_another_thing_of_the_same_bytes(place: Path) -> None:
    """Both images have the blob, and each an annotation; that of ``third`` promises a table that is not there."""
    blob, tar, notes = estargz(TAR, [*LIE, {"name": "filler", "type": "reg", "mode": 0o755, "size": len(FILLER)}])
    layout(place / "third", tar, tar, blob, dict.fromkeys(notes, "sha256:" + "0" * 64))
    both = f"FROM evil AS a\n{COPY}FROM third AS b\n{COPY}FROM scratch\nCOPY --from=a / /a/\nCOPY --from=b / /b/\n"
    found = files(place, both)
    assert "b/app/file" in found and "b/etc/file" not in found


def test_nor_in_the_same_build(place: Path) -> None:
    both = f"FROM evil AS a\n{COPY}FROM good AS b\n{COPY}FROM scratch\nCOPY --from=a / /a/\nCOPY --from=b / /b/\n"
    found = files(place, both)
    assert "b/app/file" in found and "b/etc/file" not in found


def test_a_copy_from_the_image_reads_its_bytes(place: Path) -> None:
    assert files(place, "FROM scratch\nCOPY --from=evil /app/seen /x\n") == {"x": b"true"}
    assert files(place, f"FROM evil AS a\n{COPY}FROM scratch\nCOPY --from=a /app/seen /x\n") == {"x": b"true"}


def test_a_command_in_the_image_sees_its_bytes(place: Path) -> None:
    assert files(place, f'FROM evil\n{COPY}RUN ["/busybox", "cp", "/app/seen", "/y"]\n')["y"] == b"true"


def test_what_is_written_after_the_table_was_believed_is_in_no_kept_tree(place: Path) -> None:
    copied(place, f"FROM evil\n{COPY}")
    assert not list((place / "state/indexes").glob("image-*"))
    honest = rows_of(TAR)
    blob, tar, notes = estargz(TAR, honest)
    layout(place / "third", tar, tar, blob, notes)
    assert copied(place, f"FROM third\n{COPY}") == ["app/file"]


@pytest.mark.parametrize(
    "rows",
    [
        [{"name": "../app", "type": "dir", "mode": 0o755}],
        [{"name": "app", "type": "socket", "mode": 0o755}],
        [{"name": "app", "type": "dir", "mode": "0755"}],
        [{"name": "app", "type": "dir", "mode": -1}],
        [{"name": "app", "type": "dir", "mode": 0o755, "modtime": "yesterday"}],
        [{"name": "app", "type": "dir", "mode": 0o755, "modtime": "9999-99-99T00:00:00Z"}],
        [{"name": "app", "type": "hardlink", "mode": 0o755, "linkName": "nothing"}],
        [{"name": "app\ufffd", "type": "dir", "mode": 0o755}],
        [{"type": "dir"}],
        ["app"],
        {"app": "dir"},
        [{"name": "/".join(["d"] * 3000), "type": "dir", "mode": 0o755}],
        [{"name": "app", "type": "symlink", "mode": 0o777, "linkName": "app"}],
        [{"name": "app", "type": "symlink", "mode": 0o777, "linkName": ["etc"]}],
        [{"name": "app", "type": "symlink", "mode": 0o777, "linkName": {"etc": 1}}],
    ],
    ids=str,
)  # fmt: skip
def test_a_table_that_is_none_is_not_used(rows: list[dict[str, object]], tmp_path: Path) -> None:
    blob, tar, notes = estargz(TAR, rows)
    layout(tmp_path / "evil", tar, tar, blob, notes)
    assert copied(tmp_path, f"FROM evil\n{COPY}") == ["app/file"]


def test_a_table_with_another_digest_is_not_used(tmp_path: Path) -> None:
    blob, tar, notes = estargz(TAR, LIE)
    layout(tmp_path / "evil", tar, tar, blob, dict.fromkeys(notes, "sha256:" + "0" * 64))
    assert copied(tmp_path, f"FROM evil\n{COPY}") == ["app/file"]


def test_the_layer_itself_is_still_checked_where_it_is_read(tmp_path: Path) -> None:
    """A blob that was changed after its table: a copy onto it needs none of it, whatever reads it says so."""
    blob, tar, notes = estargz(TAR, rows_of(TAR))
    image = layout(tmp_path / "evil", tar, tar, blob, notes)
    name = next(each for each in (image / "blobs/sha256").iterdir() if each.stat().st_size == len(blob))
    name.write_bytes(blob[:1000] + bytes([blob[1000] ^ 1]) + blob[1001:])
    done = built(tmp_path, "FROM scratch\nCOPY --from=evil /app/seen /x\n")
    assert done.returncode and "damaged" in done.stderr
    done = built(tmp_path, f"FROM evil\n{COPY}")
    assert done.returncode and "damaged" in done.stderr, "it leaves for a layout"
