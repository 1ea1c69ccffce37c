"""Layers to files and files to layers, as requests that cross to the process in a sandbox's namespaces that does the work.

``input_fd`` and ``output_fd`` are the descriptors of the tar stream that a request reads or writes. The modules that do
the work are imported there, not here. Standard library only.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Literal

from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True)
class UnpackReport:
    """How many files could not be given what their layer says: owners that the namespace cannot express, extended attributes that
    the file system or the namespace refuses. ``taken`` are the bytes of the tar that were read: a pipe may hold more, which nobody
    would miss."""

    owners: int = 0
    attributes: int = 0
    taken: int = 0


@fast_dataclass(frozen=True, slots=True)
class UnpackRequest:
    """Unpack the layer on ``input_fd`` into ``directory``. ``lowers`` (topmost first) are the layers below, of overlay roots only.
    ``records_owners``: owners are kept as attributes, since the namespace has one id. ``devices``: device nodes are made; without
    it nothing would keep a command from opening them."""

    directory: str
    lowers: tuple[str, ...] = ()
    overlay: bool = False
    userxattr: bool = False
    records_owners: bool = False
    devices: bool = False

    @property
    def opaque_attribute(self) -> str:
        return "user.overlay.opaque" if self.userxattr else "trusted.overlay.opaque"

    def run(self, input_fd: int | None, output_fd: int | None) -> UnpackReport:
        assert input_fd is not None
        report: UnpackReport = _function("gazami.rootfs.unpack", "unpack")(self, input_fd)
        return report


@fast_dataclass(frozen=True, slots=True)
class Owners:
    """Who owns files where the file system cannot say it (:mod:`gazami.layer.recorded_owner`): ``by_path``, ``(path, uid, gid)``,
    else what their attribute says, else ``default``. ``lowers`` are the directories of the layers below, topmost first."""

    default: tuple[int, int]
    by_path: tuple[tuple[str, int, int], ...] = ()
    lowers: tuple[str, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class UpperRequest:
    """Write the overlay upper directory ``directory`` as a layer to ``output_fd``. Paths have no leading slash: ``omit`` do not
    belong in it, nor does anything at or below ``ignore``. ``newest`` is the latest time that a member may have
    (``--reproducible``)."""

    directory: str
    omit: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    newest: int | None = None
    owners: Owners | None = None

    def run(self, input_fd: int | None, output_fd: int | None) -> None:
        assert output_fd is not None
        _function("gazami.rootfs.snapshot", "upper")(self, output_fd)


@fast_dataclass(frozen=True, slots=True)
class ScanRequest:
    """Compare the plain root ``directory`` with the list in the file ``listing`` and write the difference as a layer; see
    :class:`UpperRequest`. Without ``output_fd`` only the list is written anew. ``touched`` are paths whose ctime gazami itself
    changed."""

    directory: str
    listing: str
    mode: Literal["full", "redo", "time"] = "full"
    omit: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    newest: int | None = None
    owners: Owners | None = None

    def run(self, input_fd: int | None, output_fd: int | None) -> None:
        _function("gazami.rootfs.snapshot", "scan")(self, output_fd)


def _function(module: str, name: str) -> Callable[..., Any]:
    """What does a request's work. It imports the requests, so it is found by its name."""
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
