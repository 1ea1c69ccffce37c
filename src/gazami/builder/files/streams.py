"""Bytes of layers between threads and the sandbox: given to it, and taken from it.

Each has a thread. Its error is raised again when the stream is read or closed; a stream that ended without an error was complete.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gazami.builder.files.pipes import CHUNK, pipe
from gazami.errors import SandboxError
from gazami.rootfs.requests import ScanRequest, UnpackReport, UnpackRequest, UpperRequest
from gazami.values import fast_dataclass
from gazami.worker import Worker

if TYPE_CHECKING:
    from gazami.sandbox.client import Sandbox


_STOPPED = "the process that unpacks a layer stopped before its end"


@fast_dataclass(frozen=True, slots=True)
class SandboxUnpacker:
    """How to unpack one layer: the sandbox whose namespace owns the files, the request, and who wants the report."""

    sandbox: Sandbox
    request: UnpackRequest
    note: Callable[[UnpackReport], None] | None = None

    @contextlib.contextmanager
    def feeding(self) -> Iterator[Callable[[bytes], None]]:
        """Yields a function that takes the tar's chunks; returns when everything is on disk. Raises what the other side raised,
        and :class:`SandboxError` when it stopped before it had all."""
        reader, writer = pipe()
        written = 0

        def work() -> UnpackReport:
            try:
                return self.sandbox.call(self.request, input_fd=reader)
            finally:
                os.close(reader)

        with _closing(reader, writer) as opened:
            worker = Worker("unpack", work)
            opened.remove(reader)  # the thread's from now on

            def write(chunk: bytes) -> None:
                nonlocal written
                written += len(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[os.write(writer, view) :]

            try:
                yield write
            except BrokenPipeError as cause:
                worker.result()  # the other side failed first and says why
                raise SandboxError(_STOPPED) from cause
            finally:
                opened.remove(writer)
                os.close(writer)
                worker.join()
            report = worker.result()
            if report.taken != written:  # the pipe has held the rest
                raise SandboxError(_STOPPED)
            if self.note is not None:
                self.note(report)


@contextlib.contextmanager
def produced(sandbox: Sandbox, request: UpperRequest | ScanRequest) -> Iterator[Iterator[bytes]]:
    """The layer that a request writes in the sandbox's namespace, while it writes them. Raises what it raised: at the end of the
    bytes, and again when the context is left, so that an incomplete one is never used."""
    reader, writer = pipe()

    def work() -> None:
        try:
            sandbox.call(request, output_fd=writer)
        finally:
            os.close(writer)

    with _closing(reader, writer) as opened:
        worker = Worker("produce", work)
        opened.remove(writer)  # the thread's from now on

        def chunks() -> Iterator[bytes]:
            while data := os.read(reader, CHUNK):
                yield data
            worker.result()

        try:
            yield chunks()
        finally:
            opened.remove(reader)
            os.close(reader)
            worker.join()
        worker.result()


@contextlib.contextmanager
def _closing(*descriptors: int) -> Iterator[set[int]]:
    """Closes the descriptors that are still in the set at the end."""
    opened = set(descriptors)
    try:
        yield opened
    finally:
        for each in opened:
            os.close(each)
