"""A dataclass decorator that costs a tenth of the standard one: most of a short build's start was the making of value types.

To a type checker this *is* the standard library's decorator, with all that it says (frozen, slots, replace). At run time nothing
is compiled when a class is made: ``__init__`` is written when a class has made a few values, for most classes of a program make
none or one in a short run; comparison, hash and repr are shared functions over the fields. ``dataclasses`` itself, which imports
``inspect``, is imported where somebody asks the standard library's ``fields`` or ``replace``. Freezing is not enforced, but in
Python's development mode (``python -X dev``, as one part of the tests runs) this module is the standard decorator. Measured in
ADR 7. Standard library only: the sandbox's server may import this.
"""

from __future__ import annotations

import sys
from operator import attrgetter

TYPE_CHECKING = False  # type checkers take it for typing's, whose import is the greater part of what --version needs

__all__ = ["fast_dataclass", "field", "fields", "replace"]

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

if TYPE_CHECKING or sys.flags.dev_mode:
    from dataclasses import dataclass as fast_dataclass
    from dataclasses import field, fields, replace
else:

    def fast_dataclass(*, frozen=False, slots, order=False):
        """For a class without a base that is a value type."""
        assert slots
        return lambda written: _made(written, frozen=frozen, order=order)

    def field(**said):
        """A field that says more than its default, as the standard library's."""
        return _Said(said)

    def fields(of):
        """The fields of a class or of a value, each with its ``name`` and ``metadata``."""
        known = of.__value_fields__
        return tuple(_Field(name, known.said(name).get("metadata", {})) for name in known.names)

    def replace(value, /, **changes):
        """A value like this one, but for what ``changes`` name."""
        known = value.__value_fields__
        for name in known.names:
            if name not in changes and known.said(name).get("init", True):
                changes[name] = getattr(value, name)
        return type(value)(**changes)


_FEW = 8
"""Values of a class that are made by a loop: to compile its ``__init__`` takes as long as forty of them."""


_KNOWN = frozenset({"default", "default_factory", "init", "repr", "compare", "metadata"})
"""What :func:`field` may be told."""


class _Said:
    """What :func:`field` was told, by the standard library's names."""

    __slots__ = ("said",)

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = said


class _Field:
    """What :func:`fields` says of a field."""

    __slots__ = ("metadata", "name")

    def __init__(self, name: str, metadata: Mapping[str, Any]) -> None:
        self.name, self.metadata = name, metadata


class _Fields:
    """The fields of a class as they were written."""

    __slots__ = ("annotations", "defaults", "names")

    def __init__(self, names: tuple[str, ...], annotations: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
        self.names, self.annotations, self.defaults = names, annotations, defaults

    def said(self, name: str) -> Mapping[str, Any]:
        found = self.defaults.get(name)
        return found.said if isinstance(found, _Said) else {}


class _Standard:
    """``__dataclass_fields__`` of a class, made by the standard library when that is first asked for it."""

    __slots__ = ("_known",)

    def __init__(self, known: _Fields) -> None:
        self._known = known

    def __get__(self, instance: object, owner: type[Any]) -> dict[str, Any]:
        import dataclasses

        known = self._known
        space: dict[str, Any] = {"__annotations__": {name: known.annotations[name] for name in known.names}}
        for name, given in known.defaults.items():
            space[name] = dataclasses.field(**given.said) if isinstance(given, _Said) else given
        made: Any = dataclasses.dataclass(type(owner.__name__, (), space))
        found: dict[str, Any] = made.__dataclass_fields__
        owner.__dataclass_fields__ = found
        return found


def _check(written: Any, annotations: Mapping[str, str], defaults: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Refuse what the standard decorator does and this one does not."""
    others = [key for each in said.values() for key in each if key not in _KNOWN]
    others += [name for name, annotation in annotations.items() if annotation.startswith(("ClassVar", "InitVar"))]
    others += [name for name, default in defaults.items() if type(default) in (list, dict, set)]
    others += [base.__name__ for base in written.__bases__ if hasattr(base, "__match_args__")]
    if others:
        raise TypeError(f"{written.__name__} needs the standard dataclass, for {', '.join(others)}")


def _made(written: Any, *, frozen: bool, order: bool) -> Any:
    space = dict(written.__dict__)
    annotations = space.get("__annotations__", {})
    names = tuple(annotations)
    defaults = {name: space.pop(name) for name in names if name in space}
    said = {name: each.said for name, each in defaults.items() if isinstance(each, _Said)}
    _check(written, annotations, defaults, said)
    post, few = "__post_init__" in space, _FEW
    read = _reader([name for name in names if name not in said or said[name].get("compare", True)])

    def equal(self: Any, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is self.__class__ else NotImplemented

    def text(self: Any) -> str:
        shown = [name for name in names if name not in said or said[name].get("repr", True)]
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    def first(self: Any, *given: Any, **named: Any) -> None:
        nonlocal few
        few -= 1
        if few >= 0 and _filled(self, names, defaults, given, named):
            if post:
                self.__post_init__()
            return
        made.__init__ = _initialiser(names, defaults, post=post)
        made.__init__(self, *given, **named)

    for left in ("__dict__", "__weakref__"):
        space.pop(left, None)
    space.setdefault("__eq__", equal)
    space.setdefault("__repr__", text)
    space.setdefault("__init__", first)
    if "__hash__" not in written.__dict__ or written.__dict__["__hash__"] is None:  # None comes from an __eq__ of the class
        space["__hash__"] = (lambda self: hash(read(self))) if frozen else None
    if order:
        space |= _order(read)
    space["__slots__"] = space["__match_args__"] = names
    space["__value_fields__"] = known = _Fields(names, annotations, defaults)
    space["__dataclass_fields__"] = _Standard(known)
    made = type(written)(written.__name__, written.__bases__, space)
    return made


def _order(read: Callable[[Any], Any]) -> dict[str, Callable[[Any, Any], bool]]:
    import operator

    def compared(how: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
        return lambda self, other: how(read(self), read(other)) if other.__class__ is self.__class__ else NotImplemented

    return {f"__{how.__name__}__": compared(how) for how in (operator.lt, operator.le, operator.gt, operator.ge)}


def _filled(
    value: Any, names: tuple[str, ...], defaults: Mapping[str, Any], given: tuple[Any, ...], named: Mapping[str, Any]
) -> bool:
    """Set the fields of a value as ``__init__`` would. False where that would raise TypeError, which it is left to do."""
    positions, taken = iter(given), 0
    for name in names:
        default = defaults.get(name, _Said)
        said = default.said if isinstance(default, _Said) else {} if default is _Said else {"default": default}
        if said.get("init", True):
            found = next(positions, _Said)
            if found is _Said and name in named:
                found, taken = named[name], taken + 1
            if found is not _Said:
                setattr(value, name, found)
                continue
        if "default" in said:
            setattr(value, name, said["default"])
        elif "default_factory" in said:
            setattr(value, name, said["default_factory"]())
        elif said.get("init", True):
            return False
    return taken == len(named) and next(positions, _Said) is _Said


def _initialiser(names: tuple[str, ...], defaults: Mapping[str, Any], *, post: bool) -> Any:
    """``__init__`` as the standard library writes it; ``post`` ends it with ``__post_init__``."""
    absent = object()
    known: dict[str, Any] = {"absent": absent}
    parameters, lines = ["self"], []
    for name in names:
        given, value = defaults.get(name, absent), name
        said = given.said if isinstance(given, _Said) else {} if given is absent else {"default": given}
        is_parameter = said.get("init", True)
        if "default_factory" in said:
            known[f"make_{name}"] = said["default_factory"]
            value = f"make_{name}() if {name} is absent else {name}" if is_parameter else f"make_{name}()"
            parameters += [f"{name}=absent"] if is_parameter else []
        elif "default" in said:
            known[f"default_{name}"] = said["default"]
            value = name if is_parameter else f"default_{name}"
            parameters += [f"{name}=default_{name}"] if is_parameter else []
        elif is_parameter:
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
