"""``@dataclass`` at a third of its cost: most of a short build's start is the making of some two hundred value types.

To a type checker this *is* the standard library's decorator, with everything that it says (frozen, slots, replace). At run
time the standard library makes the fields, the slots and ``__init__``, the only part that has to be compiled for each class;
comparison, hash and repr are shared functions over a class's fields. That a value is frozen is the type checker's business
alone. Standard library only: the sandbox's server may import this.
"""

from __future__ import annotations

from dataclasses import dataclass as _standard
from dataclasses import field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "field", "fields", "replace"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, **others):
        """The standard decorator for what this module does not speed up."""
        if cls is not None or not slots or others:
            return _standard(cls, frozen=frozen, slots=slots, **others)
        return _frozen if frozen else _mutable


def _frozen(cls: type[Any]) -> type[Any]:
    made, read = _made(cls)
    _set(made, cls, "__hash__", lambda self: hash(read(self)))
    return made


def _mutable(cls: type[Any]) -> type[Any]:
    made, _ = _made(cls)
    _set(made, cls, "__hash__", None)
    return made


def _made(cls: type[Any]) -> tuple[type[Any], Any]:
    made: type[Any] = _standard(eq=False, repr=False, slots=True)(cls)
    found = fields(made)
    read = _reader([each.name for each in found if each.compare])
    shown = tuple(each.name for each in found if each.repr)

    def equal(self: Any, other: object) -> bool:
        return read(self) == read(other) if other.__class__ is self.__class__ else NotImplemented

    def text(self: Any) -> str:
        return f"{made.__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    _set(made, cls, "__eq__", equal)
    _set(made, cls, "__repr__", text)
    return made, read


def _set(made: type[Any], written: type[Any], name: str, value: Any) -> None:
    """Give a class a method that it does not write itself."""
    if name not in written.__dict__:
        setattr(made, name, value)


def _reader(names: list[str]) -> Any:
    """A function that gives the values of fields, one tuple (or one bare value) for each object."""
    return attrgetter(*names) if names else lambda _: ()
