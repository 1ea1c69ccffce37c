"""How two images differ: their configs and their files. Pure.

What a container would not notice is no difference: how files are spread over layers, how those are compressed, the history, the
order of variables and labels. Times count only where they are asked for.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from gazami.layer.entry import Kind
from gazami.values import fast_dataclass, field

if TYPE_CHECKING:
    from gazami.builder.contents.files import Files
    from gazami.image.config import ImageConfig
    from gazami.rootfs.tree import Node, Tree

How = Literal["added", "removed", "changed"]
Fact: TypeAlias = "str | int | list[str] | dict[str, str] | None"
Facts: TypeAlias = dict[str, Fact]
"""What is known of a file, by name; JSON has it as it is."""

_NAMES = {
    Kind.FILE: "file", Kind.DIRECTORY: "directory", Kind.SYMLINK: "symlink", Kind.HARDLINK: "hard link",
    Kind.CHARACTER: "character device", Kind.BLOCK: "block device", Kind.FIFO: "fifo",
}  # fmt: skip


@fast_dataclass(frozen=True, slots=True)
class ConfigDifference:
    """``key`` names the variable, label, port or volume of a field that has several; else it is empty. None: not set."""

    field: str
    key: str
    first: Fact
    second: Fact

    @property
    def how(self) -> How:
        return "added" if self.first is None else "removed" if self.second is None else "changed"


@fast_dataclass(frozen=True, slots=True)
class FileDifference:
    """``first`` and ``second`` are what is known of the file; empty where it is not there."""

    path: str
    first: Facts
    second: Facts
    names: tuple[str, ...] = field(default=())

    @property
    def how(self) -> How:
        return "added" if not self.first else "removed" if not self.second else "changed"


# -- config ----------------------------------------------------------------------------------------------------------------------


def compare_configs(first: ImageConfig, second: ImageConfig, *, times: bool = False) -> tuple[ConfigDifference, ...]:
    """In the order of the fields, then by key."""
    found: list[ConfigDifference] = []
    olds, news = _config_facts(first, times=times), _config_facts(second, times=times)
    for name, old in olds.items():
        new = news[name]
        if isinstance(old, dict) and isinstance(new, dict):
            keys = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            found += [ConfigDifference(name, key, old.get(key), new.get(key)) for key in keys]
        elif old != new:
            found.append(ConfigDifference(name, "", old, new))
    return tuple(found)


def _config_facts(config: ImageConfig, *, times: bool) -> dict[str, Fact]:
    check = config.healthcheck
    return {
        "Platform": str(config.platform),
        "User": config.user or None,
        "WorkingDir": config.working_dir or "/",
        "Entrypoint": _words(config.entrypoint),
        "Cmd": _words(config.cmd),
        "Shell": _words(config.shell),
        "Env": dict(config.env),
        "Labels": dict(config.labels),
        "ExposedPorts": dict.fromkeys(config.exposed_ports, ""),
        "Volumes": dict.fromkeys(config.volumes, ""),
        "StopSignal": config.stop_signal or None,
        "Healthcheck": {name: str(getattr(check, name)) for name in type(check).__slots__} if check is not None else {},
        "OnBuild": list(config.onbuild) or None,
        "Author": config.author or None,
        **({"Created": config.created} if times else {}),
    }


def _words(words: tuple[str, ...] | None) -> Fact:
    """An empty list runs nothing, as if it were not set."""
    return list(words) if words else None


# -- files -----------------------------------------------------------------------------------------------------------------------


def compare_files(first: Files, second: Files, *, times: bool = False) -> Iterator[FileDifference]:
    """Every file that is in one of them alone or differs, in the order of paths; a directory comes before what it holds."""
    linked, linked_too = _linked(first.tree), _linked(second.tree)
    todo: list[tuple[str, Node | None, Node | None]] = [("", first.tree.root, second.tree.root)]
    while todo:
        path, old, new = todo.pop()
        olds = _facts(first, old, linked.get(path, ""), times=times)
        news = _facts(second, new, linked_too.get(path, ""), times=times)
        if olds != news:
            names = [name for name in {**olds, **news} if olds.get(name) != news.get(name)] if olds and news else []
            yield FileDifference("/" + path, olds, news, tuple(names))
        below, below_too = _children(first.tree, old), _children(second.tree, new)
        todo += [
            (f"{path}/{name}" if path else name, below.get(name), below_too.get(name))
            for name in sorted({*below, *below_too}, reverse=True)
        ]


def _children(tree: Tree, node: Node | None) -> Mapping[str, Node]:
    return tree.children_of(node) if node is not None and node.is_directory else {}


def _facts(files: Files, node: Node | None, linked: str, *, times: bool) -> Facts:
    """What counts of a file: a link has no mode of its own, a directory's size is no fact."""
    if node is None:
        return {}
    facts: Facts = {"kind": _NAMES[node.kind]}
    if node.kind is not Kind.SYMLINK:
        facts["mode"] = f"{node.mode:04o}"
    facts |= {"uid": node.uid, "gid": node.gid}
    if node.kind is Kind.FILE:
        facts |= {"size": node.size, "digest": files.digest(node)}
    if node.kind is Kind.SYMLINK:
        facts["link"] = node.link
    if node.kind in (Kind.CHARACTER, Kind.BLOCK):
        facts["device"] = f"{node.device[0]}:{node.device[1]}"
    if node.xattrs:
        facts["xattrs"] = {name: base64.b64encode(value).decode() for name, value in sorted(node.xattrs)}
    if linked:
        facts["hardlink"] = linked
    if times:
        facts["mtime"] = node.mtime
    return facts


def _linked(tree: Tree) -> dict[str, str]:
    """Of names that share a file, all but the first, with the first."""
    firsts: dict[int, str] = {}
    found: dict[str, str] = {}
    for path, node in tree.walk("", tree.root):
        if not node.is_directory and (first := firsts.setdefault(id(node), path)) != path:
            found[path] = f"/{first}"
    return found
