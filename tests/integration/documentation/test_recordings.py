"""The pictures of a terminal in the README: each is well formed and shows what gazami shows today."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scripts.render_terminal import COLUMNS, NAMES, Recording, Screen, recordings, svg

IMAGES = Path(__file__).parents[3] / "docs/images"
SVG = "{http://www.w3.org/2000/svg}"

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


@pytest.fixture(scope="module")
def today() -> dict[str, Recording]:
    return recordings()


def without_numbers(lines: list[str]) -> list[str]:
    """Without times, sizes, digests, the isolation of this machine, and the width of gaps."""
    text = re.sub(r"[0-9a-f]{20,}…?", "DIGEST", "\n".join(line for line in lines if "are isolated by" not in line))
    text = re.sub(r"/\S+/cache:", "CACHE:", text)
    text = re.sub(r"\d+(?:\.\d+)?(?: ?[kMG]?B| ?ms|s)\b|\d+ requests", "N", text)
    return sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_shows_what_gazami_shows(name: str, today: dict[str, Recording]) -> None:
    root = ElementTree.parse(IMAGES / f"terminal-{name}.svg").getroot()
    described = root.findtext(f"{SVG}desc", "").splitlines()
    assert without_numbers(described) == without_numbers(today[name].text), "make recordings"
    assert today[name].status == (127 if name == "failed" else 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_its_text(name: str) -> None:
    """The last frame is seen without style sheets and without motion, and is what the description says."""
    root = ElementTree.parse(IMAGES / f"terminal-{name}.svg").getroot()
    frames = root.findall(f"{SVG}g")
    assert [frame.get("visibility") for frame in frames] == ["hidden"] * (len(frames) - 1) + [None]
    drawn = [" ".join(span.text or "" for span in line) for line in frames[-1].findall(f"{SVG}text")]
    described = [line for line in root.findtext(f"{SVG}desc", "").splitlines() if line.strip()]
    assert [line.replace(" ", "") for line in drawn] == [line.replace(" ", "") for line in described]
    assert root.findtext(f"{SVG}title") == NAMES[name]
    assert not re.search(r"href|url\(|<script|@import", (IMAGES / f"terminal-{name}.svg").read_text())


def test_the_failure_has_the_cause_and_a_hint() -> None:
    text = (IMAGES / "terminal-failed.svg").read_text()
    for words in (
        "Dockerfile:6",
        "&gt;&gt;&gt; RUN ./build.sh",
        "caused by: the first line of",
        "hint: save the file with LF line ends",
    ):
        assert words in text


def test_the_screen_is_what_a_terminal_shows() -> None:
    screen = Screen()
    screen.write(
        "one\r\n\x1b[32mtwo\x1b[0m three\r\n\x1b[1A\r\x1b[2K\x1b[31mfour\x1b[0m\r\nx" + "y" * COLUMNS + "\r\n\x1b[1A\x1b[J"
    )
    assert screen.text()[:2] == ["one", "four"]
    assert {style for _, style in screen.lines[1]} == {"red"}


def test_letters_of_markup_are_escaped() -> None:
    frame = [[(letter, "") for letter in '<&">']]
    assert ElementTree.fromstring(svg(Recording([(0.0, frame)], 0), "<&>")).findtext(f"{SVG}title") == "<&>"
