"""The key of a step: a digest over everything that can change its result, and over nothing else. Pure.

A key is SHA-256 over named inputs, each framed by its length, so that no two lists of inputs have the same encoding. Two
kinds of keys differ in how they name the files below a step:

* by definition: the key of the step before, down to the layers of the base. Known before anything runs.
* by content: the diff ids of the layers below, and the blobs of those that are a base's. Known once they exist; it lets a step
  hit although an earlier one was changed and made the same files again.

For the first step of a stage both are the same. Left out because they change no file: labels and other metadata, times of context
files, values of secrets, proxy settings that no ARG declares, and what cache mounts hold.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import NewType, TypeAlias

from gazami.dockerfile.flags import flags_of
from gazami.dockerfile.instructions import CopyFlags
from gazami.dockerfile.mounts import Mount
from gazami.image.platform import Platform
from gazami.plan.steps import CopyStep, RunMount, RunStep, WorkdirStep
from gazami.values import fast_dataclass

Key = NewType("Key", str)
"""64 hexadecimal digits: also a valid tag."""

KeyInputs: TypeAlias = tuple[tuple[str, str], ...]
"""``(name, value)`` in order. Names are for people, too: an explanation of a miss shows them."""

FROM_STAGE = "the stage it takes files from"
"""The name of an input."""

_VERSION = "gazami cache 2"
_VARIABLE = "variable "
_INLINE = 2000
"""Longer values are recorded by their digest."""

CacheableStep: TypeAlias = RunStep | CopyStep | WorkdirStep


@fast_dataclass(frozen=True, slots=True)
class RunSettings:
    """Options of a whole build that a RUN can notice."""

    platform: Platform
    hosts: tuple[tuple[str, str], ...] = ()
    shm_size: int = 64 << 20
    ulimits: tuple[tuple[str, int, int], ...] = ()
    ignore_paths: tuple[str, ...] = ()
    snapshot_mode: str = "full"
    proxies: frozenset[tuple[str, str]] = frozenset()
    """Variables that proxy settings brought into the environment."""
    network: str = "default"
    """That of steps that name none."""


def key_of(inputs: KeyInputs) -> Key:
    """The digest of inputs. Surrogate escapes stand for the bytes they came from."""
    hasher = hashlib.sha256(_framed(_VERSION))
    for name, value in inputs:
        hasher.update(_framed(name))
        hasher.update(_framed(value))
    return Key(hasher.hexdigest())


def _framed(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return len(data).to_bytes(8, "big") + data


# -- what lies below --------------------------------------------------------------------------------------------------


def files_of(layers: Iterable[str]) -> tuple[str, str]:
    """The input that names files by the digests of the layers they are in; the empty list is ``scratch``."""
    return "the layers below", _digest([*layers])


def after(key: Key) -> tuple[str, str]:
    """The input that names files as what a step left."""
    return "the steps before", key


# -- steps ------------------------------------------------------------------------------------------------------------


def step_inputs(step: CacheableStep, below: tuple[str, str], contents: KeyInputs, settings: RunSettings, form: str) -> KeyInputs:
    """Everything that decides what a step makes. ``contents`` names the files that it copies or mounts, in order."""
    match step:
        case RunStep():
            own = _run_inputs(step, settings)
        case CopyStep():
            own = _copy_inputs(step)
        case WorkdirStep():
            own = (("instruction", "WORKDIR"), ("path", step.path), ("user", step.user))
    return (below, *own, *contents, ("form", form))


def _run_inputs(step: RunStep, settings: RunSettings) -> KeyInputs:
    own = {name for name, _ in step.common.config.env}
    hidden = {pair for pair in settings.proxies if pair[0] not in own}
    script = () if step.script is None else (("heredoc", _text([step.script.name, step.script.content])),)
    unusual = (
        ("hosts", settings.hosts, ()),
        ("shm-size", settings.shm_size, 64 << 20),
        ("ulimits", settings.ulimits, ()),
        ("ignore-path", settings.ignore_paths, ()),
        ("snapshot-mode", settings.snapshot_mode, "full"),
    )
    return (
        ("instruction", "RUN"),
        ("command", _text(step.argv)),
        *((f"{_VARIABLE}{name}", value) for name, value in sorted(step.env) if (name, value) not in hidden),
        ("directory", step.cwd),
        ("user", step.user),
        ("network", settings.network if step.network == "default" else step.network),
        *script,
        *((f"mount {mount.mount.target or mount.mount.id}", _mount(mount)) for mount in step.mounts),
        *((name, _text(value)) for name, value, default in unusual if value != default),
        ("platform", str(settings.platform)),
    )


def _mount(wanted: RunMount) -> str:
    """A mount's own options. The content of its files is an input of its own."""
    mount: Mount = wanted.mount
    fields = {name: getattr(mount, name) for name in mount.__slots__ if name != "from_"}
    return json.dumps({name: value for name, value in fields.items() if value not in (None, "", False)}, default=str)


def _copy_inputs(step: CopyStep) -> KeyInputs:
    flags = ((row, getattr(step.flags, row.name)) for row in flags_of(CopyFlags) if row.keyed)
    return (
        ("instruction", "ADD" if step.add else "COPY"),
        ("sources", _text(step.sources)),
        ("destination", step.dest),
        *((row.spelling, _text(value)) for row, value in flags if value != row.default),
        *((f"heredoc {document.name}", document.content) for document in step.inline),
    )


# -- records ----------------------------------------------------------------------------------------------------------


def record(inputs: KeyInputs) -> KeyInputs:
    """Inputs as an entry keeps them to explain a miss. Long values become digests, and variables a few digits of one: enough to see
    a change, too few to confirm a guessed secret."""
    return tuple((name, _recorded(name, value)) for name, value in inputs)


def _recorded(name: str, value: str) -> str:
    if name.startswith(_VARIABLE):
        return f"…{_digest(value)[-6:]}"
    return value if len(value) <= _INLINE else _digest(value)


def differences(old: KeyInputs, new: KeyInputs) -> tuple[tuple[str, str | None, str | None], ...]:
    """``(name, old value, new value)`` of each input that differs; None where there is none."""
    before, now = dict(old), dict(new)
    names = dict.fromkeys((*before, *now))
    return tuple((name, before.get(name), now.get(name)) for name in names if before.get(name) != now.get(name))


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, default=list)


def _digest(value: object) -> str:
    text = value if isinstance(value, str) else _text(value)
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
