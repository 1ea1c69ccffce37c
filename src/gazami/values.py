"""A dataclass decorator that costs a quarter of the standard one: most of a short build's start is the making of value types.

To a type checker this *is* the standard library's decorator, with all that it says (frozen, slots, replace). At run time only
``__init__`` is compiled for each class; comparison, hash and repr are shared functions over its fields, and what
:func:`dataclasses.fields` and ``replace`` ask for is made when they ask. Freezing is not enforced, but in Python's development
mode (``python -X dev``, as one part of the tests runs) this module is the standard decorator. Measured in ADR 7. Standard library
only: the sandbox's server may import this.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import MISSING, Field, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["fast_dataclass", "field", "fields", "replace"]

if TYPE_CHECKING or sys.flags.dev_mode:
    from dataclasses import dataclass as fast_dataclass
else:

    def fast_dataclass(cls=None, /, *, frozen=False, slots=False, **others):
        """The standard decorator for what this module does not make cheaper."""
        if cls is not None or not slots or others:
            return dataclasses.dataclass(cls, frozen=frozen, slots=slots, **others)
        return lambda written: (
            _made(written, frozen=frozen)
            if written.__bases__ == (object,)
            else dataclasses.dataclass(frozen=frozen, slots=True)(written)
        )


class _Fields:
    """``__dataclass_fields__`` of a class, made by the standard library when it is first asked for."""

    def __init__(self, written: dict[str, Any]) -> None:
        self._written = written

    def __get__(self, instance: object, owner: type[Any]) -> dict[str, Field[Any]]:
        made: Any = dataclasses.dataclass(type(owner.__name__, (), self._written))
        found: dict[str, Field[Any]] = made.__dataclass_fields__
        type.__setattr__(owner, "__dataclass_fields__", found)
        return found


def _made(written: type[Any], *, frozen: bool) -> type[Any]:
    space = dict(written.__dict__)
    names = tuple(space.get("__annotations__", ()))
    defaults = {name: space.pop(name) for name in names if name in space}
    given = {name: each for name, each in defaults.items() if isinstance(each, Field)}
    read = _reader([name for name in names if name not in given or given[name].compare])
    shown = [name for name in names if name not in given or given[name].repr]

    def equal(self: Any, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is self.__class__ else NotImplemented

    def text(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    for left in ("__dict__", "__weakref__"):
        space.pop(left, None)
    space.setdefault("__eq__", equal)
    space.setdefault("__repr__", text)
    space.setdefault("__init__", _initialiser(names, defaults, post="__post_init__" in space))
    if "__hash__" not in written.__dict__ or written.__dict__["__hash__"] is None:  # None comes from an __eq__ of the class
        space["__hash__"] = (lambda self: hash(read(self))) if frozen else None
    annotations = {name: space["__annotations__"][name] for name in names}
    space |= {
        "__slots__": names,
        "__match_args__": names,
        "__dataclass_fields__": _Fields({"__annotations__": annotations, **defaults}),
    }
    return type(written.__name__, written.__bases__, space)


def _initialiser(names: tuple[str, ...], defaults: dict[str, Any], *, post: bool) -> Any:
    """``__init__`` as the standard library writes it; ``post`` ends it with ``__post_init__``."""
    known: dict[str, Any] = {"MISSING": MISSING}
    parameters, lines = ["self"], []
    for name in names:
        default, value = defaults.get(name, MISSING), name
        given = not isinstance(default, Field) or default.init
        if isinstance(default, Field) and default.default_factory is not MISSING:
            known[f"make_{name}"] = default.default_factory
            value = f"make_{name}() if {name} is MISSING else {name}" if given else f"make_{name}()"
            parameters += [f"{name}=MISSING"] if given else []
        elif (plain := default.default if isinstance(default, Field) else default) is not MISSING:
            known[f"default_{name}"] = plain
            value = name if given else f"default_{name}"
            parameters += [f"{name}=default_{name}"] if given else []
        elif given:
            parameters.append(name)
        else:
            continue  # __post_init__ or somebody else sets it
        lines.append(f"self.{name} = {value}")
    if post:
        lines.append("self.__post_init__()")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines or ["pass"]), known)
    return known["__init__"]


def _reader(names: list[str]) -> Any:
    """A function that gives the values of fields, one tuple (or one bare value) for each object."""
    return attrgetter(*names) if names else lambda _: ()
