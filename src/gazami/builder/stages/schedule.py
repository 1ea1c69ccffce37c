"""Stages at the same time: each begins when the stages that it needs are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gazami.errors import Cancelled

if TYPE_CHECKING:
    from gazami.builder.stages.work import StageWork
    from gazami.cancel import Cancel

AT_ONCE = max(4, os.cpu_count() or 1)
"""Stages that work at the same time: the processors, and four where there are fewer, since many wait for a network."""


def in_order_of_need(works: Sequence[StageWork], build: Callable[[StageWork], None], cancel: Cancel) -> None:
    """Build every stage; those that a stage needs come before it in the sequence.

    The first failure sets ``cancel``, so that the others end soon, and is raised once they have.
    """
    if len(works) == 1:
        build(works[0])
        return
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

    waiting = {work.stage.number: set(work.after) for work in works}
    waits_for: dict[int, list[StageWork]] = {}
    for work in works:
        for number in work.after:
            waits_for.setdefault(number, []).append(work)
    failures: list[BaseException] = []

    def run(work: StageWork) -> int:
        cancel.check()
        build(work)
        return work.stage.number

    with ThreadPoolExecutor(min(AT_ONCE, len(works)), thread_name_prefix="stage") as pool:
        running = {pool.submit(run, work) for work in works if not work.after}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for each in ended:
                if (error := each.exception()) is not None:
                    failures.append(error)
                    cancel.set("another stage failed")
                    continue
                built = each.result()
                for work in waits_for.get(built, ()):
                    waiting[work.stage.number].discard(built)
                    if not waiting[work.stage.number] and not failures:
                        running.add(pool.submit(run, work))
    if failures:
        raise next((each for each in failures if not isinstance(each, Cancelled)), failures[0])
