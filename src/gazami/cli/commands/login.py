"""``gazami login``: a user and a password into docker's ``config.json``, or into the program that it names."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from gazami.cli.command import Command, Execution, Task, one_positional
from gazami.cli.commands.stored_credentials import config_path, host_of, key_of, store
from gazami.cli.environ import look_around
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.kinds import BOOL, STRING
from gazami.cli.flags.option import Group, Option
from gazami.cli.flags.registries import WRITING, table
from gazami.errors import UsageError
from gazami.values import replace

_USAGE = """\
Log in to a registry: check a user and a password there, and store them where docker, podman and gazami find them.

Usage:
  gazami login [REGISTRY] [--username NAME] [--password-stdin] [flags]

Without REGISTRY: Docker Hub. On a terminal it asks for what is missing. The file is $DOCKER_CONFIG/config.json, else
~/.docker/config.json. Where it names a credential program (credsStore, credHelpers), that program gets the password.

Examples:
  gazami login registry.example.com
  echo "$CI_REGISTRY_PASSWORD" |
    gazami login -u "$CI_REGISTRY_USER" --password-stdin "$CI_REGISTRY"
"""

USERNAME = Option("username", STRING, Group.REGISTRY, "The user.", metavar="NAME", shorthands="u")
PASSWORD = Option("password", STRING, Group.REGISTRY, "The password; visible in the list of processes, so better on standard "
                  "input.", metavar="TEXT", shorthands="p")  # fmt: skip
PASSWORD_STDIN = Option("password-stdin", BOOL, Group.REGISTRY, "Read the password from standard input.", "false")
NO_CHECK = Option("no-check", BOOL, Group.REGISTRY, "Do not ask the registry whether they are right.", "false")

_CHECKING = tuple(
    row for row in WRITING
    if row.name not in (options.PUSH_RETRY.name, options.PUSH_IGNORE_IMMUTABLE_TAG_ERRORS.name, options.CREDENTIAL_HELPERS.name)
)  # fmt: skip


def _start(flags: Flags, environ: Mapping[str, str]) -> Task:
    """Questions are asked before there is a display."""
    key = key_of(one_positional(flags, "a registry") if flags.positionals else "")
    username = flags[USERNAME] or _asked("Username: ")
    if not username:
        raise UsageError("--username is needed")
    password = _password(flags)
    return Task(look_around(environ), lambda run: _login(key, username, password, flags, run))


def _login(key: str, username: str, password: str, flags: Flags, run: Execution) -> int:
    if not flags[NO_CHECK]:
        _check(host_of(key), username, password, flags, run)
    where = store(config_path(run.around.environ), key, username, password)
    verb = "Stored the credentials" if flags[NO_CHECK] else "Login succeeded; stored the credentials"
    sys.stderr.write(f"{verb} for {key} in {where}\n")
    return 0


def _check(host: str, username: str, password: str, flags: Flags, run: Execution) -> None:
    """Raises :class:`AuthenticationError` where the registry says no, :class:`TransportError` where it says nothing."""
    from gazami.cli.request.registry import registry_options
    from gazami.errors import AuthenticationError
    from gazami.image.reference import Reference
    from gazami.registry.client import RegistryClient
    from gazami.registry.credentials import Credential, GivenCredentials, Keychain
    from gazami.registry.sessions import greet

    given = GivenCredentials("login", ((host, Credential(username, password)),))
    with RegistryClient(registry_options(flags, run.around), Keychain([given]), run.emit, run.cancel) as client:
        try:
            greet(client.session(Reference(host, "login", "latest"), "push"))
        except AuthenticationError as error:
            error.hint = (
                "check user and password (registries with two factors want a token); nothing was stored, --no-check stores anyway"
            )
            raise


def _password(flags: Flags) -> str:
    given = flags[PASSWORD]
    if given and flags[PASSWORD_STDIN]:
        raise UsageError("--password and --password-stdin exclude each other")
    if flags[PASSWORD_STDIN]:
        given = sys.stdin.readline().rstrip("\n").removesuffix("\r")
        if not given:
            raise UsageError("standard input holds no password")
    if not given and _is_terminal():
        from getpass import getpass

        given = getpass("Password: ", stream=sys.stderr)
    if not given:
        raise UsageError("a password is needed", hint='echo "$PASSWORD" | gazami login … --password-stdin')
    return given


def _asked(question: str) -> str:
    if not _is_terminal():
        return ""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


COMMAND = Command(
    "login",
    _USAGE,
    table((USERNAME, PASSWORD, PASSWORD_STDIN, NO_CHECK), (*_CHECKING, replace(options.VERBOSITY, hidden=True))),
    _start,
)
