#!/usr/bin/env python3
"""The version of gazami, which ``src/gazami/__init__.py`` states, in every file that repeats it.

``version.py`` prints it. ``version.py NEW`` raises it: there, in recipes and pages, and as the heading of what CHANGELOG.md has
under [Unreleased]. ``--check`` fails where a file names another one, ``--released`` where the changelog is not that of a release.
"""

from __future__ import annotations

import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/gazami/__init__.py"
CHANGELOG = ROOT / "CHANGELOG.md"
NUMBER = r"\d+\.\d+\.\d+"
OURS = re.compile(rf'(gazami/(?:executor|warmer):|gazami@v?|rev: v|ACTION_REF": "v|The version is |gazami-)({NUMBER})(?![\d.]*\d)')
"""A tag of an image, of the action, of the hooks, a package's file, and the README's sentence."""
HEADING = re.compile(rf"^## \[(Unreleased|{NUMBER})\](?: - (\d{{4}}-\d\d-\d\d))?$", re.M)


def version() -> str:
    found = re.search(rf'^__version__ = "({NUMBER})"$', SOURCE.read_text(), re.M)
    assert found is not None, f"{SOURCE} states no version"
    return found[1]


def mentions() -> dict[Path, list[str]]:
    """Which versions each tracked file names; the changelog is history."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md", "*.yml", "*.yaml", "tests/*.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    files = [path for name in listed.stdout.splitlines() if (path := ROOT / name) != CHANGELOG and path.is_file()]
    return {path: found for path in files if (found := [number for _, number in OURS.findall(path.read_text())])}


def changes(name: str) -> str | None:
    """What the changelog has below the heading of ``name``; None where there is no such heading."""
    text = CHANGELOG.read_text()
    headings = list(HEADING.finditer(text))
    for heading, after in zip(headings, [*headings[1:], None], strict=True):
        if heading[1] == name:
            return text[heading.end() : after.start() if after else None].strip()
    return None


def check() -> list[str]:
    """What does not agree with the version."""
    now = version()
    wrong = [f"{path.relative_to(ROOT)} names {one}" for path, found in mentions().items() for one in found if one != now]
    if changes(now) is None:
        wrong.append(f"CHANGELOG.md has no heading ## [{now}]")
    if changes("Unreleased") is None:
        wrong.append("CHANGELOG.md has no heading ## [Unreleased]")
    return wrong


def released() -> list[str]:
    wrong = check()
    if changes("Unreleased"):
        wrong.append("CHANGELOG.md has entries below [Unreleased]: scripts/version.py NEW gives them their version")
    if not changes(version()):
        wrong.append(f"CHANGELOG.md says nothing of {version()}")
    return wrong


def raise_to(new: str, today: str) -> None:
    if not re.fullmatch(NUMBER, new):
        sys.exit(f"version: {new} is not X.Y.Z")
    if changes(new) is not None:
        sys.exit(f"version: CHANGELOG.md has {new} already")
    old = version()
    SOURCE.write_text(SOURCE.read_text().replace(f'__version__ = "{old}"', f'__version__ = "{new}"'))
    for path in mentions():
        path.write_text(OURS.sub(lambda found: found[1] + (new if found[2] == old else found[2]), path.read_text()))
    CHANGELOG.write_text(CHANGELOG.read_text().replace("## [Unreleased]\n", f"## [Unreleased]\n\n## [{new}] - {today}\n", 1))


def main(words: list[str]) -> None:
    match words:
        case []:
            print(version())
        case ["--check" | "--released" as asked]:
            if wrong := (check if asked == "--check" else released)():
                sys.exit("\n".join(f"version: {each}" for each in wrong))
        case [new]:
            raise_to(new, datetime.datetime.now(datetime.UTC).date().isoformat())
        case _:
            sys.exit("usage: version.py [NEW | --check | --released]")


if __name__ == "__main__":
    main(sys.argv[1:])
