"""Stages at the same time: each begins when the stages that it needs are there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

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
    room = threading.BoundedSemaphore(AT_ONCE)
    begun: dict[int, Future[None]] = {}
    failures: list[BaseException] = []

    def run(stage: StagePlan, needed: list[Future[None]]) -> None:
        try:
            for each in needed:
                each.result()
            with room:
                cancel.check()
                work(stage)
        except BaseException as error:
            failures.append(error)
            cancel.set("another stage failed")
            raise

    with ThreadPoolExecutor(len(stages), thread_name_prefix="stage") as pool:
        for stage in stages:
            needed = [begun[index] for index in sorted(inputs(stage))]
            begun[stage.index] = pool.submit(run, stage, needed)
    if failures:
        raise next((each for each in failures if not isinstance(each, Cancelled)), failures[0])
