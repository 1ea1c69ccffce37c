"""An exception that nobody meant to raise → an error that a user can report, or act on where the machine is to blame."""

from __future__ import annotations

import errno
from pathlib import PurePath

from gazami import __version__
from gazami.errors import GazamiError, HostError, SpaceError

_FRAMES = 4


class Bug(GazamiError):
    """Our fault."""


def as_gazami_error(error: Exception, *, verbose: bool) -> GazamiError:
    """``verbose`` adds the whole traceback. Errors of the system that explain themselves are not called bugs."""
    if isinstance(error, OSError) and (known := _host_error(error, verbose=verbose)):
        return known
    if isinstance(error, MemoryError):
        return HostError(
            "out of memory", hint="give the build more memory, or put --state-dir on a disk instead of tmpfs"
        )
    import platform

    where = _whole(error) if verbose else _frames(error)
    version = f"gazami {__version__}, Python {platform.python_version()}"
    return Bug(
        f"this is a bug in gazami ({version}): {type(error).__name__}: {error}\n{where}",
        hint=None if verbose else "please report it with the output of the same command and --verbosity=debug",
    )


def _host_error(error: OSError, *, verbose: bool) -> HostError | None:
    place = f": {error.filename}" if error.filename else ""
    message = f"{error.strerror}{place}" + (f"\n{_whole(error)}" if verbose else "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SpaceError(message, hint="free some space, or choose another place with --state-dir")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HostError(message, hint="this user may not do that here; choose another place with --state-dir")
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return HostError(message, hint="raise the limit of open files (ulimit -n)")
    return None


def _frames(error: Exception) -> str:
    """The innermost frames, as ``builder/stage.py:41 in run``."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return "\n".join(f"  {'/'.join(PurePath(at.filename).parts[-2:])}:{at.lineno} in {at.name}" for at in frames)


def _whole(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()
