"""What names a Git repository: Docker's forms of a URL, kaniko's ``git://``, and kaniko's ``--git`` options. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from gazami.errors import UsageError
from gazami.values import fast_dataclass, field, replace

_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9._-]+:(?!//)")
_KEYS = frozenset({"ref", "tag", "branch", "subdir", "checksum", "commit", "keep-git-dir", "submodules"})
_TRUE = frozenset({"", "1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
OPTIONS = ("branch", "single-branch", "depth", "recurse-submodules", "insecure-skip-tls")
"""The keys of ``--git``."""


@fast_dataclass(frozen=True, slots=True)
class GitSource:
    """``remote`` has no user information where it is an http URL: that is in ``credentials`` (user, password).

    ``ref`` empty is the remote's default branch; ``branch`` is a name to be looked for among branches, then tags.
    ``checksum`` is a commit hash or a prefix of one that has to be found, ``commit`` one to check out. ``depth`` counts
    commits, 0 is all of them; with ``everything``, all branches and tags are fetched.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    keep_git_dir: bool = False
    submodules: bool = True
    checksum: str = ""
    branch: str = ""
    commit: str = ""
    depth: int = 1
    everything: bool = False
    verify: bool = True
    credentials: tuple[str, str] | None = field(default=None, repr=False)


@fast_dataclass(frozen=True, slots=True)
class GitOptions:
    """``--git``; ``depth`` None is not given."""

    branch: str = ""
    single_branch: bool = False
    depth: int | None = None
    recurse_submodules: bool | None = None
    insecure_skip_tls: bool = False


def parse_git_options(pairs: Iterable[tuple[str, str]]) -> GitOptions:
    """Raises :class:`UsageError` for an unknown key and for a list of keys in one value."""
    given = dict(pairs)
    for key, value in given.items():
        if key not in OPTIONS:
            raise UsageError(f"--git: unknown key {key!r}", hint=f"the keys are {', '.join(OPTIONS)}")
        if any(f",{each}=" in value for each in OPTIONS):
            raise UsageError(f"--git {key}={value}: more than one key", hint="repeat the flag: --git A=… --git B=…")
    depth = given.get("depth")
    if depth is not None and not (depth.isascii() and depth.isdigit() and len(depth) < 10):
        raise UsageError(f"--git depth={depth}: the depth must be a number of commits", hint="use 0 for the whole history")
    return GitOptions(
        given.get("branch", ""),
        _bool(given, "single-branch") or False,
        None if depth is None else int(depth),
        _bool(given, "recurse-submodules"),
        _bool(given, "insecure-skip-tls") or False,
    )


def _bool(given: Mapping[str, str], key: str) -> bool | None:
    value = given.get(key)
    if value is None:
        return None
    if value not in _TRUE | _FALSE:
        raise UsageError(f"--git {key}={value}: write true or false")
    return value in _TRUE


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
    ref, subdir = unquote(ref), unquote(subdir)  # a URL's fragment; the scp form is no URL
    parts = urlsplit(url)
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", fragment))
    options: dict[str, str] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in _KEYS or key in options:
            raise UsageError(f"unexpected query key {key!r} in the Git URL {shown!r}")
        options[key] = value
    for key, prefix in (("tag", "refs/tags/"), ("branch", "refs/heads/")):
        if key in options:
            if ref:
                raise UsageError(f"the Git URL {shown!r} names a ref twice")
            ref = prefix + options[key]
    if "ref" in options and ref:
        raise UsageError(f"the Git URL {shown!r} names a ref twice")
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


def parse_kaniko_git(rest: str, options: GitOptions, method: str = "") -> GitSource:
    """``[user[:password]@]host/path[#ref[:subdir][#commit]]``, what stands after ``git://`` in a context.

    The transport is https, or http where ``method`` (``GIT_PULL_METHOD``) says so. The ``.git`` directory is kept and
    submodules are left out, as kaniko does. A ref that is named is fetched alone and without its history, unless
    ``depth`` says otherwise.
    """
    repository, *more = rest.split("#")
    ref, _, subdir = (more[0] if more else "").partition(":")
    source = GitSource(
        f"{'http' if method == 'http' else 'https'}://{repository}",
        ref,
        subdir,
        keep_git_dir=True,
        submodules=False,
        commit=more[1] if len(more) > 1 else "",
        depth=1 if ref or options.branch else 0,
    )
    return with_options(source, options)


def with_options(source: GitSource, options: GitOptions) -> GitSource:
    """Raises :class:`UsageError` for a branch that cannot be one."""
    if options.depth is not None:
        source = replace(source, depth=options.depth)
    if options.recurse_submodules is not None:
        source = replace(source, submodules=options.recurse_submodules)
    source = replace(
        source,
        branch=options.branch or source.branch,
        everything=source.depth == 0 and not options.single_branch,
        verify=not options.insecure_skip_tls,
    )
    return _checked(source)


def is_hash(ref: str) -> bool:
    """Whether a ref is a whole commit hash (SHA-1 or SHA-256)."""
    return _HASH.match(ref) is not None


def _checked(source: GitSource) -> GitSource:
    words = (source.remote, source.ref, source.branch, source.commit)
    if any(word.startswith("-") or "\n" in word for word in words) or ".." in source.subdir.split("/"):
        raise UsageError(f"the Git URL of {without_credentials(source.remote)!r} has an invalid ref or directory")
    parts = urlsplit(source.remote)
    if parts.scheme not in ("http", "https") or "@" not in parts.netloc:
        return source
    userinfo, _, host = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    remote = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    return replace(source, remote=remote, credentials=(unquote(user), unquote(password)))


def without_credentials(remote: str) -> str:
    """A remote fit for messages: no user information in a URL. The user of the scp form is part of the address."""
    return re.sub(r"//[^/@\s]*@", "//", remote)
