"""``/kaniko/warmer``: kaniko's command line for ``gazami warm``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping


def main(argv: list[str] | None = None) -> NoReturn:
    """Entry point; ``argv`` is without the program's name."""
    from gazami.cli.main import ended

    ended(lambda: run(sys.argv[1:] if argv is None else argv, os.environ))


def run(argv: list[str], environ: Mapping[str, str]) -> int:
    from gazami import __version__
    from gazami.cli.commands.warm import COMMAND
    from gazami.cli.supervise import supervise

    if argv == ["version"]:
        sys.stdout.write(f"Kaniko version :  gazami {__version__}\n")
        return 0
    return supervise(COMMAND, argv, environ)


if __name__ == "__main__":
    main()
