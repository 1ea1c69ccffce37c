"""Follow the Job of one build: wait for its pod, read its log to the end, find out how it ended.

The API server is asked about once a second until the pod runs. A thread of its own reads the log: a read may block while the build
is silent, and Ctrl-C must still work.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from gazami.cancel import Cancel
from gazami.errors import Cancelled, ClusterError, GazamiError
from gazami.events import Emit, Message
from gazami.kubernetes.job import CONTAINER
from gazami.kubernetes.log import Position
from gazami.kubernetes.pod import TAKEN, Ended, Hopeless, Running, State, Waiting, completed, state_of, state_without_pod
from gazami.kubernetes.reasons import same
from gazami.kubernetes.taken import SIGNALLED, taken
from gazami.kubernetes.watch import Watch
from gazami.values import fast_dataclass
from gazami.worker import Worker

_FIRST, _POLL = 0.2, 1.0
"""Seconds between two questions about a pod that does not run yet: at first, and later on."""

_LINES = 1024
"""Lines between the thread that reads and the one that shows."""

_UNKNOWN = 30.0
"""Seconds that a container may be over without the pod saying how it ended."""


class Api(Protocol):
    """What is needed of :class:`gazami.kubernetes.cluster.Cluster`."""

    namespace: str

    def job(self, name: str) -> dict[str, Any] | None: ...
    def pods(self, job: str) -> list[dict[str, Any]]: ...
    def glance(self, job: str) -> list[dict[str, Any]]: ...
    def events(self, name: str) -> list[dict[str, Any]]: ...
    def log(self, pod: str, container: str) -> Iterator[str]: ...


class Unreachable(ClusterError):
    """No answer of the API server, or one that may be another the next time."""


class Left(ClusterError):
    """The Job could not be followed to its end: it may be well, and goes on."""


@fast_dataclass(slots=True)
class Follower:
    """``take`` gets the lines of the log that are new, in order; ``start_within`` is in seconds; ``alarmed`` is whether they say
    that the executor is being stopped."""

    job: str
    cluster: Api
    take: Callable[[str], None]
    alarmed: Callable[[], bool]
    position: Position
    emit: Emit
    cancel: Cancel
    start_within: float

    def run(self) -> Ended:
        """How the container ended. Raises :class:`ClusterError` when it never ran, :class:`Left`, :class:`Cancelled`."""
        try:
            state, pod = self._started()
            if not pod:
                assert isinstance(state, Ended)
                return state
            try:
                with Watch(lambda: _of(pod, self.cluster.glance(self.job))) as watch:
                    self._log_of(pod, watch)
                    return self._end_of(pod, watch)
            except (Unreachable, Left, Cancelled):
                raise
            except ClusterError as error:
                raise self._left(error) from None
        except Unreachable as error:
            self.cancel.check()
            raise self._left(error) from None

    def _left(self, error: ClusterError) -> Left:
        return Left(
            f"the Job {self.job} is left to itself, its build may go on: {error.message}",
            hint=f"follow it with gazami submit --kubernetes --namespace {self.cluster.namespace} --attach {self.job}, or "
            f"kubectl logs --namespace {self.cluster.namespace} --follow job/{self.job}",
        )

    # -- before the pod runs --------------------------------------------------------------------------------------

    def _started(self) -> tuple[State, str]:
        """The state and the pod's name once there is a log, or once it is over without one."""
        until, last, said, pause = time.monotonic() + self.start_within, "", {""}, _FIRST
        while True:
            state, pod = self._state()
            match state:
                case Running() | Ended():
                    return state, pod
                case Hopeless(why, hint):
                    raise ClusterError(f"the pod of the Job {self.job} cannot start: {why}", hint=hint or None)
                case Waiting(why, queued):
                    if queued:
                        until = time.monotonic() + self.start_within
                    last = why or last
                    if same(why) not in said:
                        said.add(same(why))
                        self.emit(Message("info", f"Waiting for the pod: {why}"))
            if time.monotonic() > until:
                raise ClusterError(
                    f"the pod of the Job {self.job} did not start within {self.start_within:.0f} s" + (f": {last}" if last else ""),
                    hint="allow more time with --start-timeout",
                )
            self._pause(pause)
            pause = min(_POLL, 1.5 * pause)

    def _state(self) -> tuple[State, str]:
        pods = self.cluster.pods(self.job)
        if pods:
            name = str(pods[-1]["metadata"]["name"])
            state = state_of(pods[-1], own=self.job)
            if isinstance(state, Waiting) and not state.why:  # the events are asked for only where the status is silent
                state = state_of(pods[-1], self.cluster.events(name), self.job)
            return state, name
        job = self.cluster.job(self.job)
        if job is None:
            return Ended(TAKEN, f"the Job {self.job} was deleted before its pod ran", "start it again"), ""
        return state_without_pod(job, self.cluster.events(self.job)), ""

    # -- the log --------------------------------------------------------------------------------------------------

    def _log_of(self, pod: str, watch: Watch) -> None:
        """Read until a reading that began after the container's end has ended: then nothing is missing."""
        failures = 0
        while True:
            over = isinstance(self._known(pod, watch), Ended)
            whole = self._read_once(pod, watch, final=over)
            if over and (whole or failures >= 5):
                break
            failures = 0 if whole else failures + 1
            self._pause(min(_POLL, 0.1 * 2**failures))
        if self.position.lost:
            self.emit(Message("warning", f"{self.position.lost} log records were lost before they could be read"))

    def _read_once(self, pod: str, watch: Watch, *, final: bool) -> bool:
        """Whether the stream came to its own end."""
        lines: queue.Queue[str | BaseException | None] = queue.Queue(_LINES)
        Worker("log", lambda: _read(self.cluster, pod, lines))
        self.position.begin()
        alarmed = self.alarmed()
        while True:
            try:
                item = lines.get(timeout=0.2)
            except queue.Empty:
                self.cancel.check()
                if watch.stuck:
                    return True
                continue
            match item:
                case None:
                    return True
                case str():
                    self.cancel.check()
                    if (text := self.position.take(item, final=final)) is not None:
                        self.take(text)
                        if not alarmed and self.alarmed():
                            alarmed = True
                            watch.look_now()
                case GazamiError():
                    raise item
                case _:
                    return False

    def _end_of(self, pod: str, watch: Watch) -> Ended:
        until = time.monotonic() + _UNKNOWN
        while True:
            state = self._known(pod, watch)
            if isinstance(state, Ended):
                return state
            if time.monotonic() > until:
                raise ClusterError(f"the log of the pod {pod} ended, but the cluster reports no exit status")
            self._pause()

    def _known(self, name: str, watch: Watch) -> State:
        pod = _of(name, self.cluster.pods(self.job))
        state: State = Running()
        if pod is not None:
            watch.note(pod)
            state = state_of(pod)
            by_signal = isinstance(state, Ended) and state.exit_code in SIGNALLED and not state.reason
            if not by_signal and not watch.stuck:
                return state
        job = self.cluster.job(self.job)
        if pod is None and job is not None and completed(job):
            return Ended(0)
        return taken(self.job, pod, watch.leaving, job) or state

    def _pause(self, seconds: float = _POLL) -> None:
        if self.cancel.wait(seconds):
            raise Cancelled("cancelled")


def _of(name: str, pods: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    return next((each for each in pods if each["metadata"]["name"] == name), None)


def _read(cluster: Api, pod: str, lines: queue.Queue[str | BaseException | None]) -> None:
    """Put the log's lines, then None for its end or what went wrong. The queue may never be read on: the thread is a daemon."""
    try:
        for line in cluster.log(pod, CONTAINER):
            lines.put(line)
        lines.put(None)
    except BaseException as cause:
        lines.put(cause)
