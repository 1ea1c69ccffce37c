"""``gazami version``."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gazami import __version__
from gazami.cli.command import Command, no_positionals
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.option import Table


def _version(flags: Flags, environ: Mapping[str, str]) -> int:
    no_positionals(flags)
    sys.stdout.write(f"gazami {__version__}\n")
    return 0


COMMAND = Command("version", "Print the version.\n\nUsage:\n  gazami version\n", Table(()), _version)
