"""The numbers that pages give for gazami and its peers are those of the benchmarks, and no others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/explanation/comparison.md", "README.md")
NUMBER = re.compile(r"\d+\.\d\d")
TOOLS = {"gazami": "gazami", "buildah-overlay": "buildah"}


def measured() -> dict[tuple[str, str], str]:
    """Seconds of wall time by workload and tool."""
    found: dict[tuple[str, str], str] = {}
    for part in (ROOT / "benchmarks/results.md").read_text().split("\n## ")[1:]:
        for row in re.findall(r"^\| (gazami|buildah-overlay) \| ([\d.]+) \|", part, re.M):
            found[part.partition(":")[0], TOOLS[row[0]]] = row[1]
    return found


def earlier() -> dict[tuple[str, str], str]:
    rows = table((ROOT / "benchmarks/peers.md").read_text(), "kaniko")
    return {(name, tool): seconds for name, cells in rows.items() for tool, seconds in cells.items() if tool != "buildah"}


def table(text: str, *tools: str) -> dict[str, dict[str, str]]:
    """The rows of the tables of a page that begin with a workload, by the first word of each tool's column."""
    found: dict[str, dict[str, str]] = {}
    for head, body in re.findall(r"^\| workload \|(.*)\|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.M):
        columns = [re.split(r"[' ]", cell.strip())[0] for cell in head.split("|")]
        if not set(tools) <= set(columns):
            continue
        for line in body.splitlines():
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            row = found.setdefault(name.partition(":")[0], {})
            row.update({column: cell for column, cell in zip(columns, cells, strict=True) if cell})
    return found


@pytest.mark.parametrize("page", PAGES)
def test_the_numbers_are_those_of_the_benchmarks(page: str) -> None:
    known = measured() | earlier()
    rows = table((ROOT / page).read_text())
    assert len(rows) >= 5
    for name, cells in rows.items():
        for tool, seconds in cells.items():
            assert known[name, tool] == seconds, f"{page}: {name}, {tool}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_that_leaves_out_what_others_do_better_would_be_noticed(page: str) -> None:
    """The workload in which buildah wins, and the one in which BuildKit does."""
    rows = table((ROOT / page).read_text())
    assert "buildah" in rows["four-stages"] and "BuildKit" in rows["all-cached"]


def test_a_wrong_number_is_found() -> None:
    text = "| workload | gazami | buildah |\n|---|---|---|\n| many-files: x | 4.58 | 1.00 |\n"
    assert table(text)["many-files"]["buildah"] != measured()["many-files", "buildah"]
    assert table(text)["many-files"]["gazami"] == measured()["many-files", "gazami"]
