"""What ``gazami doctor`` says of findings."""

from __future__ import annotations

import pytest

from gazami.cli.commands.doctor import describe
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
