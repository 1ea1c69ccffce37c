"""Members of layers that are only to be listed: each large layer is read by a process of its own, several at the same time."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import gazami
from gazami.builder.files.begun import Begun
from gazami.builder.files.pipes import pipe
from gazami.errors import ArchiveError, HostError, IntegrityError
from gazami.layer.entry import Entry
from gazami.layer.listing import HASH, TRUST, members_of, read_frames
from gazami.rootfs.owners import ACCOUNT_FILES, MAX_ACCOUNTS
from gazami.values import fast_dataclass, field
from gazami.worker import Worker

if TYPE_CHECKING:
    from gazami.builder.files.blob_files import BlobFiles
    from gazami.image.model import Layer

_KILLED = "something killed it, most often for lack of memory"


@fast_dataclass(slots=True)
class ListedLayers:
    """Used by several threads. ``blobs`` is where the bytes come from; each layer is listed once for each time that it is asked
    for."""

    blobs: BlobFiles
    _begun: Begun = field(default_factory=Begun)

    def ahead(self, layers: Iterable[tuple[Layer, bool]]) -> None:
        """Begin to list layers that will be asked for soon, each with whether its diff id is to be checked."""
        for layer, checked in layers:
            self._begun.begin((layer.name, checked), partial(self._frames, layer, checked=checked))

    def members(self, layer: Layer, *, checked: bool) -> Generator[tuple[Entry, bytes | None]]:
        """A layer's members in order, with the bytes of account files.

        Raises :class:`IntegrityError` when its bytes are not those of its digest or, if that is to be ``checked``, do not have its
        diff id, and :class:`ArchiveError`: at the end of the members, so that none is to be believed before that.
        """
        frames = self._begun.take((layer.name, checked), partial(self._frames, layer, checked=checked))
        ended: list[str] = []
        try:
            yield from members_of(frames, ended.append)
        except (ArchiveError, EOFError) as cause:
            for _ in frames:  # if these are not the bytes that the digest names, that is what is wrong
                pass
            if isinstance(cause, EOFError):
                raise HostError("the process that lists a layer stopped before its end") from None
            raise
        for _ in frames:  # the program had all it needs; the digest is known at the blob's end
            pass
        if checked and ended[0] != layer.diff_id:
            raise IntegrityError(
                f"layer {layer.descriptor.digest} does not unpack to its diff id {layer.diff_id}: it has {ended[0]}"
            )

    def close(self) -> None:
        """Stop what was begun and not asked for."""
        self._begun.close()

    def _frames(self, layer: Layer, *, checked: bool) -> Iterator[bytes]:
        chunks = self.blobs.cancel.checked(self.blobs.chunks(layer))  # a file is read without any other look at the switch
        return _frames(chunks, _command(HASH if checked else TRUST))


def _frames(blob: Iterator[bytes], command: list[str]) -> Iterator[bytes]:
    """What the program writes of a blob. What is wrong with the blob itself comes before what the program has to say."""
    stopped = threading.Event()
    with contextlib.ExitStack() as stack:
        process, feed, listed = _process(command)
        stack.callback(os.close, listed)
        try:
            feeder = Worker("feed", lambda: _feed(blob, feed, stopped))
        except BaseException:  # it would have closed the pipe that the program waits for
            os.close(feed)
            process.kill()
            process.wait()
            raise
        try:
            yield from read_frames(listed)
        except BaseException:
            stopped.set()
            process.kill()
            raise
        finally:
            status = process.wait()
            feeder.join()
        feeder.result()
        if status:
            raise HostError(f"the process that lists a layer ended with status {status}", hint=_KILLED if status < 0 else None)


def _process(command: list[str]) -> tuple[subprocess.Popen[bytes], int, int]:
    """The program, and the descriptors of its input and its output. Raises :class:`HostError` where there is no process or no pipe
    to be had."""
    opened: list[int] = []
    try:
        opened += pipe()
        opened += pipe()
        input_, feed, listed, output = opened
        process = subprocess.Popen(
            command, stdin=input_, stdout=output, stderr=subprocess.DEVNULL, cwd="/", env={}, process_group=0
        )
    except OSError as cause:
        for each in opened:
            os.close(each)
        raise HostError(f"cannot start a process that lists a layer: {cause.strerror}") from cause
    os.close(input_)
    os.close(output)
    return process, feed, listed


def _feed(blob: Iterator[bytes], feed: int, stopped: threading.Event) -> None:
    """Read the whole blob even when the program has had enough, since its digest is known at its end only."""
    taken = True
    try:
        with contextlib.closing(blob) as chunks:  # type: ignore[type-var]
            for chunk in chunks:
                view = memoryview(chunk)
                while view and taken:
                    try:
                        view = view[os.write(feed, view) :]
                    except BrokenPipeError:
                        taken = False
                if stopped.is_set():
                    return
    finally:
        os.close(feed)


def _command(checks: str) -> list[str]:
    """The program with this one's modules, whatever they were found by, and without what its environment says."""
    package = str(Path(gazami.__file__).resolve().parent.parent)
    code = f"import sys; sys.path[:] = {[package, *sys.path]!r}; from gazami.layer.listing import main; main()"
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", code, checks, str(MAX_ACCOUNTS), *ACCOUNT_FILES]
