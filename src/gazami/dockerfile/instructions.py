"""One frozen dataclass for each instruction; a flag is a field. Texts are as written, before expansion.

Every instruction has a :class:`Place`: the physical lines, the comments above, the keyword as the user wrote it.
"""

from __future__ import annotations

from typing import TypeAlias

from gazami.dockerfile.heredoc import Heredoc
from gazami.errors import Span
from gazami.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """Where an instruction stands and how it was written (``text``: one logical line, here-documents excluded)."""

    span: Span
    keyword: str
    text: str
    comments: tuple[str, ...] = ()
    empty_continuation: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: ``shell`` text, or the words of the exec form. Here-documents belong to the shell form only."""

    words: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class From:
    place: Place
    image: str
    platform: str = ""
    name: str = ""
    name_written: str = ""
    as_keyword: str = ""


@dataclass(frozen=True, slots=True)
class Arg:
    """``pairs``: name and default, None where there is none."""

    place: Place
    pairs: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Env:
    place: Place
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    place: Place
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """``mounts`` are the values of ``--mount`` as written; :mod:`gazami.dockerfile.mounts` reads them once expanded."""

    place: Place
    command: Command
    mounts: tuple[str, ...] = ()
    network: str = ""
    security: str = ""
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    place: Place
    sources: tuple[str, ...]
    dest: str
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Add:
    """``unpack`` and ``keep_git_dir`` are None when the flag is absent."""

    place: Place
    sources: tuple[str, ...]
    dest: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class Workdir:
    place: Place
    path: str


@dataclass(frozen=True, slots=True)
class User:
    place: Place
    user: str


@dataclass(frozen=True, slots=True)
class Expose:
    place: Place
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Volume:
    place: Place
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cmd:
    place: Place
    command: Command


@dataclass(frozen=True, slots=True)
class Entrypoint:
    place: Place
    command: Command


@dataclass(frozen=True, slots=True)
class Shell:
    place: Place
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopSignal:
    place: Place
    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """``test`` is as the config stores it (``NONE``, ``CMD …``, ``CMD-SHELL text``); durations in nanoseconds."""

    place: Place
    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Onbuild:
    """``trigger`` is the text that the config stores, with its here-documents."""

    place: Place
    trigger: str
    inner: Instruction


@dataclass(frozen=True, slots=True)
class Maintainer:
    place: Place
    name: str


Instruction: TypeAlias = (
    From
    | Arg
    | Env
    | Label
    | Run
    | Copy
    | Add
    | Workdir
    | User
    | Expose
    | Volume
    | Cmd
    | Entrypoint
    | Shell
    | StopSignal
    | Healthcheck
    | Onbuild
    | Maintainer
)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed file: what stands before the first FROM and after it, in order."""

    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    directives: tuple[tuple[str, str, int], ...] = field(default=())
