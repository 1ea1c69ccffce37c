"""The commands: a row each, with the module that has its ``COMMAND`` and what it does, for ``gazami --help``.

A module is imported when its command is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gazami.cli.command import Command

ROWS = {
    "build": ("commands.build", "build an image and push it"),
    "submit": ("submit.command", "build in a Kubernetes cluster and watch it from here"),
    "push": ("commands.push", "push an OCI layout, or an archive of docker save, to registries"),
    "pull": ("commands.pull", "fetch an image into an OCI layout or an archive"),
    "inspect": ("commands.inspect", "say what an image is without fetching its layers"),
    "diff": ("commands.diff", "compare the config and the files of two images"),
    "analyze": ("commands.analyze", "say what an image's layers hold, and what of it is waste"),
    "copy": ("commands.copy", "copy an image from one registry to another, or to a layout"),
    "tag": ("commands.tag", "give an image in a registry another name"),
    "ls": ("commands.tags", "list the tags of a repository"),
    "login": ("commands.login", "check and store a user and a password for a registry"),
    "logout": ("commands.logout", "remove the credentials for a registry"),
    "warm": ("commands.warm", "fill a directory of base images for --cache-dir"),
    "cache": ("commands.cache", "list, measure or prune the layer cache"),
    "cache explain": ("commands.explain", "say why a step is not found in the layer cache"),
    "state": ("commands.state", "say what the state directory holds, and remove it"),
    "lint": ("commands.lint", "check a Dockerfile"),
    "doctor": ("commands.doctor", "say what a build would find here: isolation, space, registry"),
    "completion": ("commands.completion", "print completions for bash, zsh or fish"),
    "version": ("commands.version", "print the version"),
    "help": ("commands.help", "explain a command: gazami help build"),
}

SUBCOMMANDS = {"cache": ("du", "explain", "ls", "prune"), "state": ("du", "prune"), "completion": ("bash", "zsh", "fish")}
"""Words that a command takes first."""


def command(name: str) -> Command:
    """The command of a row."""
    found: Command = import_module(f"gazami.cli.{ROWS[name][0]}").COMMAND
    return found


def called(words: list[str]) -> tuple[str, list[str]]:
    """The command that the words name, and the rest of them; a name may be two words. An unknown one is empty."""
    for length in (2, 1):
        if (name := " ".join(words[:length])) in ROWS:
            return name, words[length:]
    return "", words
