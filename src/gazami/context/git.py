"""Git repositories as sources of files: ``ADD https://host/repo.git#ref:subdir``, ``git@host:path``, ``ssh://`` and ``git://``.

The git program does the work; it gets an environment of its own, never asks on a terminal, and is told credentials through
that environment only, so that they appear in no process list.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from gazami.cancel import Cancel
from gazami.errors import ContextError, HostError, UsageError

_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:(?!//)")
_KEYS = frozenset({"ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules"})
_TRUE = frozenset({"", "1", "t", "T", "true", "TRUE", "True"})


@dataclass(frozen=True, slots=True)
class GitSource:
    """``ref`` empty is the remote's default branch. ``checksum`` is a commit hash or a prefix of one."""

    remote: str
    ref: str = ""
    subdir: str = ""
    keep_git_dir: bool = False
    submodules: bool = True
    checksum: str = ""


def is_git(text: str) -> bool:
    """Whether a source of ADD names a repository: git, ssh, scp form, or an http URL whose path ends in ``.git``."""
    if text.startswith(("git://", "ssh://")) or _SCP.match(text):
        return True
    return text.startswith(("http://", "https://")) and urlsplit(text).path.endswith(".git")


def parse_git(text: str) -> GitSource:
    """``remote[?key=value…][#ref[:subdir]]``. Raises :class:`UsageError` for unknown or contradictory keys."""
    url, _, fragment = text.partition("#")
    ref, _, subdir = fragment.partition(":")
    if _SCP.match(url):
        return _checked(GitSource(url, ref, subdir))
    parts = urlsplit(url)
    options: dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _KEYS or key in options:
            raise UsageError(f"unexpected query key {key!r} in the Git URL {text!r}")
        options[key] = value
    for key, prefix in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if key in options:
            if ref:
                raise UsageError(f"the Git URL {text!r} names a ref twice")
            ref = prefix + options[key]
    if "ref" in options and ref:
        raise UsageError(f"the Git URL {text!r} names a ref twice")
    return _checked(
        GitSource(
            urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")),
            ref or options.get("ref", ""),
            subdir or options.get("subdir", ""),
            options.get("keep-git-dir", "false") in _TRUE,
            options.get("submodules", "true") in _TRUE,
            options.get("checksum", options.get("commit", "")),
        )
    )


def _checked(source: GitSource) -> GitSource:
    if source.ref.startswith("-") or ".." in source.subdir.split("/") or source.remote.startswith("-"):
        raise UsageError(f"the Git URL of {source.remote!r} has an invalid ref or directory")
    return source


def checkout(source: GitSource, folder: Path, environment: dict[str, str], cancel: Cancel) -> Path:
    """Fetch into the new folder ``folder``, as little of the history as the ref allows; the directory that is meant.

    Times of the files are the commit's. Raises :class:`ContextError` with git's words, :class:`HostError` without git.
    """
    git = _Git(folder, environment, cancel)
    folder.mkdir(parents=True)
    git.run("init", "-q", ".")
    git.run("remote", "add", "origin", source.remote)
    commit = _fetch(git, source)
    if source.checksum and not commit.startswith(source.checksum):
        raise ContextError(f"{source.remote}: the commit is {commit}, not {source.checksum} as the checksum says")
    git.run("-c", "advice.detachedHead=false", "checkout", "-q", "--force", commit)
    if source.submodules and (folder / ".gitmodules").exists():
        git.run("submodule", "update", "-q", "--init", "--recursive", "--depth=1")
    when = int(git.run("show", "-s", "--format=%ct", commit).strip())
    if not source.keep_git_dir:
        for each in (*folder.rglob(".git"),):
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    _set_times(folder, when)
    place = folder / source.subdir.strip("/")
    if not place.resolve().is_relative_to(folder.resolve()) or not place.is_dir():
        raise ContextError(f"{source.remote} has no directory {source.subdir!r}")
    return place


def _fetch(git: _Git, source: GitSource) -> str:
    wanted = source.ref or "HEAD"
    try:
        git.run("fetch", "-q", "--depth=1", "--no-tags", "origin", wanted)
        return git.run("rev-parse", "FETCH_HEAD^{commit}").strip()
    except ContextError:
        if not re.fullmatch(r"[0-9a-f]{7,40}", wanted):
            raise
    # a server may refuse to send a bare hash, and never knows an abbreviated one: take everything
    git.run("fetch", "-q", "--tags", "origin", "+refs/heads/*:refs/remotes/origin/*")
    return git.run("rev-parse", "--verify", "-q", f"{wanted}^{{commit}}").strip()


@dataclass(slots=True)
class _Git:
    folder: Path
    environment: dict[str, str]
    cancel: Cancel

    def run(self, *arguments: str) -> str:
        self.cancel.check()
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.folder), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
            **self.environment,
        }  # fmt: skip
        try:
            process = subprocess.Popen(
                ["git", "-c", "core.autocrlf=false", *arguments],
                cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, umask=0o022,
                text=True, errors="replace",
            )  # fmt: skip
        except FileNotFoundError as cause:
            raise HostError("the git program is not installed", hint="install it, or use an archive instead") from cause
        while True:
            try:
                out, err = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                if self.cancel.is_set:
                    process.kill()
                    process.communicate()
                    self.cancel.check()
        if process.returncode:
            lines = [line for line in err.strip().splitlines() if line.strip()]
            said = re.sub(r"//[^/@\s]+@", "//", lines[-1] if lines else f"status {process.returncode}")
            raise ContextError(f"git {arguments[0]}: {said}", hint=_hint(said))
        return out


def _hint(said: str) -> str | None:
    if "could not read Username" in said or "Authentication failed" in said:
        return "the repository may be private, or not exist"
    if "couldn't find remote ref" in said:
        return "there is no such branch or tag"
    return None


def _set_times(folder: Path, when: int) -> None:
    for root, folders, names in os.walk(folder, topdown=False):
        for name in (*names, *folders):
            os.utime(Path(root) / name, (when, when), follow_symlinks=False)
    os.utime(folder, (when, when))
