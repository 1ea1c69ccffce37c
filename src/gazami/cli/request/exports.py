"""``--output`` as buildx users write it: ``type=TYPE[,dest=PLACE][,name=REF]``, a directory, or ``-``."""

from __future__ import annotations

from gazami.builder.request import FileExport
from gazami.cli.paths import absolute, absolutes
from gazami.errors import UsageError
from gazami.values import fast_dataclass, replace

_REWRITE = "rewrite-timestamp"
_TYPES = {
    "local": frozenset({"dest"}),
    "tar": frozenset({"dest"}),
    "oci": frozenset({"dest", "tar", _REWRITE}),
    "docker": frozenset({"dest", "name", _REWRITE}),
    "image": frozenset({"name", "push", _REWRITE}),
    "registry": frozenset({"name", "push", _REWRITE}),
    "cacheonly": frozenset(),
}
_HINT = (
    "type=local,dest=DIR; type=tar,dest=FILE or -; type=oci,dest=FILE; type=docker[,dest=FILE]; type=registry,name=REF; "
    "type=cacheonly"
)


@fast_dataclass(frozen=True, slots=True)
class Outputs:
    """``destinations`` are names of the image, ``layouts`` directories, ``archives`` files for docker load. ``pushes``: an output
    is a push; ``keeps``: one is the image without a push; ``loads``: it goes to docker or podman."""

    destinations: tuple[str, ...] = ()
    pushes: bool = False
    keeps: bool = False
    loads: bool = False
    layouts: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    exports: tuple[FileExport, ...] = ()
    rewrite_timestamp: bool = False
    """For all outputs: a build makes each layer once."""

    def __bool__(self) -> bool:
        return bool(self.pushes or self.keeps or self.loads or self.layouts or self.archives or self.exports)


def read_outputs(words: tuple[str, ...], cwd: str, flag: str = "--output") -> Outputs:
    """Paths are absolute afterwards; ``flag`` is what was typed. Raises :class:`UsageError` for a type, a key or a combination that
    does not exist."""
    found = [_read(word, flag) for word in words]
    if sum(export.dest == "-" for each in found for export in each.exports) > 1:
        raise UsageError(f"only one {flag} can go to standard output")
    pushes, keeps = any(each.pushes for each in found), any(each.keeps for each in found)
    if pushes and any(each.keeps and each.destinations for each in found):
        raise UsageError(
            f"{flag}: one output pushes the image and another one names it without a push", hint="write push=true to both"
        )
    return Outputs(
        tuple(name for each in found for name in each.destinations),
        pushes,
        keeps,
        any(each.loads for each in found),
        absolutes((name for each in found for name in each.layouts), cwd),
        absolutes((name for each in found for name in each.archives), cwd),
        tuple(FileExport(export.kind, absolute(export.dest, cwd)) for each in found for export in each.exports),
        any(each.rewrite_timestamp for each in found),
    )


def _read(word: str, flag: str) -> Outputs:
    if word == "-":
        return Outputs(exports=(FileExport("tar", "-"),))
    fields = fields_of(word)
    if not fields:
        return Outputs(exports=(FileExport("local", word),))
    kind = fields.pop("type", "")
    if kind not in _TYPES:
        raise UsageError(f"{flag} {word}: unknown type {kind!r}", hint=_HINT)
    unknown = [key for key in fields if key not in _TYPES[kind]]
    if unknown:
        raise UsageError(f"{flag} {word}: type={kind} takes no {unknown[0]}=", hint=_HINT)
    rewrite = fields.pop(_REWRITE, "false")
    if rewrite not in ("true", "false", "1", "0"):
        raise UsageError(f"{flag} {word}: {_REWRITE} must be true or false")
    return replace(_read_fields(word, flag, kind, fields), rewrite_timestamp=rewrite in ("true", "1"))


def _read_fields(word: str, flag: str, kind: str, fields: dict[str, str]) -> Outputs:
    if kind in ("image", "registry"):
        push = fields.get("push", "true" if kind == "registry" else "false") in ("true", "1")
        return Outputs(_names_in(fields), pushes=push, keeps=not push)
    if kind == "cacheonly":
        return Outputs(keeps=True)
    if kind == "docker" and not fields.get("dest"):
        return Outputs(_names_in(fields), loads=True)
    dest = fields.get("dest", "-" if kind in ("tar", "oci") else "")
    if not dest or (dest == "-" and kind in ("local", "docker")):
        raise UsageError(f"{flag} {word}: type={kind} needs dest=PATH", hint=_HINT)
    match kind:
        case "local":
            return Outputs(exports=(FileExport("local", dest),))
        case "tar":
            return Outputs(exports=(FileExport("tar", dest),))
        case "docker":
            names = _names_in(fields)
            return Outputs(names, keeps=bool(names), archives=(dest,))
        case _ if fields.get("tar") in ("false", "0"):
            return Outputs(layouts=(dest,))
        case _:
            return Outputs(exports=(FileExport("oci", dest),))


def _names_in(fields: dict[str, str]) -> tuple[str, ...]:
    return tuple(name for name in fields.get("name", "").split(",") if name)


def fields_of(word: str) -> dict[str, str]:
    """The pairs of a value, none for a bare directory."""
    import csv

    pairs = [field.partition("=") for field in next(csv.reader([word]))]
    if len(pairs) == 1 and not pairs[0][1]:
        return {}
    return {key.strip().lower(): value for key, _, value in pairs}
