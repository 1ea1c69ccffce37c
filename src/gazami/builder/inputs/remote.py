"""ADD of what lies elsewhere: files by http and https, and Git repositories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gazami.builder.files.layer_files import phase
from gazami.builder.inputs.contexts import access_of
from gazami.builder.tools import Tools
from gazami.context.download import Downloaded, download
from gazami.context.git_url import is_git, parse_git
from gazami.errors import DockerfileError, UsageError
from gazami.image.digest import parse_digest
from gazami.layer.entry import FileContent, Kind
from gazami.plan.steps import CopyStep
from gazami.rootfs.archive import archive_members, is_archive
from gazami.rootfs.copy import Attributes, Copier
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.tree import Node


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def add_remote(copier: Copier, source: str, step: CopyStep, tools: Tools) -> None:
    """Fetch one source of ADD and copy it. Raises :class:`GazamiError` kinds of the network, git and the file system."""
    if step.checksum and len(step.sources) > 1:
        raise DockerfileError("checksum can't be specified for multiple sources")
    if is_git(source):
        _add_repository(copier, source, step, tools)
    else:
        _add_file(copier, source, step, tools)


def _add_file(copier: Copier, url: str, step: CopyStep, tools: Tools) -> None:
    if step.keep_git_dir is not None:
        raise DockerfileError("keep-git-dir can't be specified for a URL that is not a Git repository")
    if step.checksum:
        try:
            parse_digest(step.checksum)
        except UsageError as error:
            raise DockerfileError(f"invalid checksum {step.checksum!r}: {error.message}") from None
    found = _download(url, step.checksum, tools)
    if step.unpack and is_archive(FileContent(str(found.path))):
        extractor = Copier(copier.tree, Attributes(copier.attributes.owner), copier.changes)
        extractor.extract(archive_members(FileContent(str(found.path)), tools.workspace.spool), step.dest)
        return
    content = FileContent(str(found.path))
    node = Node(Kind.FILE, 0o600, mtime=found.modified, size=found.size, content=content)
    copier.put_node(found.name, node, step.dest)


def _add_repository(copier: Copier, source: str, step: CopyStep, tools: Tools) -> None:
    copier.copy(FolderTree(str(_repository(source, step.checksum, step.keep_git_dir, tools))), "/", step.dest)


def fetch_remote(source: str, step: CopyStep, tools: Tools) -> Path:
    """Bring a remote source here, as :func:`add_remote` will: the file, or the folder of a repository."""
    if is_git(source):
        return _repository(source, step.checksum, step.keep_git_dir, tools)
    return _download(source, step.checksum, tools).path


def time_of_remote(source: str, checksum: str, keep_git_dir: bool | None, tools: Tools) -> int:
    """The seconds of a file's Last-Modified (0 without one) or of a repository's commit, which is what its files have."""
    if is_git(source):
        return int(_repository(source, checksum, keep_git_dir, tools).stat().st_mtime)
    return _download(source, checksum, tools).modified


def _download(url: str, checksum: str, tools: Tools) -> Downloaded:
    """A file is fetched once in a build."""

    def work() -> Downloaded:
        with phase(tools.emit, f"download-{tools.workspace.new_name()}", "downloading"):
            return download(url, tools.workspace.root, tools.registry.transport, checksum)

    return tools.downloads.get((url, checksum), work)


def _repository(source: str, checksum: str, keep_git_dir: bool | None, tools: Tools) -> Path:
    """The files of a repository, fetched once in a build."""
    wanted = parse_git(source)
    keep = wanted.keep_git_dir if keep_git_dir is None else keep_git_dir
    wanted = replace(wanted, keep_git_dir=keep, checksum=checksum or wanted.checksum)

    from gazami.context.git import checkout
    from gazami.context.schemes import git_environment

    def work() -> Path:
        folder = Path(tools.workspace.root) / f"git-{tools.workspace.new_name()}"
        agents = dict(tools.request.sandbox.ssh)
        environment = git_environment(access_of(tools.request, tools.workspace, tools.registry, tools.cancel))
        environment |= {"SSH_AUTH_SOCK": agents["default"]} if "default" in agents else {}
        with phase(tools.emit, f"git-{folder.name}", f"fetching {wanted.remote.rpartition('@')[2]}"):
            return checkout(wanted, folder, environment, tools.cancel)

    return tools.repositories.get(wanted, work)
