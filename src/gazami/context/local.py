"""A context that is a folder already: a path or ``dir://``."""

from __future__ import annotations

from pathlib import Path

from gazami.errors import ContextError


def local_folder(text: str, sub_path: str = "") -> Path:
    """The folder of a local context. Raises :class:`ContextError` when it is not one."""
    folder = Path(text)
    if not folder.exists():
        hint = "give an existing directory with --context, or as an argument"
        first = text.partition("/")[0]
        if "." in first.strip(".") and "/" in text:
            hint = f"write git://{text} for a repository, https://{text} for an archive"
        raise ContextError(f"the build context {text} does not exist", hint=hint)
    if not folder.is_dir():
        archive = text.endswith((".tar", ".gz", ".tgz", ".zst", ".bz2", ".xz"))
        hint = (
            f"write tar://{text}"
            if archive
            else f"give its directory, and the Dockerfile with --file (-f): {folder.parent} -f {text}"
        )
        raise ContextError(f"the build context {text} is not a directory", hint=hint)
    return below(folder, sub_path)


def below(folder: Path, sub_path: str) -> Path:
    """A directory in the context; a symlink of the context does not lead out of it."""
    if not sub_path:
        return folder
    place = folder / sub_path.strip("/")
    if not place.is_dir() or not place.resolve().is_relative_to(folder.resolve()):
        raise ContextError(f"the context has no directory {sub_path!r}", hint="give an existing one with --context-sub-path")
    return place
