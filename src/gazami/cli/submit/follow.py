"""The Jobs of one submit, followed together: their logs become events of the local view, their ends one result.

The first one that fails stops the others; what stops early is deleted. Clean-up does not depend on the switch that stopped it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from gazami.cancel import Cancel
from gazami.errors import Cancelled, ClusterError, GazamiError
from gazami.events import BuildFinished, Emit, Event, Exported, Message
from gazami.foreign import printable
from gazami.kubernetes.follow import Api, Follower, create
from gazami.kubernetes.job import Build, PodOptions
from gazami.kubernetes.log import Position
from gazami.kubernetes.pod import Ended
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


@fast_dataclass(slots=True)
class Submitted:
    """Builds by their Jobs, with the same pods' options. ``intakes`` belong to ``builds``, one each."""

    builds: tuple[Build, ...]
    intakes: tuple[Intake, ...]
    options: PodOptions
    cluster: Api
    emit: Emit
    _error: Exception | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self) -> None:
        """All Jobs, or none of them."""
        for number, build in enumerate(self.builds):
            try:
                create(build, self.options, self.cluster)
            except GazamiError:
                for made in self.builds[:number]:
                    self._delete(made)
                raise
            self.emit(Message("info", f"Submitted the Job {build.name}"))

    def follow(self, cancel: Cancel, start_within: float) -> BuildFinished:
        """Until all are over and good: the end of the build, or of the last one. Raises the first error, with the exit code of its
        container."""
        started = time.monotonic()
        stop = cancel.part()
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
            raise ClusterError("the build is good, but its log does not say what it made", hint="look into the registry")
        if len(ends) == 1:
            return ends[0]
        index = next((intake.index for intake in self.intakes if intake.index), "")
        size, layers = sum(end.size for end in ends), sum(end.layers for end in ends)
        return BuildFinished(time.monotonic() - started, index, size, layers, ends[0].destinations, index)

    def _one(self, build: Build, intake: Intake, stop: Cancel, start_within: float) -> None:
        follower = Follower(build, self.cluster, intake.line, Position(decode), intake.event, stop, start_within)
        try:
            ended = follower.run()
            if ended.exit_code or ended.reason:
                raise _failure(ended, intake.failure)
        except Exception as error:
            with self._lock:
                if self._error is None or (isinstance(self._error, Cancelled) and not isinstance(error, Cancelled)):
                    self._error = error
            stop.set("another platform's build failed")
            if not isinstance(error, GazamiError) or isinstance(error, Cancelled | ClusterError):
                self._delete(build)
        finally:
            if build.files:
                self._quietly(lambda: self.cluster.delete_secret(build.name), f"the Secret {build.name} may still be there")

    def _delete(self, build: Build) -> None:
        if not self.options.keep:
            text = f"the Job {build.name} may still be running: kubectl delete job {build.name}"
            self._quietly(lambda: self.cluster.delete_job(build.name), text)

    def _quietly(self, work: Callable[[], None], otherwise: str) -> None:
        try:
            work()
        except ClusterError as error:
            self.emit(Message("warning", f"{otherwise} ({error.message})"))


def _failure(ended: Ended, said: GazamiError | None) -> GazamiError:
    """What the executor said, unless it was ended by somebody else; with its exit status either way."""
    if ended.reason or said is None:
        why = ended.reason or f"the executor ended with status {ended.exit_code}"
        said = ClusterError(f"the build's pod failed: {why}", hint=ended.hint or "what it said last is above")
    said.exit_code = ended.exit_code or 1
    return said
