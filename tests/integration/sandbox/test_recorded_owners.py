"""A user namespace with one id: who owns what in the layer, although the file system knows one owner only."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import CHOICES, Bench, Outcome

from gazami.cancel import Cancel
from gazami.layer.recorded_owner import Recorded, decode, record
from gazami.rootfs.requests import Owners, ScanRequest, UpperRequest
from gazami.sandbox.client import Sandbox
from gazami.sandbox.spec import FileMount, TmpfsMount


@pytest.fixture(scope="module", params=["overlay", "plain"])
def single(request: pytest.FixtureRequest, busybox: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    choice = replace(CHOICES["userns-single"], overlay=request.param == "overlay")
    cancel, place = Cancel(), tmp_path_factory.mktemp("state")
    with Sandbox.start(choice, cancel) as sandbox:
        yield Bench(sandbox, cancel, busybox, place)


def layer_of(bench: Bench, outcome: Outcome) -> dict[str, tarfile.TarInfo]:
    """The layer that the builder would make of what a command changed."""
    changed, result = str(outcome.changed), outcome.result
    owners = Owners(result.owner, result.owners, (str(bench.base),) if bench.overlay else ())
    request: UpperRequest | ScanRequest
    if bench.overlay:
        request = UpperRequest(changed, result.created, owners=owners)
    else:
        request = ScanRequest(changed, f"{changed}.list", omit=result.created, owners=owners)
    with tempfile.TemporaryFile() as file:
        bench.sandbox.call(request, output_fd=file.fileno())
        file.seek(0)
        with tarfile.open(fileobj=file) as layer:
            return {member.name: member for member in layer}


def owners(bench: Bench, script: str, **options: object) -> dict[str, tuple[int, int]]:
    outcome = bench.sh(script, **options)
    assert outcome.code == 0, outcome.err
    return {name: (member.uid, member.gid) for name, member in layer_of(bench, outcome).items()}


def test_files_directories_and_links(single: Bench) -> None:
    found = owners(
        single,
        "mkdir /d && echo > /d/f && ln -s f /d/l && chown -R 33:44 /d && chown -h 5:6 /d/l && echo > /root/mine"
        " && chown :7 /root/mine && mkfifo /d/p && chown 8:9 /d/p",
    )
    assert (found["d"], found["d/f"], found["d/l"]) == ((33, 44), (33, 44), (5, 6))
    assert found["root/mine"] == (0, 7)
    assert found["d/p"] == (8, 9)


def test_every_way_to_name_a_file(single: Bench) -> None:
    found = owners(
        single,
        "mkdir -p /a/b /jail/bin /jail/x && cd /a && echo > b/f && chown 1:1 b/f && cd b && chown 2:2 ../../a"
        " && ln -s /a/b/f /link && chown 3:3 /link && cp /bin/busybox /jail/bin/ && ln -s /x /jail/abs"
        " && chroot /jail /bin/busybox chown 4:4 /abs",
    )
    assert found["a/b/f"] == (3, 3), "through the link"
    assert found["link"] == (0, 0)
    assert found["a"] == (2, 2)
    assert found["jail/x"] == (4, 4) and "x" not in found


def test_a_change_of_owner_takes_set_id_bits(single: Bench) -> None:
    outcome = single.sh("echo > /f && chmod 4755 /f && chown 1 /f")
    member = layer_of(single, outcome)["f"]
    assert (member.uid, member.mode) == (1, 0o755)


def test_devices_are_made_in_the_layer(single: Bench) -> None:
    outcome = single.sh("mknod /null c 1 3 && mknod /disk b 8 1 && chown 0:6 /disk && chmod 640 /disk && mknod /p p")
    found = layer_of(single, outcome)
    assert found["null"].type == tarfile.CHRTYPE and (found["null"].devmajor, found["null"].devminor) == (1, 3)
    assert found["disk"].type == tarfile.BLKTYPE and (found["disk"].gid, found["disk"].mode) == (6, 0o640)
    assert found["p"].type == tarfile.FIFOTYPE


def test_a_user_owns_what_it_makes_and_may_not_give_it_away(single: Bench) -> None:
    outcome = single.sh(
        "id -u; id -g; echo > /tmp/mine; mkdir /tmp/dir; chown 0 /tmp/mine || echo refused; chown 33:1 /tmp/dir",
        user="www-data:daemon",
    )
    assert outcome.out.split() == ["33", "1", "refused"], outcome.err
    found = layer_of(single, outcome)
    assert {(found[name].uid, found[name].gid) for name in ("tmp/mine", "tmp/dir")} == {(33, 1)}


def test_who_changes_to_another_user_is_told_of(single: Bench) -> None:
    outcome = single.sh("chpst -u 33:33 true || setpriv --reuid=33 true || su www-data -s /bin/true")
    assert any("33" in note for note in outcome.result.notes), outcome.err


def test_a_file_keeps_its_owner_when_it_is_replaced_by_a_program(single: Bench) -> None:
    """``sed -i`` gives the new file what stat(2) said of the old one, which is root; the layer below knows better."""
    if not single.overlay:
        pytest.skip("a plain root has forgotten the old file")
    path = single.base / "etc/owned"
    path.write_text("old\n")
    record(str(path), Recorded(7, 8))
    try:
        found = owners(single, "sed -i s/old/new/ /etc/owned; chown 0:0 /etc/owned || true")
        moved = owners(single, "echo other > /new && mv /new /etc/owned")
    finally:
        path.unlink()
    assert found["etc/owned"] == (7, 8)
    assert moved["etc/owned"] == (0, 0)


def test_the_attribute_is_a_value_like_any_other(single: Bench) -> None:
    assert [decode(text) for text in (b"", b"x", b"1", b"1:2:3", b"1:2:z:1:1", "ä:1".encode())] == [None] * 6
    for owner in (Recorded(1, 2), Recorded(0, 0, as_seen=True), Recorded(1, 2, ("c", 1, 3))):
        assert decode(owner.encode()) == owner


def test_a_later_step_of_a_user_takes_over_nothing(single: Bench) -> None:
    """What root made in an earlier step belongs to root, although only the first step's end says so."""
    where, changed = single.root()
    first = single.sh("mkdir -m 777 /shared && echo > /shared/roots", root=(where, changed))
    assert layer_of(single, first)["shared"].uid == 0
    if single.overlay:
        outcome = Bench(single.sandbox, single.cancel, single.base, single.place / "second", (changed,))
        outcome.place.mkdir()
        second = outcome.sh("echo > /shared/mine", user="www-data")
    else:
        second = single.sh("echo > /shared/mine", user="www-data", root=(where, changed))
    found = layer_of(single, second)
    assert (found["shared"].uid, found["shared/mine"].uid) == (0, 33)
    assert "shared/roots" not in found


def test_a_secret_is_there_for_whoever_runs(single: Bench) -> None:
    secret = FileMount("/x/y", b"hidden", 0o444, 3, 4)
    for user in ("", "www-data"):
        assert single.sh("cat /x/y", user=user, mounts=(secret,)).out == "hidden"


def test_a_mount_over_proc(single: Bench) -> None:
    """Changes of owner need /proc and fail there, in the command's own words; what happened before is read."""
    assert single.sh("ln -s x /link; echo x > /file", mounts=(TmpfsMount("/proc"),)).code == 0
