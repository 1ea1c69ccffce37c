"""Where the time of a build went: each moment counts once, for the work that the build cannot do without if some of that went on.

A build takes at least as long as its commands. What is above that floor is the builder's: copies, snapshots with their compression,
bases, uploads, look-ups, and waits for other builds. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from gazami import events
from gazami.report.labels import runs
from gazami.report.written.timeline import Period, StepTold, Timeline

Interval = tuple[float, float]

KINDS = ("commands", "copies", "snapshots", "bases", "otherBuilds", "uploads", "lookUps", "rest")
"""In the order in which they claim a moment."""


def time_spent(timeline: Timeline, total: float) -> dict[str, float]:
    """Seconds of each of :data:`KINDS`, which add up to ``total``."""
    found: dict[str, list[Interval]] = {kind: [] for kind in KINDS[:-1]}
    for told in timeline.steps.values():
        _add(found, told, total)
    for attempts in timeline.transfers.values():
        found["uploads"] += [_interval(span, total) for started, span, _ in attempts if started.direction == "push"]
    if timeline.looked_up is not None:
        found["lookUps"].append(_interval(timeline.looked_up, total))
    return _claimed(found, total)


def _add(found: dict[str, list[Interval]], told: StepTold, total: float) -> None:
    """The pieces of one step."""
    if told.base is not None:
        found["bases"].append(_interval(told.base, total))
    if told.waited is not None:
        found["otherBuilds"].append(_interval(told.waited, total))
    if told.looked_up is not None:
        found["lookUps"].append(_interval(told.looked_up, total))
    if told.started is None or told.started.cached:
        return
    begun, end = _interval(told.span, total)
    if told.snapshot is not None:
        found["snapshots"].append((told.snapshot.begun, end))
        end = told.snapshot.begun
    found["commands" if runs(told.started.text) else "copies"].append((begun, end))


def _interval(span: Period, total: float) -> Interval:
    return span.begun, total if span.seconds is None else span.begun + span.seconds


def _claimed(found: dict[str, list[Interval]], total: float) -> dict[str, float]:
    """Each moment for the first kind that has it."""
    spent = dict.fromkeys(KINDS, 0.0)
    taken: list[Interval] = []
    before = 0.0
    for kind in KINDS[:-1]:
        taken = _joined([*taken, *((max(0.0, start), min(end, total)) for start, end in found[kind])])
        covered = sum(end - start for start, end in taken)
        spent[kind], before = covered - before, covered
    spent["rest"] = max(0.0, total - before)
    return spent


def _joined(intervals: Iterable[Interval]) -> list[Interval]:
    """The same moments without overlaps."""
    joined: list[Interval] = []
    for start, end in sorted(each for each in intervals if each[1] > each[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def uploads_of(timeline: Timeline, layer: str) -> list[tuple[events.TransferStarted, Period]]:
    """The uploads of a layer that have moved bytes."""
    return [
        (started, span)
        for attempts in timeline.transfers.values()
        for started, span, _ in attempts
        if layer and started.direction == "push" and started.what == layer and span.how in ("moved", "")
    ]
