"""The menu of the site and the list in docs/README.md have every page, once. ``make site`` finds links that lead nowhere."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
PAGES = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
FOLDERS = {"Tutorial": "tutorial", "How-to": "how-to", "Reference": "reference", "Explanation": "explanation", "Decisions": "adr"}


def leaves(entries: Any) -> list[str]:
    match entries:
        case str():
            return [entries]
        case dict():
            return [leaf for value in entries.values() for leaf in leaves(value)]
        case _:
            return [leaf for entry in entries for leaf in leaves(entry)]


def title(name: str) -> str:
    return (DOCS / name).read_text().partition("\n")[0].removeprefix("# ")


def test_every_page_is_in_the_menu_once() -> None:
    named = leaves(CONFIG["nav"])
    assert not [name for name, times in Counter(named).items() if times > 1]
    ours = {name for name in named if not name.startswith("project/")}
    assert not PAGES - ours, "lines to add to the menu: " + ", ".join(f"- {name}" for name in sorted(PAGES - ours))
    assert not ours - PAGES


def test_each_part_of_the_menu_has_its_own_folder() -> None:
    parts = {title: leaves(below) for part in CONFIG["nav"] for title, below in part.items()}
    for title, folder in FOLDERS.items():
        strays = [name for name in parts[title] if not name.startswith(f"{folder}/")]
        assert strays == (["architecture.md"] if title == "Explanation" else []), title


def test_pages_of_the_repository_in_the_menu_are_there() -> None:
    for name in leaves(CONFIG["nav"]):
        if name.startswith("project/"):
            assert (ROOT / name.removeprefix("project/")).is_file(), name


def test_the_list_of_pages_has_every_page() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", (DOCS / "README.md").read_text())
    left = sorted(PAGES - set(linked) - {"README.md"})
    assert not left, "lines to add to docs/README.md: " + ", ".join(f"- [{title(name)}]({name})" for name in left)


def test_a_list_begins_after_a_blank_line() -> None:
    """GitHub begins a list anywhere, mkdocs does not."""
    for page in DOCS.rglob("*.md"):
        text = re.sub(r"^( *)```.*?^\1``` *$", "", page.read_text(), flags=re.M | re.S)
        found = re.findall(r"^(?![-|#<>]|\d+\.| ).+\n(?:- |\d+\. |\|).*", text, re.M)
        assert not found, f"{page.name}: {found}"
