"""gazami builds container images from Dockerfiles without a daemon and without privileges.

``build``, ``dry_run``, ``lint`` and ``push`` are the Python interface (:mod:`gazami.api`); the events of a build are
in :mod:`gazami.events`. Nothing else is promised. ``__init__.pyi`` says the same to type checkers.
"""

import importlib

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import the interface when it is first used: the program itself does without, and no module depends on it."""
    if name == "events":
        return importlib.import_module("gazami.events")
    api = None if name.startswith("__") else importlib.import_module("gazami.api")
    if api is None or name not in api.__all__:
        raise AttributeError(f"module 'gazami' has no attribute {name!r}")
    found: object = getattr(api, name)
    return found
