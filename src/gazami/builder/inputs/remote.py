"""ADD of what lies elsewhere: files by http and https, and Git repositories."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gazami.builder.inputs.fetched import Fetched
from gazami.context.git_url import is_git
from gazami.errors import DockerfileError, UsageError
from gazami.image.digest import parse_digest
from gazami.layer.entry import FileContent, Kind
from gazami.plan.steps import CopyStep
from gazami.rootfs.archive import archive_members, is_archive
from gazami.rootfs.copy import Attributes, Copier
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.spool import Spool
from gazami.rootfs.tree import Node


def add_remote(copier: Copier, source: str, step: CopyStep, fetched: Fetched, spool: Callable[[], Spool]) -> None:
    """Copy one source of ADD, which :func:`fetch_remote` brings here where it was not yet. Raises what that raises."""
    if is_git(source):
        copier.copy(FolderTree(str(fetch_remote(source, step, fetched))), "/", step.dest)
        return
    _check(step, source)
    found = fetched.file(source, step.flags.checksum)
    content = FileContent(str(found.path))
    if step.flags.unpack and is_archive(content):
        extractor = Copier(copier.tree, Attributes(copier.attributes.owner), copier.changes)
        extractor.extract(archive_members(content, spool), step.dest)
        return
    node = Node(Kind.FILE, 0o600, mtime=found.modified, size=found.size, content=content)
    copier.put_node(found.name, node, step.dest)


def fetch_remote(source: str, step: CopyStep, fetched: Fetched) -> Path:
    """Bring a remote source here, once in a build: the file, or a repository's folder. Raises :class:`GazamiError` kinds of the
    network, git and the file system, and :class:`DockerfileError` for flags that do not go with it."""
    _check(step, source)
    if is_git(source):
        return fetched.repository(source, step.flags.checksum, keep_git_dir=step.flags.keep_git_dir)
    return fetched.file(source, step.flags.checksum).path


def _check(step: CopyStep, source: str) -> None:
    flags = step.flags
    if flags.checksum and len(step.sources) > 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    if is_git(source):
        return
    if flags.keep_git_dir is not None:
        raise DockerfileError("keep-git-dir can't be specified for a URL that is not a Git repository")
    if flags.checksum:
        try:
            parse_digest(flags.checksum)
        except UsageError as error:
            raise DockerfileError(f"invalid checksum {flags.checksum!r}: {error.message}") from None
