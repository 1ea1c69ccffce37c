"""What every prepared root has: an account, a working directory, name servers and host names. Standard library only."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from gazami.errors import SandboxError, UserError
from gazami.layer.beneath import Beneath
from gazami.sandbox.inside.accounts import FILE_LIMIT, Account, find_account
from gazami.sandbox.inside.paths import FileType, Names, PathFd, read_text, walk
from gazami.sandbox.spec import BindMount, RunSpec
from gazami.values import fast_dataclass

RESOLV_CONF, HOSTS = "/etc/resolv.conf", "/etc/hosts"


@fast_dataclass(frozen=True, slots=True)
class PreparedRoot:
    """A root ready to be entered: descriptors of it and of the working directory, and who the command runs as."""

    root: int
    cwd: int
    account: Account


def look_up(root: int, user: str) -> Account:
    """The account that USER means in a root's own files. Raises UserError."""
    passwd = read_text(root, "/etc/passwd", FILE_LIMIT)
    group = read_text(root, "/etc/group", FILE_LIMIT)
    return find_account(user, passwd, group)


def open_cwd(root: int, cwd: str, made: list[Names]) -> int:
    """The working directory, made by root with mode 0755 when missing (it stays, as with Docker); ``made`` gets the names of
    new directories."""

    def note(parent: PathFd, name: str, file_type: FileType) -> None:
        made.append((*parent.names, name))

    with suppress(NotADirectoryError):
        found = walk(root, cwd, "directory", note)
        if found.is_directory:
            return found.fd
        os.close(found.fd)
    raise UserError(f"the working directory {cwd} is not a directory in the image")


def open_source(mount: BindMount) -> int:
    """An O_PATH descriptor of a bind mount's source, which is no link, nor reached through one below ``beneath``."""
    try:
        if mount.beneath:
            with Beneath(mount.beneath) as folder:
                fd = folder.open(os.path.relpath(mount.source, mount.beneath), os.O_PATH)
        else:
            fd = os.open(mount.source, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise SandboxError(f"cannot mount {mount.source} at {mount.target}: {error.strerror}") from None
    if stat.S_ISLNK(os.fstat(fd).st_mode):
        os.close(fd)
        raise SandboxError(f"cannot mount {mount.source} at {mount.target}: a symbolic link has taken its place")
    return fd


def resolv_conf(path: str = RESOLV_CONF) -> bytes:
    """The container's name servers: the command uses the same network."""
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""


def hosts_file(spec: RunSpec) -> bytes:
    lines = [f"127.0.0.1\tlocalhost {spec.hostname}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{address}\t{name}" for address, name in spec.hosts]
    return "".join(f"{line}\n" for line in lines).encode()
