"""One frozen dataclass for each instruction, and the tables of flags of COPY, ADD and RUN.

The parser makes instructions with texts as they are written; :mod:`gazami.plan.expand` makes the same with variables expanded.
"""

from __future__ import annotations

from typing import TypeAlias

from gazami.dockerfile.flags import flag
from gazami.dockerfile.heredoc import Heredoc
from gazami.errors import Span
from gazami.values import fast_dataclass, field


@fast_dataclass(frozen=True, slots=True)
class Written:
    """How an instruction is written: its physical lines, its keyword as typed, its text (one logical line without
    here-documents), the comments above, and the numbers of the blank lines inside."""

    span: Span
    keyword: str
    text: str
    comments: tuple[str, ...] = ()
    empty_lines: tuple[int, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line: ``shell`` text, or the words of the exec form. Here-documents belong to the shell form only."""

    words: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class From:
    written: Written
    image: str
    platform: str = ""
    name: str = ""
    name_written: str = ""
    as_keyword: str = ""


@fast_dataclass(frozen=True, slots=True)
class Arg:
    """``pairs``: name and default, None where there is none."""

    written: Written
    pairs: tuple[tuple[str, str | None], ...]


@fast_dataclass(frozen=True, slots=True)
class Env:
    written: Written
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@fast_dataclass(frozen=True, slots=True)
class Label:
    written: Written
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False


@fast_dataclass(frozen=True, slots=True)
class RunFlags:
    """``mounts`` are read by :mod:`gazami.dockerfile.mounts` once they are expanded."""

    mounts: tuple[str, ...] = flag("mount", "strings", ())
    network: str = flag("network", "string", "")
    security: str = flag("security", "string", "")
    devices: tuple[str, ...] = flag("device", "strings", ())


@fast_dataclass(frozen=True, slots=True)
class CopyFlags:
    """The flags of COPY and ADD. Their order is that of the inputs of a cache key: a new row goes to the end."""

    from_: str = flag("from", "string", "", of="COPY", keyed=False)
    chown: str = flag("chown", "string", "", expanded=True, shown=2)
    chmod: str = flag("chmod", "string", "", expanded=True, shown=3)
    link: bool = flag("link", "bool", False)
    parents: bool = flag("parents", "bool", False, of="COPY", shown=1)
    exclude: tuple[str, ...] = flag("exclude", "strings", ())
    checksum: str = flag("checksum", "string", "", of="ADD", expanded=True)
    keep_git_dir: bool | None = flag("keep-git-dir", "bool", None, of="ADD")
    unpack: bool | None = flag("unpack", "bool", None, of="ADD")


@fast_dataclass(frozen=True, slots=True)
class Run:
    written: Written
    command: CommandLine
    flags: RunFlags = field(default_factory=RunFlags)


@fast_dataclass(frozen=True, slots=True)
class Copy:
    written: Written
    sources: tuple[str, ...]
    dest: str
    flags: CopyFlags = field(default_factory=CopyFlags)
    heredocs: tuple[Heredoc, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class Add:
    written: Written
    sources: tuple[str, ...]
    dest: str
    flags: CopyFlags = field(default_factory=CopyFlags)
    heredocs: tuple[Heredoc, ...] = ()


@fast_dataclass(frozen=True, slots=True)
class Workdir:
    written: Written
    path: str


@fast_dataclass(frozen=True, slots=True)
class User:
    written: Written
    user: str


@fast_dataclass(frozen=True, slots=True)
class Expose:
    written: Written
    ports: tuple[str, ...]


@fast_dataclass(frozen=True, slots=True)
class Volume:
    written: Written
    paths: tuple[str, ...]


@fast_dataclass(frozen=True, slots=True)
class Cmd:
    written: Written
    command: CommandLine


@fast_dataclass(frozen=True, slots=True)
class Entrypoint:
    written: Written
    command: CommandLine


@fast_dataclass(frozen=True, slots=True)
class Shell:
    written: Written
    words: tuple[str, ...]


@fast_dataclass(frozen=True, slots=True)
class StopSignal:
    written: Written
    signal: str


@fast_dataclass(frozen=True, slots=True)
class Healthcheck:
    """``test`` is as the config stores it (``NONE``, ``CMD …``, ``CMD-SHELL text``); durations in nanoseconds."""

    written: Written
    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@fast_dataclass(frozen=True, slots=True)
class Onbuild:
    """``trigger`` is the text that the config stores, with its here-documents."""

    written: Written
    trigger: str
    inner: Instruction


@fast_dataclass(frozen=True, slots=True)
class Maintainer:
    written: Written
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


@fast_dataclass(frozen=True, slots=True)
class Dockerfile:
    """A parsed file: what stands before the first FROM and after it, in order."""

    instructions: tuple[Instruction, ...]
    escape: str = "\\"
    directives: tuple[tuple[str, str, int], ...] = field(default=())
