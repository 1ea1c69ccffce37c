"""What crosses the border to the fork server and the probe, as values; :mod:`.protocol` encodes them. Standard library only."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias, TypeVar

from gazami.sandbox.modes import Mode, mode_of
from gazami.values import fast_dataclass

T_co = TypeVar("T_co", covariant=True)


@fast_dataclass(frozen=True, slots=True)
class OverlayRoot:
    """An overlay mount: ``lowers`` topmost first (may be empty), ``upper`` and ``work`` on one file system.

    All are absolute host paths of directories that exist. Any number of lowers; the mount copes with the kernel's limits.
    """

    lowers: tuple[str, ...]
    upper: str
    work: str


@fast_dataclass(frozen=True, slots=True)
class PlainRoot:
    """An ordinary directory that the command changes in place (where overlay does not work)."""

    path: str


Root: TypeAlias = OverlayRoot | PlainRoot


@fast_dataclass(frozen=True, slots=True)
class BindMount:
    """A host file or directory, or a directory of another root, seen at ``target`` (absolute, inside the root).

    ``movable``: where nothing can be mounted, ``source`` may be moved to ``target`` and back instead. It lies on the root's
    file system, no other command uses it meanwhile, and the command may write to it although it is ``readonly``.
    """

    source: str
    target: str
    readonly: bool = True
    movable: bool = False
    beneath: str = ""
    """A directory above ``source`` below which no symbolic link is followed; else only the last component is no link."""


@fast_dataclass(frozen=True, slots=True)
class TmpfsMount:
    """An empty file system in memory; ``size`` in bytes, None for the kernel's default."""

    target: str
    size: int | None = None
    mode: int = 0o1777


@fast_dataclass(frozen=True, slots=True)
class FileMount:
    """A file that exists only while the command runs (a secret, a here-document). Its content never touches the disk: it
    lives on a tmpfs of the step's mount namespace (in the modes without mounts it is a file of the root until the command ends).
    """

    target: str
    content: bytes
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


StepMount: TypeAlias = BindMount | TmpfsMount | FileMount


@fast_dataclass(frozen=True, slots=True)
class RunSpec:
    """One command. ``user`` is the image's USER text (``name[:group]``, ``uid[:gid]``, empty for root), looked up in the
    root's own /etc/passwd and /etc/group. ``env`` is the whole environment (HOME is added from passwd when absent).
    ``cwd`` is an absolute path in the root and is created when missing. ``network`` ``none`` gives only a loopback.
    ``hosts`` are extra ``(address, name)`` lines of /etc/hosts. ``timeout`` is in seconds.
    """

    root: Root
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = ""
    hostname: str = "buildkitsandbox"
    mounts: tuple[StepMount, ...] = ()
    network: Literal["default", "none", "host"] = "default"
    hosts: tuple[tuple[str, str], ...] = ()
    timeout: float | None = None
    shm_size: int = 64 << 20
    """Bytes of /dev/shm."""
    limits: tuple[tuple[str, int, int], ...] = ()
    """``(name, soft, hard)`` of getrlimit(2) without ``RLIMIT_``, lower case (``nofile``); -1 is no limit."""


@fast_dataclass(frozen=True, slots=True)
class TerminalRun:
    """A command whose standard streams are a pseudo terminal, which it controls."""

    spec: RunSpec


@fast_dataclass(frozen=True, slots=True)
class Unrunnable:
    """A file that the command may have started in vain. ``kind`` is a word of the table in ``builder.stages.failed_command``,
    ``what`` the interpreter, loader or machine that it asks for."""

    path: str
    kind: str
    what: str = ""


@fast_dataclass(frozen=True, slots=True)
class RunResult:
    """How the command ended: ``exit_code`` as a shell would say it (128 + signal). ``created`` are the paths (relative to
    the root, parents first) that were made in the root only to mount something on them and that must not be in the layer: they are
    already removed again. A directory made so in which the command left something is not among them. ``leftovers``
    is how many processes were still running and have been killed.
    """

    exit_code: int
    created: tuple[str, ...] = ()
    timed_out: bool = False
    oom_killed: bool = False
    leftovers: int = 0
    touched: tuple[str, ...] = ()
    """Paths relative to a plain root whose ctime is ours: the command has not changed them, preparing the root has."""
    notes: tuple[str, ...] = ()
    """What the user should know about how the command was run."""
    owner: tuple[int, int] = (0, 0)
    """``userns-single``: the uid and gid of files that have no recorded owner, the command's."""
    owners: tuple[tuple[str, int, int], ...] = ()
    """``userns-single``: ``(path, uid, gid)`` of symbolic links and FIFOs that the command chowned."""
    unrunnable: tuple[Unrunnable, ...] = ()
    """Of a command that failed."""
    incomplete: bool = False
    """Files of a volume were written to while the command ran, perhaps by it: then its layer lacks them."""


@fast_dataclass(frozen=True, slots=True)
class Choice:
    """The isolation that was chosen: the ``name`` of its mode and what that can do here. ``overlay``: roots may be
    :class:`OverlayRoot` (one directory a layer); otherwise only :class:`PlainRoot`. ``rejected`` are ``(mode, why not)`` of the
    better modes that do not work here. ``pid_namespace``: the command sees only its own processes. ``ids`` says where a user
    namespace has its ids from. ``folder``, ``keep`` and ``own`` are of modes that share the container's root."""

    name: str
    reason: str
    overlay: bool
    userxattr: bool = False
    rejected: tuple[tuple[str, str], ...] = ()
    pid_namespace: bool = True
    ids: Literal["identity", "subordinate", "single", ""] = ""
    folder: str = ""
    """The directory for what is moved out of the way, on the file system of ``/``, so that roots next to it can be moved there."""
    keep: tuple[str, ...] = ()
    """The names of top-level entries that stay where they are, besides mount points."""
    own: tuple[str, ...] = ()
    """Absolute paths that the builder itself writes to while commands run."""
    device_cgroup: bool = False
    """Without mounts: the container's own control group keeps every process from opening any but the usual devices."""

    @property
    def mode(self) -> Mode:
        return mode_of(self.name)

    @property
    def guards_devices(self) -> bool:
        """Whether device nodes may lie in a root: something keeps commands from opening them."""
        return self.mode.mounts or self.device_cgroup


# -- calls ------------------------------------------------------------------------------------------------------------


class SandboxRequest(Protocol[T_co]):
    """A frozen dataclass that names some work and does it, in a process in the server's namespaces."""

    def run(self, input_fd: int | None, output_fd: int | None) -> T_co:
        """Do the work. The result is a dataclass or None; an error is raised again at the caller's."""
        ...


@fast_dataclass(frozen=True, slots=True)
class Call:
    """A request, and which of its two descriptors come with it."""

    request: SandboxRequest[object]
    has_input: bool
    has_output: bool


@fast_dataclass(frozen=True, slots=True)
class CallResult:
    """None as the ``value`` says only that the work is done, or that the server is in its namespaces."""

    value: object = None


# -- the start --------------------------------------------------------------------------------------------------------


@fast_dataclass(frozen=True, slots=True)
class ServerStart:
    """``preload`` are modules to import, ``hide`` files to take away."""

    choice: Choice
    preload: tuple[str, ...]
    hide: tuple[str, ...]


# -- the probe --------------------------------------------------------------------------------------------------------


@fast_dataclass(frozen=True, slots=True)
class ProbeRequest:
    """Try ``modes`` in this order, unless ``every`` only up to the first that works. The rest is for modes that share the
    container's root; see :class:`.select.Conditions`. ``keep`` are top-level names that stay, ``lasting`` is the state directory,
    ``prefixes`` are where this Python lies."""

    state_dir: str
    modes: tuple[str, ...]
    every: bool
    in_container: bool
    force: bool
    keep: tuple[str, ...]
    lasting: str
    prefixes: tuple[str, ...]


@fast_dataclass(frozen=True, slots=True)
class ProbeResult:
    """One mode: the choice that it would be, or None and why it does not work."""

    mode: str
    choice: Choice | None
    reason: str
