"""The report of a build: the document fits its schema, and nothing in it becomes HTML."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.schema import problems

from gazami import events
from gazami.errors import CommandFailed, SeveralErrors, Source, Span, UserError
from gazami.report.written.build_summary import document
from gazami.report.written.page import page
from gazami.report.written.timeline import MOST, TAIL, Timeline

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/reference/report.schema.json").read_text())
DIGEST = "sha256:" + "a" * 64
STARTED = "2026-11-28T20:00:00Z"
EVIL = "<script>alert(1)</script><img src=x onerror='a()'> \" & ' </pre></style> \x1b[31m\u202e"
ONE, TWO, RUN = events.StepId(0, 1), events.StepId(0, 2), events.StepId(1, 1)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(*happened: tuple[float, events.Event]) -> Timeline:
    """A build whose events came at these seconds."""
    clock = Clock()
    timeline = Timeline(clock)
    timeline.begin()
    for at, event in happened:
        clock.now = 100.0 + at
        timeline.note(event)
    return timeline


def build(evil: str = "text") -> list[tuple[float, events.Event]]:
    """Two stages and one that is not needed; every kind of event, with foreign text wherever there can be some."""
    config = json.dumps({
        "os": "linux", "architecture": "amd64", "history": [{"created_by": evil}],
        "config": {"Env": [f"A={evil}"], "Labels": {evil: evil}, "Cmd": [evil], "ExposedPorts": {"80/tcp": {}}, "User": evil},
    })  # fmt: skip
    return [
        (0.1, events.Message("warning", evil)),
        (0.1, events.Warned(evil, "JSONArgsRecommended", Span(3, 3))),
        (0.1, events.SandboxChosen("userns", evil)),
        (0.2, events.BaseResolved(evil, DIGEST)),
        (0.2, events.PlanReady(((0, evil, ("COPY a /", f"RUN {evil}")), (1, "", (f"RUN {evil}",)), (2, "gone", ("RUN x",))))),
        (0.3, events.CacheChecked(evil, 3, 1, 0.1)),
        (0.3, events.StagesNeeded((0, 1))),
        (0.5, events.StageStarted(0, evil, evil, 2)),
        (0.5, events.BaseStarted(ONE, evil)),
        (0.5, events.TransferStarted("k", "pull", DIGEST, evil, None)),
        (0.6, events.TransferProgress("k", 5)),
        (1.5, events.TransferFinished("k", "moved", 1000, 1.0)),
        (1.5, events.PhaseStarted("p", evil)),
        (1.6, events.PhaseProgress("p", 5)),
        (2.0, events.PhaseFinished("p", 0.5)),
        (2.0, events.BaseFinished(ONE, 1.5)),
        (2.0, events.StepWaiting(ONE, evil)),
        (2.0, events.StepWaited(ONE, 0.0, "took over")),
        (2.0, events.StepStarted(ONE, 2, "COPY a /", Span(2, 2), "Dockerfile", cached=True, looked_up=0.3)),
        (2.1, events.StepFinished(ONE, 0.1, cached=True, layer_size=10)),
        (2.1, events.StepStarted(TWO, 2, f"RUN {evil}", Span(3, 3), evil, reasons=(evil,))),
        (2.2, events.StepOutput(TWO, "stdout", evil.encode())),
        (3.6, events.PhaseStarted("s", "taking a snapshot", step=TWO)),
        (4.1, events.PhaseFinished("s", 0.5)),
        (4.1, events.StepFinished(TWO, 2.0, layer_size=500, files=3, missed=True, layer=DIGEST)),
        (4.1, events.TransferStarted("u", "push", DIGEST, evil, 500)),
        (4.3, events.TransferFinished("u", "moved", 500, 0.2)),
        (4.1, events.StageFinished(0, 3.6)),
        (4.2, events.StageStarted(1, "", evil, 1)),
        (4.2, events.StepStarted(RUN, 1, f"RUN {evil}", Span(5, 6), "Dockerfile")),
        (4.5, events.StepOutput(RUN, "stdout", b"x" * 2 * TAIL + evil.encode())),
        (5.0, events.ImageMade(config, (DIGEST,), (510,))),
    ]


def good(evil: str = "text") -> dict[str, object]:
    rest = [
        (4.9, events.StepFinished(RUN, 0.7, layer_size=None, missed=True)),
        (4.9, events.StageFinished(1, 0.7)),
        (5.5, events.Exported("image", f"r.example.com/{evil}:1", DIGEST)),
        (6.0, events.BuildFinished(6.0, DIGEST, 510, 1, (evil,), DIGEST, 12)),
    ]
    return document(told(*build(evil), *rest), STARTED)


def bad(evil: str = "text") -> dict[str, object]:
    error = CommandFailed(f"process {evil} failed", exit_code=7, hint=evil).at(
        Span(2, 2), Source("Dockerfile", f"FROM x\nRUN {evil}\n")
    )
    several = SeveralErrors((error, UserError(evil)))
    return document(told(*build(evil), (5.2, events.StepFailed(RUN, 1.0, evil))), STARTED, several)


DOCUMENTS = {"good": good, "bad": bad, "nothing": lambda evil="": document(told(), STARTED, UserError(f"no {evil}"))}


@pytest.mark.parametrize("evil", ["text", EVIL], ids=["plain", "hostile"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_document_fits_its_schema(name: str, evil: str) -> None:
    known = DOCUMENTS[name](evil)
    assert problems(json.loads(json.dumps(known)), SCHEMA) == []


def test_the_schema_finds_what_does_not_fit() -> None:
    known = good() | {"version": 2, "more": 1, "seconds": "5"}
    del known["error"]
    found = problems(known, SCHEMA)
    assert [each.split(" ")[0].rstrip(":") for each in found] == ["$.version", "$.seconds", "$.error", "$.more"]


def test_when_things_happened() -> None:
    known = good()
    first, last, gone = known["stages"]  # type: ignore[misc]
    assert (first["start"], first["seconds"], gone["skipped"]) == (0.5, 3.6, True)
    one, two = first["steps"]
    assert one["base"] == {"start": 0.5, "seconds": 1.5}
    assert (one["start"], one["seconds"], one["outcome"]) == (2.0, 0.1, "cached")
    assert (two["start"], two["seconds"], two["missed"], two["reasons"], two["line"]) == (2.1, 2.0, True, ["text"], 3)
    assert two["output"] == ""
    assert last["steps"][0]["outcome"] == "done"
    assert gone["steps"][0]["outcome"] == "not run"
    assert known["cache"] == {"where": "text", "asked": 3, "found": 1, "hits": 1, "misses": 2, "start": 0.2, "seconds": 0.1}
    assert known["transfers"][:1] == [
        {"direction": "pull", "what": DIGEST, "where": "text", "size": 1000, "how": "moved", "start": 0.5, "seconds": 1.0}
    ]
    assert known["requests"] == 12


def test_a_failed_build_has_the_error_and_the_end_of_the_output() -> None:
    known = bad()
    step = known["stages"][1]["steps"][0]  # type: ignore[index]
    assert (step["outcome"], step["error"]) == ("failed", "text")
    assert step["output"].endswith("xxtext") and len(step["output"]) == TAIL
    error = known["error"]
    assert [each["exitCode"] for each in error["errors"]] == [7, 1]  # type: ignore[index]
    assert ">>> RUN text" in error["text"]  # type: ignore[index]
    assert known["outcome"] == "failed" and known["requests"] is None


def test_transfers_and_warnings_are_bounded() -> None:
    many = [(0.0, events.Message("warning", "w"))] * (MOST + 9)
    many += [(0.0, events.TransferStarted(str(number), "push", DIGEST, "r", 1)) for number in range(MOST + 9)]
    timeline = told(*many)
    known = document(timeline, STARTED)
    assert len(known["warnings"]) == len(known["transfers"]) == MOST


# -- the page --------------------------------------------------------------------------------------------------------------------

VOID = {"meta", "br", "img", "rect", "link", "input", "hr"}
ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "main",
        "h1",
        "h2",
        "h3",
        "p",
        "span",
        "dl",
        "dt",
        "dd",
        "code",
        "pre",
        "br",
    ),
    *("svg", "rect", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary", "ul", "li"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "open"),
    *("aria-hidden", "aria-label", "role", "x", "width", "height"),
}


class Reader(HTMLParser):
    """Elements that are open, all that there were, their attributes and the text of the body."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", DOCUMENTS)
def test_hostile_text_stays_text(name: str) -> None:
    text = page(DOCUMENTS[name](EVIL))
    read = Reader(text)
    assert read.open == []
    assert read.elements <= ELEMENTS
    assert read.attributes <= ATTRIBUTES
    assert "<script>alert(1)</script>" in read.text, "the control: it is there, as text"
    assert "\x1b" not in text and "\u202e" not in text
    assert "http://" not in text and "https://" not in text and "url(" not in text and "@import" not in text
    assert "default-src 'none'" in text
    assert text.count("<style>") == text.count("</style>") == 1


def test_the_page_says_what_the_document_has() -> None:
    text = Reader(page(good())).text
    said = ("Build succeeded", "r.example.com/text:1", "userns", "12 to registries", "1 of 3 steps", "JSONArgsRecommended", "510 B")
    for each in (*said, "2 transfers, 1.5 kB moved", "Not needed", "3 files in its layer", "Beside the steps", "fetching blobs"):
        assert each in text, each
    failed = page(bad())
    assert "<details open>" in failed
    assert "xxtext" in Reader(failed).text and "Build failed" in failed


def test_what_is_narrow_dark_or_on_paper_has_rules() -> None:
    text = page(good())
    assert all(f"@media {each}" in text for each in ("(prefers-color-scheme: dark)", "(max-width", "print"))
    assert '<meta name="viewport"' in text and '<html lang="en">' in text


def test_each_moment_of_a_build_counts_once() -> None:
    """Two steps beside each other, a snapshot within one, an upload that outlasts both."""
    happened: list[tuple[float, events.Event]] = [
        (0.0, events.PlanReady(((0, "a", ("RUN a",)), (1, "b", ("COPY b /",))))),
        (1.0, events.CacheChecked("c", 2, 0, 0.5)),
        (1.0, events.BaseStarted(ONE, "base")),
        (2.0, events.BaseFinished(ONE, 1.0)),
        (2.0, events.StepStarted(ONE, 1, "RUN a")),
        (3.0, events.StepStarted(RUN, 1, "COPY b /")),
        (5.0, events.PhaseStarted("s", "taking a snapshot", step=ONE)),
        (6.0, events.PhaseFinished("s", 1.0)),
        (6.0, events.StepFinished(ONE, 4.0, layer_size=1, layer=DIGEST)),
        (6.0, events.TransferStarted("u", "push", DIGEST, "r", 1)),
        (7.0, events.StepFinished(RUN, 4.0)),
        (9.0, events.TransferFinished("u", "moved", 1, 3.0)),
        (10.0, events.BuildFinished(10.0, DIGEST, 1, 1)),
    ]
    spent = document(told(*happened), STARTED)["time"]
    assert spent == {
        "commands": 3.0, "copies": 2.0, "snapshots": 0.0, "bases": 1.0, "otherBuilds": 0.0, "uploads": 2.0, "lookUps": 0.5,
        "rest": 1.5,
    }  # fmt: skip
    assert sum(spent.values()) == 10.0
    step = document(told(*happened), STARTED)["stages"][0]["steps"][0]
    assert step["snapshot"] == {"start": 5.0, "seconds": 1.0}
    assert step["uploads"] == [{"where": "r", "start": 6.0, "seconds": 3.0}]
    text = page(document(told(*happened), STARTED))
    assert "Commands ran for 3.0s. 7.0s are above that floor." in text
    assert 'class="snapshot"' in text and 'class="upload"' in text


def test_work_that_has_not_ended_counts_to_the_end() -> None:
    happened = [(0.0, events.PlanReady(((0, "a", ("RUN a",)),))), (2.0, events.StepStarted(ONE, 1, "RUN a"))]
    timeline = told(*happened, (5.0, events.Message("info", "x")))
    spent = document(timeline, STARTED, UserError("no"))["time"]
    assert (spent["rest"], spent["commands"]) == (2.0, 3.0)
