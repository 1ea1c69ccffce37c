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
    "docker": frozenset({"dest", _REWRITE}),
    "image": frozenset({"name", "push", _REWRITE}),
    "registry": frozenset({"name", _REWRITE}),
}
_HINT = "type=local,dest=DIR; type=tar,dest=FILE or -; type=oci,dest=FILE; type=docker,dest=FILE; type=registry,name=REF"


@fast_dataclass(frozen=True, slots=True)
class Outputs:
    """``destinations`` are names to push to, ``layouts`` directories, ``archives`` files for docker load."""

    destinations: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    exports: tuple[FileExport, ...] = ()
    rewrite_timestamp: bool = False
    """For all outputs: a build makes each layer once."""

    def __bool__(self) -> bool:
        return bool(self.destinations or self.layouts or self.archives or self.exports)


def read_outputs(words: tuple[str, ...], cwd: str) -> Outputs:
    """Paths are absolute afterwards. Raises :class:`UsageError` for a type, a key or a combination that does not exist."""
    found = [_read(word) for word in words]
    if sum(export.dest == "-" for each in found for export in each.exports) > 1:
        raise UsageError("only one --output can go to standard output")
    return Outputs(
        tuple(name for each in found for name in each.destinations),
        absolutes((name for each in found for name in each.layouts), cwd),
        absolutes((name for each in found for name in each.archives), cwd),
        tuple(FileExport(export.kind, absolute(export.dest, cwd)) for each in found for export in each.exports),
        any(each.rewrite_timestamp for each in found),
    )


def _read(word: str) -> Outputs:
    if word == "-":
        return Outputs(exports=(FileExport("tar", "-"),))
    fields = fields_of(word)
    if not fields:
        return Outputs(exports=(FileExport("local", word),))
    kind = fields.pop("type", "")
    if kind not in _TYPES:
        raise UsageError(f"--output {word}: unknown type {kind!r}", hint=_HINT)
    unknown = [key for key in fields if key not in _TYPES[kind]]
    if unknown:
        raise UsageError(f"--output {word}: type={kind} takes no {unknown[0]}=", hint=_HINT)
    rewrite = fields.pop(_REWRITE, "false")
    if rewrite not in ("true", "false", "1", "0"):
        raise UsageError(f"--output {word}: {_REWRITE} must be true or false")
    return replace(_read_fields(word, kind, fields), rewrite_timestamp=rewrite in ("true", "1"))


def _read_fields(word: str, kind: str, fields: dict[str, str]) -> Outputs:
    if kind in ("image", "registry"):
        return _image(word, fields, push=kind == "registry" or fields.get("push") in ("true", "1"))
    dest = fields.get("dest", "-" if kind in ("tar", "oci") else "")
    if not dest or (dest == "-" and kind in ("local", "docker")):
        raise UsageError(f"--output {word}: type={kind} needs dest=PATH", hint=_HINT)
    match kind:
        case "local":
            return Outputs(exports=(FileExport("local", dest),))
        case "tar":
            return Outputs(exports=(FileExport("tar", dest),))
        case "docker":
            return Outputs(archives=(dest,))
        case _ if fields.get("tar") in ("false", "0"):
            return Outputs(layouts=(dest,))
        case _:
            return Outputs(exports=(FileExport("oci", dest),))


def _image(word: str, fields: dict[str, str], *, push: bool) -> Outputs:
    names = tuple(name for name in fields.get("name", "").split(",") if name)
    if not names:
        raise UsageError(f"--output {word}: type=image and type=registry need name=REF", hint=_HINT)
    if not push:
        raise UsageError(
            f"--output {word}: gazami keeps no images on this machine",
            hint="push it with type=registry, or write it to a file with type=docker",
        )
    return Outputs(destinations=names)


def fields_of(word: str) -> dict[str, str]:
    """The pairs of a value, none for a bare directory."""
    import csv

    pairs = [field.partition("=") for field in next(csv.reader([word]))]
    if len(pairs) == 1 and not pairs[0][1]:
        return {}
    return {key.strip().lower(): value for key, _, value in pairs}
