"""What each metadata instruction does to the image config: ``apply(instruction, config, …)`` and its history text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, assert_never

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.signals import is_signal
from gazami.errors import DockerfileError
from gazami.image.config import Healthcheck, ImageConfig
from gazami.plan import created_by
from gazami.plan.ports import exposed_ports
from gazami.values import replace

DEFAULT_SHELL = ("/bin/sh", "-c")

MAX_ITEMS = 2000
"""Variables, labels, ports, volumes or triggers of an image."""

Metadata: TypeAlias = (
    ast.Env
    | ast.Label
    | ast.User
    | ast.Expose
    | ast.Volume
    | ast.Cmd
    | ast.Entrypoint
    | ast.Shell
    | ast.StopSignal
    | ast.Healthcheck
    | ast.Onbuild
    | ast.Maintainer
)


def with_shell(command: ast.CommandLine, config: ImageConfig) -> tuple[str, ...]:
    """The argument vector of a shell or exec form."""
    if not command.shell:
        return command.words
    shell = config.shell or DEFAULT_SHELL
    return (*shell, *command.words)


def apply(instruction: Metadata, config: ImageConfig, *, cmd_set: bool) -> tuple[ImageConfig, str | None]:
    """The config after an instruction whose variables are expanded, and its history text, None for no entry. ``cmd_set``: a CMD
    stands before it in the same stage. Raises :class:`DockerfileError` without a span."""
    match instruction:
        case ast.Env():
            config = config.with_envs(instruction.pairs)
            _check_count("variables", config.env)
            return config, created_by.pairs("ENV", instruction.pairs)
        case ast.Label():
            config = config.with_labels(instruction.pairs)
            _check_count("labels", config.labels)
            return config, created_by.pairs("LABEL", instruction.pairs)
        case ast.User():
            user = _given("USER", instruction.user)
            return replace(config, user=user), f"USER {user}"
        case ast.Expose():
            ports = exposed_ports(instruction.ports)
            merged = tuple(dict.fromkeys((*config.exposed_ports, *ports)))
            _check_count("ports", merged)
            return replace(config, exposed_ports=merged), f"EXPOSE {created_by.plain_list(ports)}"
        case ast.Volume():
            paths = tuple(_given("VOLUME", path) for path in instruction.paths)
            merged = tuple(dict.fromkeys((*config.volumes, *paths)))
            _check_count("volumes", merged)
            return replace(config, volumes=merged), f"VOLUME {created_by.plain_list(paths)}"
        case ast.Cmd():
            argv = with_shell(instruction.command, config)
            return replace(config, cmd=argv, args_escaped=True), f"CMD {created_by.quoted_list(argv)}"
        case ast.Entrypoint():
            return _entrypoint(instruction, config, cmd_set=cmd_set)
        case ast.Shell():
            return replace(config, shell=instruction.words), f"SHELL {created_by.plain_list(instruction.words)}"
        case ast.StopSignal():
            signal = instruction.signal
            if not is_signal(signal):
                raise DockerfileError(f"Invalid signal: {signal}", hint="a name such as SIGTERM, or a number")
            return replace(config, stop_signal=signal), f"STOPSIGNAL {signal}"
        case ast.Healthcheck(_, test, interval, timeout, period, start_interval, retries):
            check = Healthcheck(test, interval, timeout, period, start_interval, retries)
            return replace(config, healthcheck=check), created_by.healthcheck(check)
        case ast.Onbuild():
            config = replace(config, onbuild=(*config.onbuild, instruction.trigger))
            _check_count("triggers", config.onbuild)
            return config, None
        case ast.Maintainer():
            return replace(config, author=instruction.name), f"MAINTAINER {instruction.name}"
    assert_never(instruction)


def _entrypoint(instruction: ast.Entrypoint, config: ImageConfig, *, cmd_set: bool) -> tuple[ImageConfig, str | None]:
    argv = with_shell(instruction.command, config)
    config = replace(
        config,
        entrypoint=argv or None,
        cmd=config.cmd if cmd_set else None,
        args_escaped=True if instruction.command.shell else config.args_escaped,
    )
    return config, f"ENTRYPOINT {created_by.quoted_list(argv)}"


def _check_count(what: str, items: Sequence[object]) -> None:
    """Every step of a build looks at all of them, so that there has to be an end."""
    if len(items) > MAX_ITEMS:
        raise DockerfileError(f"an image with more than {MAX_ITEMS} {what} is refused")


def _given(keyword: str, value: str) -> str:
    if not value:
        raise DockerfileError(f"{keyword} is empty once its variables are expanded")
    return value
