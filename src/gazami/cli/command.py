"""What the smaller commands share: their table of flags, their help, signals, errors and a registry client."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, cast

from gazami.cancel import Cancel
from gazami.cli.bug import as_gazami_error
from gazami.cli.environ import Surroundings, look_around
from gazami.cli.flags.argv import Parsed, parse, with_environment
from gazami.cli.flags.help import flag_rows
from gazami.cli.flags.option import Option, Table
from gazami.cli.flags.options import BUILD
from gazami.errors import Cancelled, GazamiError, UsageError
from gazami.values import dataclass

if TYPE_CHECKING:
    from gazami.events import Emit
    from gazami.registry.client import RegistryClient

REGISTRY = (
    "insecure", "insecure-pull", "insecure-registry", "skip-tls-verify", "skip-tls-verify-pull", "skip-tls-verify-registry",
    "registry-certificate", "registry-client-cert", "registry-map", "registry-mirror", "skip-default-registry-fallback",
    "push-retry", "push-ignore-immutable-tag-errors", "image-download-retry", "image-fs-extract-retry", "credential-helpers",
)  # fmt: skip
TALKING = ("verbosity", "quiet", "progress", "log-format", "log-timestamp")


@dataclass(frozen=True, slots=True)
class Command:
    """``usage`` is the text above the list of flags. ``work`` returns the exit status."""

    name: str
    usage: str
    table: Table
    work: Callable[[Parsed, Run], int]
    shown: Table | None = None
    """The flags that help lists, where that is not the whole table."""


@dataclass(slots=True)
class Run:
    """One call of a command."""

    environ: Mapping[str, str]
    around: Surroundings
    emit: Emit
    cancel: Cancel

    @contextlib.contextmanager
    def registry(self, parsed: Parsed) -> Iterator[RegistryClient]:
        from gazami.builder.inputs.registries import open_registry
        from gazami.cli.request import registry_wishes

        with open_registry(registry_wishes(parsed, self.around), self.emit, self.cancel) as client:
            yield client


def of_build(*names: str) -> tuple[Option, ...]:
    """Rows of the build's table: what means the same is written once."""
    found = [BUILD.long(name) for name in names]
    return tuple(option for option in found if option is not None)


def help_of(command: Command) -> str:
    width = max(60, min(shutil.get_terminal_size((100, 24)).columns, 110))
    return f"{command.usage}\nFlags:\n{flag_rows(command.shown or command.table, width)}\n"


def run_command(command: Command, words: list[str], environ: Mapping[str, str]) -> int:
    """The exit status. Errors are told on standard error."""
    from gazami.cli.run import exit_status, log_settings, stopped_by_signals
    from gazami.report.excerpt import failure
    from gazami.report.plain import Streams
    from gazami.report.reporter import open_reporter

    try:
        parsed = with_environment(parse(words, command.table), command.table, environ)
        if parsed.help:
            sys.stdout.write(help_of(command))
            return 0
        around = look_around(environ)
    except GazamiError as error:
        sys.stderr.write(f"{failure(error).text}\nRun 'gazami {command.name} --help' for usage.\n")
        return exit_status(error)
    settings = log_settings(parsed, environ, terminal=sys.stderr.isatty())
    reporter = open_reporter(
        settings,
        Streams(sys.stderr.buffer, sys.stderr.buffer),
        progress=cast('Literal["auto", "plain", "tty"]', parsed.text("progress")),
        terminal=sys.stderr.isatty() and environ.get("TERM", "dumb") != "dumb" and not environ.get("CI"),
    )
    cancel = Cancel()
    with stopped_by_signals(cancel) as signals:
        try:
            return command.work(parsed, Run(environ, around, reporter.emit, cancel))
        except BrokenPipeError:
            raise
        except Exception as cause:
            verbose = settings.verbosity in ("trace", "debug")
            failed = cause if isinstance(cause, GazamiError) else as_gazami_error(cause, verbose=verbose)
            reporter.close()
            reporter.fail(Cancelled("interrupted") if signals else failed)
            if isinstance(failed, UsageError) and not signals:
                sys.stderr.write(f"Run 'gazami {command.name} --help' for usage.\n")
            return 128 + signals[0] if signals else exit_status(failed)
        finally:
            reporter.close()


def one_positional(parsed: Parsed, what: str) -> str:
    """Raises :class:`UsageError` unless there is exactly one."""
    if len(parsed.positionals) != 1:
        given = f"{len(parsed.positionals)} were given" if parsed.positionals else "none was given"
        raise UsageError(f"{what} is needed, {given}")
    return parsed.positionals[0]
