"""Pages that claim something name the test or the benchmark that shows it, in the last column of their tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/explanation"
PROOF = ("Shown by", "gazami's proof")


def rows(page: str) -> list[list[str]]:
    """The rows of the tables whose last column is a proof."""
    found = []
    for head, body in re.findall(r"^(\|.*\|)\n\|[-| ]+\|\n((?:\|.*\n)+)", (FOLDER / page).read_text(), re.M):
        if head.strip("| ").rpartition("|")[2].strip() in PROOF:
            found += [[cell.strip() for cell in line.strip()[1:-1].split("|")] for line in body.splitlines()]
    return found


@pytest.mark.parametrize(("page", "least"), [("security.md", 13), ("supply-chain.md", 8), ("comparison.md", 15)])
def test_every_claim_names_its_proof(page: str, least: int) -> None:
    found = rows(page)
    assert len(found) >= least
    before = ""
    for row in found:
        proof = before if row[-1].startswith("the same") else row[-1]
        if page == "comparison.md" and row[1].startswith("–"):
            assert not proof, row
            continue
        assert re.search(r"`tests/[\w/]+\.py`|\]\([^)]+\)", proof), row
        before = proof


def test_a_claim_without_a_proof_is_found() -> None:
    assert not re.search(r"`tests/[\w/]+\.py`|\]\([^)]+\)", "we are sure of it")


def test_every_file_of_attacks_has_a_control() -> None:
    """What security.md says. In the one that is left out nobody attacks: two builds share a cache."""
    files = [each for each in (ROOT / "tests/security").glob("test_*.py") if each.name != "test_shared_caches.py"]
    assert len(files) > 8
    assert [each.name for each in files if not re.search(r"def test_\w*control|# the control|\"control\"", each.read_text())] == []
