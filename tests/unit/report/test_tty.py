"""The live view, as it is seen on terminals of several sizes."""

from __future__ import annotations

import io
import itertools
import threading

import pytest
from tests.terminal import Terminal

from gazami import events
from gazami.errors import Cancelled, CommandFailed, UserError
from gazami.report.fitting import cells, fitted, folded, right
from gazami.report.line import Settings
from gazami.report.log_streams import Streams
from gazami.report.screen import Screen
from gazami.report.tty import TtySink
from gazami.report.view import View

COMMAND = 'RUN for i in $(seq 1 40); do echo "Downloading package number $i of many"; sleep 0.2; done'
PLAN = events.PlanReady(
    ((0, "deps", ("WORKDIR /src", COMMAND)), (1, "docs", (COMMAND,)), (3, "", ("COPY --from=deps /a /a", "RUN b")))
)
DEPS, DOCS = events.StepId(0, 2), events.StepId(1, 1)
SIZES = [(120, 40), (80, 24), (40, 12), (20, 6)]


def output(step: events.StepId, text: str) -> events.StepOutput:
    return events.StepOutput(step, "stdout", text.encode())


def seen(view: View, now: float, width: int = 80, height: int = 24) -> list[str]:
    return [text for text, _ in view.rows(now, width, height)]


def noted(*told: events.Event) -> View:
    view = View()
    for event in told:
        view.note(event, 0.0)
    return view


def test_a_step_that_waits_for_its_base_is_not_running() -> None:
    view = noted(PLAN, events.BaseStarted(DOCS, "docker.io/library/debian:12"))
    (row,) = [row for row in view.rows(3.0, 80, 24) if "docs" in row[0]]
    assert row[0].startswith("[docs 1/1] RUN for") and row[0].endswith("waiting for debian:12 3.0s") and row[1] == "waiting"
    view.note(events.BaseFinished(DOCS, 3.0), 3.0)
    view.note(events.StepStarted(DOCS, 1, COMMAND), 3.0)
    (row,) = [row for row in view.rows(4.0, 80, 24) if "docs" in row[0]]
    assert row[0].endswith(" 1.0s") and row[1] == "running"


def test_a_step_that_waits_for_another_build_says_so() -> None:
    view = noted(PLAN, events.StepWaiting(DOCS, "RUN x"))
    assert any("waiting for another build" in row for row, _ in view.rows(2.0, 80, 10))
    view.note(events.StepWaited(DOCS, 2.0, "found"), 2.0)
    assert not any("waiting" in row for row, _ in view.rows(2.0, 80, 10))


def test_the_head_counts_the_steps_of_the_stages_that_are_needed() -> None:
    view = noted(PLAN)
    assert seen(view, 12.3)[0] == "[+] 12.3s (0/5)"
    view.note(events.StagesNeeded((1, 3)), 13.0)
    view.note(events.StepStarted(DOCS, 1, COMMAND), 13.0)
    assert view.note(events.StepFinished(DOCS, 2.0, layer_size=1000), 15.0) == [(f"[docs 1/1] {COMMAND}\t2.0s  1.0 kB", "done")]
    assert seen(view, 15.0)[0] == "[+] 15.0s (1/3)"


def test_a_build_that_begins_again_and_several_in_one_view_are_counted_once_each() -> None:
    view = noted(PLAN, events.StagesNeeded((1,)))
    for _ in range(2):  # again without the cache
        view.note(events.StepStarted(DOCS, 1, COMMAND), 1.0)
        view.note(events.StepFinished(DOCS, 1.0), 2.0)
    assert seen(view, 2.0)[0] == "[+] 2.0s (1/1)"
    view.note(events.StagesNeeded((3,)), 2.0)  # of another platform
    assert seen(view, 2.0)[0] == "[+] 2.0s (1/3)"


def test_ends_have_their_state() -> None:
    view = noted(PLAN, events.StepStarted(DEPS, 2, "RUN a"), events.StepStarted(DOCS, 1, "RUN b"))
    assert view.note(events.StepFailed(DEPS, 1.0, "m"), 1.0) == [("[deps 2/2] RUN a\tfailed", "failed")]
    assert view.note(events.StepFailed(DOCS, 1.0, "m", cancelled=True), 1.0) == [("[docs 1/1] RUN b\tcancelled", "cancelled")]
    view.note(events.StepStarted(events.StepId(3, 2), 2, "RUN b", cached=True), 1.0)
    assert view.note(events.StepFinished(events.StepId(3, 2), 0.0, cached=True), 1.0) == [("[final 2/2] RUN b\tcached", "cached")]


def test_layers_of_an_image_share_a_row_with_its_name_a_total_and_the_time_that_is_left() -> None:
    view = noted(
        events.TransferStarted("a", "pull", "sha256:1", "index.docker.io/library/debian", 4_000_000),
        events.TransferStarted("b", "pull", "sha256:2", "index.docker.io/library/debian", 6_000_000),
        events.TransferProgress("b", 3_000_000),
    )
    assert seen(view, 3.0) == [right("  pull debian", "3.0 MB of 10.0 MB  1.0 MB/s  7.0s left", 80)]
    view.note(events.TransferFinished("a", "moved", 4_000_000, 3.0), 3.0)
    assert seen(view, 3.0)[0].endswith("7.0 MB of 10.0 MB  1.0 MB/s  3.0s left")
    assert seen(view, 3.0, width=40) == [right("  pull debian", "70%", 40)]
    assert "██████████████░░░░░░" in seen(view, 3.0, width=120)[0]
    view.note(events.TransferFinished("b", "moved", 6_000_000, 6.0), 6.0)
    assert seen(view, 6.0) == []


def test_layers_that_are_unpacked_share_a_row() -> None:
    view = noted(
        *(events.PhaseStarted(key, f"unpacking layer {key * 12}", unit="bytes") for key in "ab"), events.PhaseProgress("a", 5)
    )
    assert seen(view, 1.0) == [right("  unpacking layers (2)", "5 B", 80)]


@pytest.mark.parametrize("width, height", SIZES)
def test_rows_fit(width: int, height: int) -> None:
    view = noted(PLAN, events.BaseStarted(DOCS, "registry.example.com:5000/team/base/image:with-a-long-tag"))
    for number in range(12):
        step = events.StepId(number + 10, 1)
        view.note(events.StepStarted(step, 1, f"RUN {number} 日本語 " * 9), 0.0)
        view.note(output(step, "line 日本語\r" + "x" * 200 + "\nhalf"), 0.0)
    for number in range(5):
        view.note(events.TransferStarted(str(number), "push", "sha256:1", f"r.example.com/a/{number}", 10**9), 0.0)
        view.note(events.TransferProgress(str(number), 10**8), 0.0)
    rows = seen(view, 3725.0, width, height)
    assert len(rows) <= height and all(cells(row) <= width for row in rows)
    assert rows[0].startswith("[+] 1h02m") and rows[1].startswith("[do") and "waiting" in rows[1]


@pytest.mark.parametrize("text", ["", "ascii", "日本語のテキスト", "e\u0301 combining", "\U0001f600 emoji"])
def test_cutting_keeps_to_the_cells(text: str) -> None:
    for width in range(12):
        assert cells(fitted(text, width)) <= width
        assert cells(right(text, "1.0s", width)) <= max(width, 0)
    assert fitted(text, 40) == text


def test_folding_breaks_at_blanks_and_never_in_a_word() -> None:
    digest = "sha256:" + "0" * 64
    assert folded(f"one two three, {digest}", 14) == ["one two three,", f"  {digest}"]


class Window:
    """A sink that draws on a terminal, and nothing draws but the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int = 80, height: int = 24, **settings) -> None:
        self.terminal, self.stream = Terminal(width, height), io.BytesIO()
        monkeypatch.setattr(Screen, "size", lambda screen: (self.terminal.width, self.terminal.height))
        self.terminal.write(b"$ gazami build .\n")
        self.sink = TtySink(Settings(**settings), Streams(io.BytesIO(), self.stream), refresh=False)

    def show(self, *told: events.Event) -> list[str]:
        for event in told:
            self.sink.emit(event)
        self.sink.draw()
        return self.read()

    def read(self) -> list[str]:
        self.terminal.write(self.stream.getvalue())
        self.stream.seek(0)
        self.stream.truncate()
        return self.terminal.seen


BEGUN = (PLAN, events.StepStarted(DEPS, 2, COMMAND), events.StepStarted(DOCS, 1, COMMAND), output(DEPS, "one\ntwo\n"))


@pytest.mark.parametrize("width, height", SIZES)
def test_a_build_from_its_beginning_to_its_end(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(monkeypatch, width, height, format="color")
    shown = window.show(*BEGUN)
    assert sum(line.startswith("[deps 2/2]") for line in shown) == 1 and not window.terminal.cursor
    window.show(events.StepFinished(DEPS, 2.0, layer_size=1000), output(DOCS, "three\n"))
    window.show(events.StepFinished(DOCS, 3.0), events.Exported("image", "r.example.com/app:1", "sha256:abc"))
    window.show(events.BuildFinished(4.0, "sha256:" + "1" * 64, 1000, 1))
    window.sink.close()
    shown = window.read()
    assert window.terminal.cursor and not any("│" in line or "[+]" in line for line in shown)
    assert [line[:4] for line in shown[1:3]] == ["[dep", "[doc"] and shown[1].endswith("2.0s  1.0 kB")
    assert "".join(shown).count("1" * min(width - 16, 40)) >= 1 and {"32", "1"} <= window.terminal.colors


@pytest.mark.parametrize("sizes", [*itertools.permutations([(50, 24), (120, 24), (30, 40)], 2), ((80, 40), (40, 24))])
def test_another_size_leaves_no_dead_rows(sizes: tuple[tuple[int, int], ...], monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(monkeypatch)
    window.show(*BEGUN)
    for size in sizes:
        window.terminal.resize(*size)
        shown = window.show(output(DEPS, "three\n"))
        assert sum(line.startswith("[deps 2/2]") for line in shown) == 1 == sum("[+]" in line for line in shown), shown
        assert all(len(line) < window.terminal.width for line in shown[1:])
    window.sink.close()
    assert "".join(window.read()) == "$ gazami build ."


def test_no_color_where_the_log_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(monkeypatch)
    window.show(*BEGUN, events.Message("warning", "careful"), events.StepFinished(DOCS, 3.0))
    window.sink.fail(UserError("broken"))
    assert window.read()[-1] == "error building image: broken" and window.terminal.colors == set()


def test_a_failure_is_last_with_the_output_of_its_own_step(monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(monkeypatch, format="color")
    window.show(*BEGUN, output(DOCS, "neighbour\n"), output(DEPS, "boom"))
    window.show(events.StepFailed(DEPS, 2.0, "exit 2"), events.StepFailed(DOCS, 2.0, "stopped", cancelled=True))
    window.sink.fail(CommandFailed("process did not complete", exit_code=2, hint="mend it"))
    shown = window.read()
    assert shown[1].endswith("failed") and shown[2].endswith("cancelled")
    assert [line.partition("│ ")[2] for line in shown[4:7]] == ["one", "two", "boom"]
    assert shown[-2:] == ["error building image: process did not complete", "hint: mend it"]
    assert not any("neighbour" in line for line in shown) and window.terminal.cursor


def test_an_interrupt_leaves_a_clean_screen_and_says_what_was_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window(monkeypatch)
    window.show(*BEGUN, events.CacheChecked("oci:/c", 3, 0, 0.1))
    window.show(*(events.StepFailed(step, 2.0, "stopped", cancelled=True) for step in (DEPS, DOCS)))
    window.sink.fail(Cancelled("interrupted by SIGINT"))
    shown = window.read()
    assert shown[-2:] == [
        "error building image: interrupted by SIGINT",
        "nothing was pushed or written; layers that were stored by then stay in the cache oci:/c",
    ] or "".join(shown[-3:]).endswith("layers that were stored by then stay in the cache oci:/c")
    assert not any("│" in line for line in shown) and window.terminal.cursor


def test_threads_and_the_drawing_do_not_mix() -> None:
    stream = io.BytesIO()
    sink = TtySink(Settings(), Streams(stream, stream))
    threads = [
        threading.Thread(target=lambda: [sink.emit(events.Message("info", "[bold]note[/]")) for _ in range(50)]) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for event in BEGUN:
        sink.emit(event)
    for thread in threads:
        thread.join(10)
    sink.fail(UserError("late"))
    sink.close()
    assert stream.getvalue().count(b"[bold]note[/]\x1b[K\n") == 150 and b"late" in stream.getvalue()
