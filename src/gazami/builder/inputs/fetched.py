"""What a build fetches besides its images: named build contexts, files and Git repositories of ADD. Each is fetched once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import phase
from gazami.builder.files.own_places import omitted, visible
from gazami.builder.files.workspace import Workspace
from gazami.builder.inputs.dockerfile import find_ignore
from gazami.builder.inputs.needs import is_local, is_url
from gazami.context.git_url import is_git, parse_git
from gazami.context.local import local_folder
from gazami.events import Emit
from gazami.registry.flights import Flights
from gazami.rootfs.folder import FolderTree
from gazami.rootfs.tree import Tree
from gazami.values import fast_dataclass, field, replace

if TYPE_CHECKING:
    from gazami.context.download import Downloaded
    from gazami.context.git_url import GitSource
    from gazami.context.schemes import Access
    from gazami.registry.transport import Transport

_CREDENTIALS = ("GIT_TOKEN", "GIT_USERNAME", "GIT_PASSWORD", "SSH_AUTH_SOCK", "GIT_SSH_COMMAND")
"""Variables of git that a named context may use."""


@fast_dataclass(slots=True)
class Fetched:
    """``named`` are the values of named contexts (``--build-context``) by name, ``access`` says how Git fetches, ``agent`` is the
    socket of the default ssh agent or empty. ``own_places`` are the build's own paths, which no context shows."""

    named: Mapping[str, str]
    transport: Transport
    access: Callable[[], Access]
    agent: str
    own_places: tuple[str, ...]
    workspace: Workspace
    emit: Emit
    _contexts: Flights[str, Tree] = field(default_factory=Flights)
    _files: Flights[tuple[str, str], Downloaded] = field(default_factory=Flights)
    _repositories: Flights[GitSource, Path] = field(default_factory=Flights)

    def context(self, name: str) -> Tree:
        """The files of a named context."""
        return self._contexts.get(name, lambda: self._fetch_context(self.named[name]))

    def local_context(self, name: str) -> Tree | None:
        """The files of a named context, None where they have to be fetched. Raises :class:`ContextError`."""
        return self.context(name) if is_local(self.named[name]) else None

    def file(self, url: str, checksum: str) -> Downloaded:
        """A file by http or https. Raises :class:`IntegrityError` when it does not have the ``checksum``, if there is one."""
        from gazami.context.download import download

        def work() -> Downloaded:
            with phase(self.emit, f"download-{self.workspace.new_name()}", "downloading"):
                return download(url, self.workspace.root, self.transport, checksum)

        return self._files.get((url, checksum), work)

    def repository(self, source: str, checksum: str, *, keep_git_dir: bool | None) -> Path:
        """The files of a Git repository; ``keep_git_dir`` None means what the URL says."""
        wanted = parse_git(source)
        keep = wanted.keep_git_dir if keep_git_dir is None else keep_git_dir
        wanted = replace(wanted, keep_git_dir=keep, checksum=checksum or wanted.checksum)
        return self._repositories.get(wanted, lambda: self._check_out(wanted))

    def time_of(self, source: str, checksum: str, *, keep_git_dir: bool | None) -> int:
        """Seconds: a file's Last-Modified (0 without one), or a repository's commit time, which its files have."""
        if is_git(source):
            return int(self.repository(source, checksum, keep_git_dir=keep_git_dir).stat().st_mtime)
        return self.file(source, checksum).modified

    def _check_out(self, wanted: GitSource) -> Path:
        from gazami.context.git import checkout
        from gazami.context.schemes import git_environment

        access, folder = self.access(), self.workspace.root / f"git-{self.workspace.new_name()}"
        environment = git_environment(access) | ({"SSH_AUTH_SOCK": self.agent} if self.agent else {})
        with phase(self.emit, f"git-{folder.name}", f"fetching {wanted.remote.rpartition('@')[2]}"):
            return checkout(wanted, folder, environment, access.cancel)

    def _fetch_context(self, value: str) -> Tree:
        place = self.workspace.root / f"context-{self.workspace.new_name()}"
        if is_git(value):
            from gazami.context.git import checkout
            from gazami.context.schemes import git_environment

            access = self.access()
            return FolderTree(str(checkout(parse_git(value), place, git_environment(access, _CREDENTIALS), access.cancel)))
        if is_url(value):
            from gazami.context.download import download

            place.mkdir()
            download(value, place, self.transport).path.rename(place / "context")
            return FolderTree(str(place))
        folder = local_folder(value.removeprefix("dir://"))
        own = omitted(str(folder), self.own_places, str(self.workspace.state))
        return FolderTree(str(folder), visible(find_ignore(None, folder), own))
