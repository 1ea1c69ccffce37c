"""The ``gazami`` program. Only what ``--version`` needs is imported at the top."""

from __future__ import annotations

import atexit
import gc
import os
import sys

TYPE_CHECKING = False  # what type checkers take for typing's, whose import is half of --version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn


def main(argv: list[str] | None = None) -> NoReturn:
    """Entry point of the console script and of ``python -m gazami``; ``argv`` is without the program's name."""
    ended(lambda: run(sys.argv[1:] if argv is None else argv, os.environ))


def ended(work: Callable[[], int]) -> NoReturn:
    """Do a program's work and leave with its status.

    The interpreter ends its threads and calls what is to be called at the end; then the process is left as it is. To take some
    hundred modules apart, object by object, takes longer than a cached build's work, and the kernel frees memory in one go.
    """
    gc.set_threshold(50_000, 20, 100)  # nearly everything lives as long as the build: looking for cycles is in vain
    status = 1
    atexit.register(lambda: _leave(status))  # the first to be registered is the last to be called
    try:
        status = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 1
    sys.exit(status)


def run(argv: list[str], environ: Mapping[str, str]) -> int:
    """Do what ``argv`` says; returns the exit status."""
    if argv in (["--version"], ["version"]):  # sooner than its row would
        from gazami import __version__

        sys.stdout.write(f"gazami {__version__}\n")
        return 0
    from gazami.cli.commands.rows import called, command
    from gazami.cli.supervise import supervise

    name, words = called(["help", *argv[1:]] if not argv or argv[0] in ("--help", "-h") else argv)
    return supervise(command(name), words, environ) if name else _unknown(words[0])


def _leave(status: int) -> None:
    """End the process once all is written. Where that fails, the interpreter goes on, and says so in its own way."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _unknown(word: str) -> int:
    from gazami.cli.commands.rows import ROWS
    from gazami.dockerfile.suggest import nearest

    close = nearest(word, ROWS)
    what, hint = f"unknown command {word!r}", f"did you mean {close}?" if close else ""
    if word.startswith("-"):
        what, hint = f"unknown flag: {word}", f"flags come after the command: gazami build {word}"
    sys.stderr.write(f"Error: {what}\n" + (f"hint: {hint}\n" if hint else "") + "Run 'gazami --help' for usage.\n")
    return 1


if __name__ == "__main__":
    main()
