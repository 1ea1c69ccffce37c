from __future__ import annotations

from pathlib import Path

import pytest

from gazami.errors import SandboxError
from gazami.sandbox.kernel.namespaces import identity_map, subordinate_ranges
from gazami.sandbox.select import decide
from gazami.sandbox.spec import Choice, ProbeResult


def test_the_identity_map_keeps_inner_ids() -> None:
    text = "         0     100000      65536\n     65536       1000          1\n"
    assert identity_map(text) == "0 0 65536\n65536 65536 1\n"


def test_ranges_are_found_by_name_and_by_id(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text("other:1:2\nme:100000:65536\n1000:300000:10\nbroken\nme:x:y\n")
    assert subordinate_ranges(str(file), ("me", "1000")) == [(100000, 65536), (300000, 10)]
    assert subordinate_ranges(str(tmp_path / "none"), ("me",)) == []


def test_the_first_that_works_is_chosen_and_says_what_did_not() -> None:
    userns = Choice("userns", "because", overlay=True)
    findings = [ProbeResult("namespaces", None, "no right"), ProbeResult("userns", userns, "because")]
    assert decide(findings).rejected == (("namespaces", "no right"),)


def test_when_nothing_works_every_reason_is_told() -> None:
    with pytest.raises(SandboxError, match="namespaces: no; userns: never; chroot: not root") as caught:
        decide(
            [ProbeResult("namespaces", None, "no"), ProbeResult("userns", None, "never"), ProbeResult("chroot", None, "not root")]
        )
    assert caught.value.hint is not None and "CAP_SYS_ADMIN" in caught.value.hint
