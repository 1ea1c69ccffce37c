"""What ``gazami doctor`` says of findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazami.cli.commands.doctor import as_json, describe, fix_of
from gazami.cli.commands.doctor_checks import Check, _clock, machine_checks
from gazami.cli.environ import Surroundings
from gazami.sandbox.modes import advice
from gazami.sandbox.spec import Choice, ProbeResult


def around(uid: int = 0, *, in_container: bool = True) -> Surroundings:
    return Surroundings({}, "/", "x86_64", uid, in_container=in_container)


@pytest.mark.parametrize(
    ("chosen", "uid", "parts"),
    [
        ("userns", 0, ("SYS_ADMIN",)),
        ("userns", 1000, ("SYS_ADMIN", "runAsUser: 0")),
        ("chroot", 0, ("Unconfined",)),
        (None, 0, ("Unconfined", "drop")),
        (None, 1000, ("Unconfined",)),
        ("userns-single", 1000, ("runAsUser: 0", "drop")),
        ("inplace", 0, ("Unconfined",)),
    ],
)
def test_a_pod_is_told_the_line_that_raises_it(chosen: str | None, uid: int, parts: tuple[str, ...]) -> None:
    line = advice(chosen, root=uid == 0)
    assert line.startswith("securityContext: {")
    assert all(part in line for part in parts)
    assert "\n" not in line


def test_the_best_mode_and_a_workstation_get_no_advice() -> None:
    assert advice("namespaces", root=True) == ""
    assert "securityContext" not in describe([], "/state", around(in_container=False))


def test_the_report_has_every_probe_and_the_advice() -> None:
    chroot = ProbeResult("chroot", Choice("chroot", "root with CAP_SYS_CHROOT", overlay=False), "root with CAP_SYS_CHROOT")
    text = describe([ProbeResult("namespaces", None, "refused"), chroot], "/state", around())
    assert [line.split()[:2] for line in text.splitlines()[3:5]] == [["namespaces", "no"], ["chroot", "chosen"]]
    assert "Unconfined" in text.splitlines()[-1]
    assert "securityContext" not in describe([chroot], "/state", around(in_container=False))


@pytest.mark.parametrize(
    ("chosen", "uid", "fix"),
    [
        (None, 1000, "uidmap"), ("userns-single", 1000, "--add-subuids"), ("userns", 1000, ""), ("namespaces", 0, ""),
        ("chroot", 0, ""),
    ],
)  # fmt: skip
def test_a_workstation_is_told_what_the_docs_say(chosen: str | None, uid: int, fix: str) -> None:
    said = fix_of(chosen, around(uid, in_container=False))
    assert fix in said and bool(fix) is bool(said) and "securityContext" not in said
    if fix:
        page = Path(__file__).parents[3] / "docs/how-to/choose-isolation.md"
        assert "usermod --add-subuids 100000-165535 --add-subgids" in page.read_text()


def test_what_the_machine_has(tmp_path: Path) -> None:
    where = Surroundings({"HTTPS_PROXY": "http://me:secret@proxy:3128"}, "/", "x86_64", 0)
    found = {check.name: check for check in machine_checks(tmp_path, where)}
    assert list(found) == ["space", "memory", "resolver", "proxy"]
    assert "free" in found["space"].text and "secret" not in found["proxy"].text and "proxy:3128" in found["proxy"].text
    assert all(check.fix for check in found.values() if check.state != "ok")


def test_a_clock_is_compared_with_the_registrys() -> None:
    date = "Tue, 01 Dec 2026 10:00:00 GMT"
    then = 1796119200.0
    assert _clock(date, then + 5).state == "ok"
    assert _clock(date, then + 300) == Check("clock", "warn", "300 s ahead", "set the clock: timedatectl set-ntp true")
    assert "behind" in _clock(date, then - 300).text
    assert _clock("", then).state == _clock("nonsense", then).state == "ok"


def test_the_report_for_programs(tmp_path: Path) -> None:
    chroot = ProbeResult("chroot", Choice("chroot", "root", overlay=False), "root")
    known = json.loads(as_json([chroot], [Check("space", "warn", "little", "more")], tmp_path, around()))
    assert known["isolation"]["chosen"] == "chroot" and "Unconfined" in known["isolation"]["fix"]
    assert known["checks"] == [{"name": "space", "state": "warn", "text": "little", "fix": "more"}]
