"""Which modules of an assembled ``/kaniko`` are imported and not there."""

from __future__ import annotations

import importlib.util
import modulefinder
import sys
from contextlib import suppress
from pathlib import Path

NEVER_IMPORTED = {"doctest", "multiprocessing", "ntpath", "plistlib", "statistics"}
"""What the standard library imports for its own tests, for processes of a pool, and on other systems."""


def missing(tree: Path) -> set[str]:
    """What gazami, its dependencies and Python's codecs import, within functions too, and does not find in the folder."""
    library = tree / "lib/python3.11"
    finder = modulefinder.ModuleFinder([str(library), str(library / "lib-dynload"), str(library / "dist-packages")])
    for base in (library / "dist-packages", library):
        for path in sorted((base if base.name == "dist-packages" else library / "encodings").rglob("*.pyc")):
            name = ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
            with suppress(ImportError, AttributeError):  # a package without a file of its own; what is for other systems
                finder.import_hook(name)
    assert "gazami.cli.kaniko.executor" in finder.modules and "encodings.idna" in finder.modules
    lacking = {name for name in finder.badmodules if name.split(".")[0] in sys.stdlib_module_names and _is_python(name)}
    return {name.split(".")[0] for name in lacking}


def _is_python(name: str) -> bool:
    """Whether this Python has such a module, written in Python: others may be a part of the image's interpreter."""
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:
        return False
    return spec is not None and (spec.origin or "").endswith(".py") and name != "os.path"
