"""Stages at the same time: each begins when the stages that it needs are there."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from gazami.cancel import Cancel
from gazami.errors import Cancelled
from gazami.plan.steps import StagePlan

AT_ONCE = max(4, os.cpu_count() or 1)
"""Stages that work at the same time: the processors, and four where there are fewer, since many wait for a network."""


def in_order_of_need(
    stages: list[StagePlan],
    inputs: Callable[[StagePlan], set[int]],
    work: Callable[[StagePlan], None],
    cancel: Cancel,
) -> None:
    """Do the work of every stage; those that a stage needs come before it in the list.

    The first failure sets ``cancel``, so that the others end soon, and is raised once they have.
    """
    if len(stages) == 1:
        work(stages[0])
        return
    waiting = {stage.index: set(inputs(stage)) for stage in stages}
    waits_for: dict[int, list[StagePlan]] = {}
    for stage in stages:
        for index in waiting[stage.index]:
            waits_for.setdefault(index, []).append(stage)
    failures: list[BaseException] = []

    def run(stage: StagePlan) -> StagePlan:
        cancel.check()
        work(stage)
        return stage

    with ThreadPoolExecutor(min(AT_ONCE, len(stages)), thread_name_prefix="stage") as pool:
        running = {pool.submit(run, stage) for stage in stages if not waiting[stage.index]}
        while running:
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for each in ended:
                if (error := each.exception()) is not None:
                    failures.append(error)
                    cancel.set("another stage failed")
                    continue
                for stage in waits_for.get(each.result().index, ()):
                    waiting[stage.index].discard(each.result().index)
                    if not waiting[stage.index] and not failures:
                        running.add(pool.submit(run, stage))
    if failures:
        raise next((each for each in failures if not isinstance(each, Cancelled)), failures[0])
