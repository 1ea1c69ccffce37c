"""Git repositories as sources of files: ``ADD https://host/repo.git#ref:subdir`` and build contexts.

As little as possible is fetched: a named ref without its history, a commit by its hash where the server gives it out, and
everything only where it does not.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from gazami.cancel import Cancel
from gazami.context.git_program import Git, authorization, credentials_of
from gazami.context.git_url import GitSource, is_hash, without_credentials
from gazami.errors import ContextError

_FETCHED = re.compile(r"([0-9a-f]{40,64})\t[^\t]*\t(?:(branch|tag) '(.*)' of )?")
_LATEST = (1 << 33) - 1
"""In the year 2242."""

_ALL = "+refs/heads/*:refs/remotes/origin/*"


def checkout(source: GitSource, folder: Path, environment: Mapping[str, str], cancel: Cancel) -> Path:
    """Fetch into the new folder ``folder``; the directory that is meant. ``environment`` may hold ``GIT_TOKEN`` and its kin,
    and what git itself reads (proxies, ``GIT_SSL_CAINFO``, ``SSH_AUTH_SOCK``).

    Times of the files are the commit's. Raises :class:`ContextError` with git's words, :class:`HostError` without git.
    """
    home = folder.with_name(folder.name + "-home")
    home.mkdir(parents=True, mode=0o700)
    folder.mkdir()
    try:
        git = _git(source, folder, home, environment, cancel)
        commit = _check_out(git, source)
        when = time_of(git.run("show", "-s", "--format=%ct", commit))
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if not source.keep_git_dir:
        for each in (*folder.rglob(".git"),):
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    _set_times(folder, when)
    place = folder / source.subdir.strip("/")
    if not place.resolve().is_relative_to(folder.resolve()) or not place.is_dir():
        raise ContextError(f"{source.remote} has no directory {source.subdir!r}")
    return place


def _git(source: GitSource, folder: Path, home: Path, environment: Mapping[str, str], cancel: Cancel) -> Git:
    header, secrets = authorization(source.remote, credentials_of(source, environment))
    own = {key: value for key, value in environment.items() if key not in ("GIT_TOKEN", "GIT_USERNAME", "GIT_PASSWORD")}
    if not source.verify:
        own["GIT_SSL_NO_VERIFY"] = "1"
    return Git(folder, home, cancel, {**own, **header}, secrets)


def _check_out(git: Git, source: GitSource) -> str:
    git.run("init", "-q", "--template=", ".")
    git.run("remote", "add", "origin", source.remote)
    name, commit = _fetch(git, source)
    if source.checksum and not commit.startswith(source.checksum):
        where = without_credentials(source.remote)
        raise ContextError(f"{where}: the commit is {commit}, not {source.checksum} as the checksum says")
    at = ("-B", name, commit) if name and source.keep_git_dir else (commit,)
    git.run("-c", "advice.detachedHead=false", "checkout", "-q", "--force", *at)
    if source.submodules and (git.folder / ".gitmodules").is_file():
        _shallow(git, source.depth, "submodule", "update", "-q", "--init", "--recursive")
    return commit


def _fetch(git: Git, source: GitSource) -> tuple[str, str]:
    """The branch's name, where a branch was meant, and the commit. Fills in the refs of a directory that is kept."""
    wanted = _among_branches(git, source) if source.branch else source.ref or "HEAD"
    if source.everything:
        _shallow(git, source.depth, "fetch", "-q", "--tags", "origin", _ALL)
    try:
        _shallow(git, source.depth, "fetch", "-q", "--no-tags", "origin", wanted)
    except ContextError:
        if not re.fullmatch(r"[0-9a-f]{7,64}", wanted):
            raise
        # a server may refuse to send a bare hash, and never knows an abbreviated one: take everything
        git.run("fetch", "-q", "--tags", "origin", _ALL)
        return "", _resolved(git, wanted)
    name = _name_fetched(git, source, wanted)
    if not source.commit:
        return name, _resolved(git, "FETCH_HEAD")
    return "", _commit(git, source.commit)


def _shallow(git: Git, depth: int, *arguments: str) -> None:
    """Fetch ``depth`` commits, or all where that is 0 or the server knows no shallow clones (plain files behind http)."""
    command = ("submodule", "update") if arguments[0] == "submodule" else arguments[:1]
    rest = arguments[len(command) :]
    if depth:
        try:
            git.run(*command, f"--depth={depth}", *rest)
            return
        except ContextError as error:
            if "shallow" not in error.message:
                raise
    git.run(*arguments)


def _among_branches(git: Git, source: GitSource) -> str:
    heads, tags = f"refs/heads/{source.branch}", f"refs/tags/{source.branch}"
    found = {line.partition("\t")[2] for line in git.run("ls-remote", "origin", heads, tags).splitlines()}
    for ref in (heads, tags):
        if ref in found:
            return ref
    raise ContextError(
        f"invalid branch: {source.branch}", hint=f"{without_credentials(source.remote)} has no branch or tag of this name"
    )


def _name_fetched(git: Git, source: GitSource, wanted: str) -> str:
    """The branch of what was fetched. A kept directory gets the branch or the tag as a ref, so that commands of the build
    find their names."""
    if not source.keep_git_dir:
        return ""
    text = (git.folder / ".git" / "FETCH_HEAD").read_text(encoding="utf-8", errors="replace")
    match = _FETCHED.match(text)
    kind, name = (match.group(2) or "", match.group(3) or "") if match else ("", "")
    if wanted == "HEAD":
        told = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", git.run("ls-remote", "--symref", "origin", "HEAD"), re.M)
        kind, name = ("branch", told.group(1)) if told else ("", "")
    if not match or not name or name.startswith("-"):
        return ""
    place = "refs/tags" if kind == "tag" else "refs/remotes/origin"
    git.run("update-ref", f"{place}/{name}", match.group(1))
    return name if kind == "branch" else ""


def _commit(git: Git, commit: str) -> str:
    """A commit that may not be what the ref points to."""
    try:
        return _resolved(git, commit)
    except ContextError:
        pass
    if is_hash(commit):
        try:
            _shallow(git, 1, "fetch", "-q", "--no-tags", "origin", commit)
            return _resolved(git, commit)
        except ContextError:
            pass
    git.run("fetch", "-q", "--tags", *_unshallow(git), "origin", _ALL)
    return _resolved(git, commit)


def _unshallow(git: Git) -> tuple[str, ...]:
    return ("--unshallow",) if (git.folder / ".git" / "shallow").exists() else ()


def _resolved(git: Git, ref: str) -> str:
    try:
        return git.run("rev-parse", "--verify", "-q", f"{ref}^{{commit}}").strip()
    except ContextError as error:
        hint = "check the name of the branch, tag or commit"
        raise ContextError(f"{ref} is not a commit of the repository", hint=hint) from error


def time_of(text: str) -> int:
    """The seconds that git prints of a commit, as a time that files can have; a commit may claim any."""
    match = re.fullmatch(r"\s*(-?[0-9]{1,19})\s*", text)
    return min(max(0, int(match[1])), _LATEST) if match else 0


def _set_times(folder: Path, when: int) -> None:
    for root, folders, names in os.walk(folder, topdown=False):
        for name in (*names, *folders):
            os.utime(Path(root) / name, (when, when), follow_symlinks=False)
    os.utime(folder, (when, when))
