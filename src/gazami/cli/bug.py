"""An exception that nobody meant to raise → an error that a user can report, or act on where the machine is to blame."""

from __future__ import annotations

from pathlib import PurePath

from gazami import __version__
from gazami.cli.exhaustion import Places, host_error
from gazami.errors import GazamiError

_FRAMES = 4


class Bug(GazamiError):
    """Our fault."""


def as_gazami_error(error: Exception, *, verbose: bool, places: Places = Places()) -> GazamiError:  # noqa: B008
    """``verbose`` adds the whole traceback. What the machine is the cause of is not called a bug."""
    if (known := host_error(error, places)) is not None:
        if verbose:
            known.message += f"\n{_whole(error)}"
        return known
    import platform

    where = _whole(error) if verbose else _frames(error)
    version = f"gazami {__version__}, Python {platform.python_version()}"
    return Bug(
        f"this is a bug in gazami ({version}): {type(error).__name__}: {error}\n{where}",
        hint=None if verbose else "please report it with the output of the same command and --verbosity=debug",
    )


def _frames(error: Exception) -> str:
    """The innermost frames, as ``builder/stages/root.py:41 in run``."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    return "\n".join(f"  {'/'.join(PurePath(at.filename).parts[-2:])}:{at.lineno} in {at.name}" for at in frames)


def _whole(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error)).rstrip()
