"""Two images side by side: what is read of them, and how they differ."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from gazami.builder.contents.differences import ConfigDifference, FileDifference, compare_configs, compare_files
from gazami.builder.contents.files import Files, read_layers
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.contents.opened import Opened


@fast_dataclass(frozen=True, slots=True)
class Comparison:
    first: Opened
    second: Opened
    config: tuple[ConfigDifference, ...]
    files: tuple[FileDifference, ...]

    @property
    def equal(self) -> bool:
        return not self.config and not self.files


def compare(first: Opened, second: Opened, ignored: tuple[str, ...] = (), *, times: bool = False) -> Comparison:
    """Read both and compare them. ``ignored`` are shell patterns of paths: what they match does not count, nor what lies below."""
    old, new = _read_both(first, second)
    files = tuple(each for each in compare_files(old, new, times=times) if not _matches(each.path, ignored))
    return Comparison(first, second, compare_configs(first.config, second.config, times=times), files)


def _read_both(first: Opened, second: Opened) -> tuple[Files, Files]:
    """The layers that both begin with, often those of one base, are read once; of images with equal layers nothing is read."""
    olds, news = ([layer.digest for layer in each.manifest.layers] for each in (first, second))
    if olds == news:
        return Files(), Files()
    pairs = enumerate(zip(olds, news, strict=False))
    shared = next((number for number, (one, two) in pairs if one != two), min(len(olds), len(news)))
    files = read_layers(first, range(shared), Files())
    copy = files.copy()
    return read_layers(first, range(shared, len(olds)), files), read_layers(second, range(shared, len(news)), copy)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    if not patterns:
        return False
    parts = path.split("/")
    return any(fnmatchcase("/".join(parts[:end]), each.rstrip("/")) for end in range(2, len(parts) + 1) for each in patterns)
