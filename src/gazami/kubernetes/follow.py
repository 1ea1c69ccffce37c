"""Run one build as a Job: create it, wait for its pod, follow its log to the end, return its exit code; delete it on cancel.

The API server is asked about once a second until the pod runs. A thread of its own reads the log: a read may block while the build
is silent, and Ctrl-C must still work.
"""

from __future__ import annotations

import contextlib
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from gazami.cancel import Cancel
from gazami.errors import Cancelled, ClusterError, GazamiError
from gazami.events import Emit, Message
from gazami.kubernetes.job import CONTAINER, Build, PodOptions, job_manifest, secret_manifest
from gazami.kubernetes.log import Position
from gazami.kubernetes.pod import Ended, Hopeless, Running, State, Waiting, state_of, state_without_pod
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

    def create_job(self, manifest: dict[str, Any]) -> str: ...
    def create_secret(self, manifest: dict[str, Any]) -> None: ...
    def job(self, name: str) -> dict[str, Any] | None: ...
    def pods(self, job: str) -> list[dict[str, Any]]: ...
    def events(self, name: str) -> list[dict[str, Any]]: ...
    def log(self, pod: str, container: str) -> Iterator[str]: ...
    def delete_job(self, name: str) -> None: ...
    def delete_secret(self, name: str) -> None: ...


def create(build: Build, options: PodOptions, cluster: Api) -> None:
    """Make the Job, then the Secret that it owns: the pod waits for it. Raises :class:`ClusterError`, :class:`UsageError`."""
    uid = cluster.create_job(job_manifest(build, options))
    if not build.files:
        return
    try:
        cluster.create_secret(secret_manifest(build, uid))
    except GazamiError:
        with contextlib.suppress(ClusterError):
            cluster.delete_job(build.name)
        raise


@fast_dataclass(slots=True)
class Follower:
    """``take`` gets the lines of the log that are new, in order; ``start_within`` is in seconds."""

    build: Build
    cluster: Api
    take: Callable[[str], None]
    position: Position
    emit: Emit
    cancel: Cancel
    start_within: float

    def run(self) -> Ended:
        """How the container ended. Raises :class:`ClusterError` when it never ran, :class:`Cancelled`."""
        state, pod = self._started()
        if not isinstance(state, Ended) or pod:
            self._log_of(pod)
            state = self._end_of(pod)
        return state

    # -- before the pod runs --------------------------------------------------------------------------------------

    def _started(self) -> tuple[State, str]:
        """The state and the pod's name once there is a log, or once it is over without one."""
        until, said, pause = time.monotonic() + self.start_within, "", _FIRST
        while True:
            state, pod = self._state()
            match state:
                case Running() | Ended():
                    return state, pod
                case Hopeless(why, hint):
                    raise ClusterError(f"the pod of the Job {self.build.name} cannot start: {why}", hint=hint or None)
                case Waiting(why):
                    if why and why != said:
                        self.emit(Message("info", f"Waiting for the pod: {why}"))
                        said = why
            if time.monotonic() > until:
                raise ClusterError(
                    f"the pod of the Job {self.build.name} did not start within {self.start_within:.0f} s"
                    + (f": {said}" if said else ""),
                    hint="allow more time with --start-timeout",
                )
            self._pause(pause)
            pause = min(_POLL, 1.5 * pause)

    def _state(self) -> tuple[State, str]:
        pods = self.cluster.pods(self.build.name)
        if pods:
            name = str(pods[-1]["metadata"]["name"])
            state = state_of(pods[-1])
            if isinstance(state, Waiting) and not state.why:  # the events are asked for only where the status is silent
                state = state_of(pods[-1], self.cluster.events(name))
            return state, name
        job = self.cluster.job(self.build.name)
        if job is None:
            raise ClusterError(f"the Job {self.build.name} was deleted from outside")
        return state_without_pod(job, self.cluster.events(self.build.name)), ""

    # -- the log --------------------------------------------------------------------------------------------------

    def _log_of(self, pod: str) -> None:
        """Read until a reading that began after the container's end has ended: then nothing is missing."""
        failures = 0
        while True:
            over = isinstance(self._known(pod), Ended)
            whole = self._read_once(pod, final=over)
            if over and (whole or failures >= 5):
                break
            failures = 0 if whole else failures + 1
            self._pause(min(_POLL, 0.1 * 2**failures))
        if self.position.lost:
            self.emit(Message("warning", f"{self.position.lost} log records were lost before they could be read"))

    def _read_once(self, pod: str, *, final: bool) -> bool:
        """Whether the stream came to its own end."""
        lines: queue.Queue[str | BaseException | None] = queue.Queue(_LINES)
        Worker("log", lambda: _read(self.cluster, pod, lines))
        self.position.begin()
        while True:
            try:
                item = lines.get(timeout=0.2)
            except queue.Empty:
                self.cancel.check()
                continue
            match item:
                case None:
                    return True
                case str():
                    self.cancel.check()
                    if (text := self.position.take(item, final=final)) is not None:
                        self.take(text)
                case GazamiError():
                    raise item
                case _:
                    return False

    def _end_of(self, pod: str) -> Ended:
        until = time.monotonic() + _UNKNOWN
        while True:
            state = self._known(pod)
            if isinstance(state, Ended):
                return state
            if time.monotonic() > until:
                raise ClusterError(f"the log of the pod {pod} ended, but the cluster reports no exit status")
            self._pause()

    def _known(self, pod: str) -> State:
        found = [each for each in self.cluster.pods(self.build.name) if each["metadata"]["name"] == pod]
        if not found:
            job = self.cluster.job(self.build.name)
            ended = state_without_pod(job, ()) if job else None
            if isinstance(ended, Ended):  # the controller removes the pods of a Job that took too long
                return ended
            raise ClusterError(f"the pod {pod} was deleted while it ran", hint="check for a drained node or a deleted Job")
        return state_of(found[0])

    def _pause(self, seconds: float = _POLL) -> None:
        if self.cancel.wait(seconds):
            raise Cancelled("cancelled")


def _read(cluster: Api, pod: str, lines: queue.Queue[str | BaseException | None]) -> None:
    """Put the log's lines, then None for its end or what went wrong. The queue may never be read on: the thread is a daemon."""
    try:
        for line in cluster.log(pod, CONTAINER):
            lines.put(line)
        lines.put(None)
    except BaseException as cause:
        lines.put(cause)
