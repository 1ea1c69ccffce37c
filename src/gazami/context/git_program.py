"""Run git as a child: with its own environment, credentials in that environment only, ended with all its helpers.

Neither the machine's nor the user's configuration is read, and not one that the repository brings: HOME is an empty folder beside
the clone. Credentials are used for their own host only, wherever git is redirected (``git_askpass``), and appear in no argument,
file or log.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from gazami.cancel import Cancel
from gazami.context.git_askpass import answers, offered
from gazami.context.git_url import GitSource, without_credentials
from gazami.errors import ContextError, HostError
from gazami.foreign import printable
from gazami.values import fast_dataclass, field

_OWN = sys.prefix
"""Where gazami's image has a git of its own: ``/kaniko``, or where its executor was unpacked."""

_SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new"
_BOILERPLATE = ("Please make sure you have", "and the repository exists", "hint:", "Cloning into", "Submodule '")


@fast_dataclass(slots=True)
class Git:
    """``folder`` is the clone, ``home`` an empty folder. ``secrets`` never appear in a message."""

    folder: Path
    home: Path
    cancel: Cancel
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def run(self, *arguments: str) -> str:
        """Run git; its output. Raises :class:`ContextError` with git's own words, :class:`HostError` without git."""
        self.cancel.check()
        env = {
            "PATH": f"{_OWN}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(self.home), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": "https:http:ssh:git", "GIT_SSH_COMMAND": _SSH, **self.environment,
        }  # fmt: skip
        if (core := Path(_OWN) / "libexec/git-core").is_dir():
            env["GIT_EXEC_PATH"] = str(core)
        with offered(self.environment, self.home) as (asked, descriptors):
            try:
                process = subprocess.Popen(
                    ["git", "-c", "core.autocrlf=false", "-c", "core.logAllRefUpdates=false", *arguments],
                    cwd=self.folder, env={**env, **asked}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, umask=0o022, text=True, errors="replace", start_new_session=True,
                    pass_fds=descriptors,
                )  # fmt: skip
            except FileNotFoundError as cause:
                hint = "install it, or use an archive instead"
                raise HostError("the git program is not installed", hint=hint) from cause
            out, err = self._wait(process)
        if process.returncode:
            said = self._shown(err) or f"status {process.returncode}"
            if self.secrets and re.search(_REFUSED, err):
                raise ContextError(
                    f"git {arguments[0]}: the server refused the credentials: {said}",
                    hint="check that GIT_TOKEN (or the user and the password) is right, is not over, and may read this repository",
                )
            raise ContextError(f"git {arguments[0]}: {said}", hint=_hint(err))
        return out

    def _wait(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.communicate(timeout=0.2)
                self.cancel.check()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise

    def _shown(self, err: str) -> str:
        lines = [line.strip() for line in err.splitlines()]
        told = [line for line in lines if line and not line.startswith(_BOILERPLATE) and _NO_PROMPT not in line]
        text = printable(without_credentials("; ".join(told[-2:])))
        for secret in self.secrets:
            text = text.replace(secret, "REDACTED")
        return text[:1000]


def credentials_of(source: GitSource, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password for an http remote: those of the URL, else ``GIT_TOKEN`` (as the user, which is kaniko's way and
    what the hosting services take), else ``GIT_USERNAME`` and ``GIT_PASSWORD``."""
    if urlsplit(source.remote).scheme not in ("http", "https"):
        return None
    if source.credentials is not None:
        return source.credentials
    if token := variables.get("GIT_TOKEN"):
        return token, ""
    user, password = variables.get("GIT_USERNAME", ""), variables.get("GIT_PASSWORD", "")
    return (user, password) if user or password else None


def authorization(remote: str, credentials: tuple[str, str] | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Variables that give ``credentials`` to git for the remote's own host, and all their spellings."""
    if credentials is None:
        return {}, ()
    user, password = credentials
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    spelled = {encoded, password, quote(password, safe="")}
    if not password:
        spelled |= {user, quote(user, safe="")}
    return answers(remote, credentials), tuple(sorted((each for each in spelled if each), key=len, reverse=True))


_NO_PROMPT = "/bin/false"
"""What git says of the program that it is given so that it asks nobody."""

_REFUSED = r"could not read (Username|Password)|Authentication failed|HTTP Basic: Access denied|error: 40[13]"

_HINTS = (
    (r"could not read (Username|Password)|Authentication failed|HTTP Basic: Access denied|error: 40[13]|not found",
     "check the URL; for a private repository set GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD"),
    (r"find remote ref|unadvertised object|not our ref|Needed a single revision|unknown revision",
     "check the name of the branch, tag or commit"),
    (r"from proxy|HTTP code 407|[Pp]roxy CONNECT|resolve proxy",
     "check HTTPS_PROXY (http://user:password@host:port) and NO_PROXY"),
    (r"certificate|SSL|TLS|server verification failed|self.signed",
     "trust its authority with SSL_CERT_FILE or SSL_CERT_DIR, or skip the check with --git insecure-skip-tls=true"),
    (r"Permission denied \(|publickey", "give an ssh agent that has the key: SSH_AUTH_SOCK, or --ssh default=SOCKET"),
    (r"Host key verification failed", "add its key to known_hosts, or name another file with GIT_SSH_COMMAND"),
    (r"cannot run ssh|ssh: not found|ssh: No such file", "install the ssh program, or use the https URL"),
    (r"Could not resolve host", "check the spelling of the host's name and the network's DNS"),
    (r"transport '.*' not allowed", "use https, http, ssh or git"),
)  # fmt: skip


def _hint(said: str) -> str | None:
    return next((hint for pattern, hint in _HINTS if re.search(pattern, said)), None)
