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
    """Fetch one source of ADD and copy it. Raises :class:`GazamiError` kinds of the network, git and the file system."""
    if step.flags.checksum and len(step.sources) > 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    if is_git(source):
        copier.copy(FolderTree(str(fetch_remote(source, step, fetched))), "/", step.dest)
    else:
        _add_file(copier, source, step, fetched, spool)


def _add_file(copier: Copier, url: str, step: CopyStep, fetched: Fetched, spool: Callable[[], Spool]) -> None:
    if step.flags.keep_git_dir is not None:
        raise DockerfileError("keep-git-dir can't be specified for a URL that is not a Git repository")
    if step.flags.checksum:
        try:
            parse_digest(step.flags.checksum)
        except UsageError as error:
            raise DockerfileError(f"invalid checksum {step.flags.checksum!r}: {error.message}") from None
    found = fetched.file(url, step.flags.checksum)
    content = FileContent(str(found.path))
    if step.flags.unpack and is_archive(content):
        extractor = Copier(copier.tree, Attributes(copier.attributes.owner), copier.changes)
        extractor.extract(archive_members(content, spool), step.dest)
        return
    node = Node(Kind.FILE, 0o600, mtime=found.modified, size=found.size, content=content)
    copier.put_node(found.name, node, step.dest)


def fetch_remote(source: str, step: CopyStep, fetched: Fetched) -> Path:
    """Bring a remote source here, as :func:`add_remote` will: the file, or the folder of a repository."""
    if is_git(source):
        return fetched.repository(source, step.flags.checksum, keep_git_dir=step.flags.keep_git_dir)
    return fetched.file(source, step.flags.checksum).path
