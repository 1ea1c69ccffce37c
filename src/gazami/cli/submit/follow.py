"""The Jobs of one submit, followed together: their logs become events of the local view, their ends one result.

The first one that fails stops the others; what stops early is deleted. Clean-up does not depend on the switch that stopped it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from gazami.cancel import Cancel
from gazami.errors import Cancelled, ClusterError, GazamiError
from gazami.events import BuildFinished, Emit, Event, Exported, Message
from gazami.foreign import printable
from gazami.kubernetes.create import Maker, check_allowed, create, delete
from gazami.kubernetes.follow import Api, Follower, Left
from gazami.kubernetes.job import Build
from gazami.kubernetes.log import Position
from gazami.kubernetes.options import PodOptions
from gazami.kubernetes.pod import TAKEN, Ended
from gazami.kubernetes.taken import SIGNALLED
from gazami.report.records import Failure, decode
from gazami.report.together import Named
from gazami.values import fast_dataclass, field


class Intake:
    """The lines of one build's log: events for the view, and what is to be known at the end."""

    def __init__(self, emit: Emit, named: Named | None) -> None:
        self._emit, self._named = emit, named
        self.failure: GazamiError | None = None
        self.finished: BuildFinished | None = None
        self.index = ""

    @property
    def interrupted(self) -> bool:
        """Whether the executor says that it was told to stop."""
        return isinstance(self.failure, Cancelled)

    def line(self, text: str) -> None:
        found = decode(text)
        if found is None:
            if text := printable(text).strip():
                self.event(Message("info", text))
        elif isinstance(found.record, Failure):
            self.failure = found.record.error
        else:
            self.event(found.record)

    def event(self, event: Event) -> None:
        match event:
            case BuildFinished():
                self.finished = event
            case Exported() if event.kind == "index":
                self.index = event.digest
            case _:
                pass
        for each in self._named(event) if self._named else [event]:
            self._emit(each)


class Connection(Api, Maker, Protocol):
    """What is needed of :class:`gazami.kubernetes.cluster.Cluster`."""

    def delete_secret(self, name: str) -> None: ...


@fast_dataclass(slots=True)
class Submitted:
    """Builds by their Jobs. ``intakes`` belong to ``builds``, one each; a Job that is not ``owned`` (it is kept, or only attached
    to) is never deleted."""

    builds: tuple[Build, ...]
    intakes: tuple[Intake, ...]
    cluster: Connection
    emit: Emit
    owned: bool = True
    _error: Exception | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self, options: PodOptions, *, follow: bool) -> None:
        """All Jobs, or none of them."""
        check_allowed(self.builds[0], self.cluster, self.emit, follow=follow)
        for number, build in enumerate(self.builds):
            try:
                create(build, options, self.cluster, self.emit)
            except GazamiError:
                for made in self.builds[:number]:
                    self._delete(made)
                raise
            self.emit(Message("info", f"Submitted the Job {build.name}"))

    def follow(self, cancel: Cancel, start_within: float) -> BuildFinished | None:
        """Until all are over and good: the end of the build, or of the last one; None where a log is text. Raises the first error,
        with the exit code of its container."""
        started = time.monotonic()
        stop = cancel.part()
        stop.when_cleaning(cancel.cleaning)
        with ThreadPoolExecutor(len(self.builds), thread_name_prefix="job") as pool:
            followed = [
                pool.submit(self._one, build, intake, stop, start_within)
                for build, intake in zip(self.builds, self.intakes, strict=True)
            ]
        if self._error is not None:
            raise self._error
        for each in followed:
            each.result()  # what an error's own clean-up met
        ends = [intake.finished for intake in self.intakes if intake.finished is not None]
        if len(ends) != len(self.builds):
            return None
        if len(ends) == 1:
            return ends[0]
        index = next((intake.index for intake in self.intakes if intake.index), "")
        size, layers = sum(end.size for end in ends), sum(end.layers for end in ends)
        return BuildFinished(time.monotonic() - started, index, size, layers, ends[0].destinations, index)

    def _one(self, build: Build, intake: Intake, stop: Cancel, start_within: float) -> None:
        position, interrupted = Position(decode), lambda: intake.interrupted
        follower = Follower(build.name, self.cluster, intake.line, interrupted, position, intake.event, stop, start_within)
        left = False
        try:
            ended = follower.run()
            if ended.exit_code or ended.reason:
                raise _failure(ended, intake.failure)
        except Exception as error:
            left = isinstance(error, Left)
            with self._lock:
                if self._error is None or (isinstance(self._error, Cancelled) and not isinstance(error, Cancelled)):
                    self._error = error
            stop.cleaning()
            if not left:
                stop.set("another Job failed")
                if not isinstance(error, GazamiError) or isinstance(error, Cancelled | ClusterError):
                    self._delete(build)
        finally:
            if build.files and self.owned and not left:
                self._quietly(lambda: self.cluster.delete_secret(build.name), f"the Secret {build.name} may still be there")

    def _delete(self, build: Build) -> None:
        if self.owned:
            delete(build.name, self.cluster, self.emit)

    def _quietly(self, work: Callable[[], None], otherwise: str) -> None:
        try:
            work()
        except ClusterError as error:
            self.emit(Message("warning", f"{otherwise} ({error.message})"))


def _failure(ended: Ended, said: GazamiError | None) -> GazamiError:
    """What the executor said, unless it was ended by somebody else; with its exit status either way."""
    code = ended.exit_code or 1
    if ended.reason:
        said = ClusterError(f"the build did not finish: {ended.reason}", hint=ended.hint or "what it said last is above")
    elif said is None:
        why = f"the executor ended with status {code}"
        said = ClusterError(f"the build did not finish: {why}", hint="what it said last is above")
    elif isinstance(said, Cancelled) and code in SIGNALLED:
        code = TAKEN
        said = ClusterError(
            "the build did not finish: its executor was told to stop, not from here, and the cluster does not say by whom",
            hint="start it again",
        )
    said.exit_code = code
    return said
