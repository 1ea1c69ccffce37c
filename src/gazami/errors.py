"""Who must act, and where in the text: the error taxonomy and the exit codes.

Every error that a user can meet is a :class:`GazamiError`. It says what happened, where (a Dockerfile span or a
redacted URL) and, in ``hint``, what to do next. Anything else that escapes is a bug of ours and is reported as one.
"""

from __future__ import annotations

from gazami.values import fast_dataclass


@fast_dataclass(frozen=True, slots=True, order=True)
class Span:
    """Physical lines of a source text, first to last, 1-based and inclusive."""

    start: int
    end: int

    def cover(self, other: Span) -> Span:
        return Span(min(self.start, other.start), max(self.end, other.end))


@fast_dataclass(frozen=True, slots=True)
class Source:
    """A named text that spans point into: a Dockerfile, an ignore file, an ONBUILD trigger."""

    name: str
    text: str


class GazamiError(Exception):
    """Base of every error that gazami raises on purpose.

    ``exit_code`` is the status of the process when the error ends it. ``span`` and ``source`` locate the error in a
    text when it has a place there.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None, span: Span | None = None, source: Source | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.span = span
        self.source = source

    def at(self, span: Span | None, source: Source | None = None) -> GazamiError:
        """Fill in the place where it is not known yet; returns self, for ``raise error.at(span)``."""
        if self.span is None:
            self.span = span
        if self.source is None:
            self.source = source
        return self

    def __str__(self) -> str:
        return self.message


class UserError(GazamiError):
    """The user's input has to change: flags, Dockerfile, context or the command that a RUN runs."""


class SeveralErrors(GazamiError):
    """What keeps a build from beginning, all of it at once, in the order of the Dockerfile: two errors at least."""

    def __init__(self, errors: tuple[GazamiError, ...]) -> None:
        super().__init__(f"{len(errors)} problems were found, nothing was built")
        self.errors = errors


class UsageError(UserError):
    """A flag, argument or environment variable that cannot be used as given."""


class DockerfileError(UserError):
    """The Dockerfile (or an ignore file) is wrong; ``span`` says where."""


class ContextError(UserError):
    """The build context, or a file that an instruction needs from it, is missing or unreadable."""


class CommandFailed(UserError):
    """A RUN command ended with a status other than 0; that status is the exit code of the build."""

    def __init__(self, message: str, *, exit_code: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class NotCached(UserError):
    """``--cached-only``: a step would have to be done. Its status is its own, so that a script can tell."""

    exit_code = 3


class TagExists(UserError):
    """``--if-exists=fail``: a destination is there already."""


class ArchiveError(UserError):
    """A tar archive or image layer is truncated, corrupt, or names a path that would leave its root."""


class RefusedArchive(ArchiveError):
    """An archive that can be read and is refused: it names a path that would leave its root, or asks for more than it may."""


class HostError(GazamiError):
    """The machine lacks something: a permission, space, a system call, a program."""


class SandboxError(HostError):
    """No sandbox can be had, or one broke; the message names the capability that is missing."""


class SpaceError(HostError):
    """A file system is full or a quota is reached."""


class RegistryError(GazamiError):
    """A registry said no, or could not be spoken to. ``url`` is redacted."""

    def __init__(self, message: str, *, url: str | None = None, status: int | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.url = url
        self.status = status


class AuthenticationError(RegistryError):
    """401 or 403 after every credential source was asked; the message lists them."""


class NotFoundError(RegistryError):
    """The repository, manifest or blob does not exist (404)."""


class TransportError(RegistryError):
    """Connection refused, reset, timed out or TLS failure, after all attempts."""


class IntegrityError(RegistryError):
    """Bytes that do not have the digest or the size that was promised. Never retried into silence."""


class ClusterError(GazamiError):
    """A Kubernetes cluster said no, could not be spoken to, or could not run a build's pod."""


class Cancelled(GazamiError):
    """Another part of the build failed first, or the user interrupted it (128 + SIGINT)."""

    exit_code = 130
