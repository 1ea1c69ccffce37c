"""Write manual pages of all commands from their tables of flags: ``python scripts/render_man.py DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

from gazami import __version__
from gazami.cli.command import Command
from gazami.cli.commands.rows import ROWS, command
from gazami.cli.flags.help import description, long_names, metavar
from gazami.cli.flags.option import Option

COLUMN = 26


def pages() -> dict[str, str]:
    """File names and texts in the macros of man(7)."""
    rows = {name: does for name, (_, does) in ROWS.items()} | {"help": "build container images without a daemon"}
    return {_file(name): page(command(name), does) for name, does in rows.items()}


def page(of: Command, does: str) -> str:
    name = _file(of.name).removesuffix(".1")
    usage, _, examples = of.usage.partition("\nExamples:\n")
    summary, _, synopsis = usage.partition("\nUsage:\n")
    synopsis, _, more = synopsis.partition("\n\n")
    parts = [
        f'.TH {name.upper()} 1 "" "gazami {__version__}"',
        f".SH NAME\n{_text(name)} \\- {_text(does)}",
        f".SH SYNOPSIS\n.nf\n{_text(synopsis.rstrip())}\n.fi",
        f".SH DESCRIPTION\n{_prose(summary)}" + (f"\n.PP\n{_prose(more)}" if more.strip() else ""),
    ]
    options = [option for option in of.table if not option.hidden]
    if options:
        parts.append(".SH OPTIONS\n" + "\n".join(map(_option, options)))
    if of.notes:
        parts.append(f".SH NOTES\n{_prose(of.notes)}")
    if examples:
        parts.append(f".SH EXAMPLES\n.nf\n{_text(examples.rstrip())}\n.fi")
    return "\n".join(parts) + "\n"


def _option(option: Option[object]) -> str:
    names = ", ".join([*(f"-{letter}" for letter in option.shorthands), *long_names(option)])
    value = f" \\fI{_text(metavar(option))}\\fR" if metavar(option) else ""
    return f".TP\n\\fB{_text(names)}\\fR{value}\n{_text(description(option))}"


def _prose(text: str) -> str:
    """Paragraphs; what is indented stays as it is."""
    done = []
    for block in text.strip("\n").split("\n\n"):
        kept = any(line.startswith(" ") for line in block.splitlines())
        done.append(f".nf\n{_text(block)}\n.fi" if kept else _text(block))
    return "\n.PP\n".join(done)


def _text(text: str) -> str:
    """A line that begins with a dot or a quote is no request, and a dash is one that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())


def _file(name: str) -> str:
    """``gazami-cache-explain.1``; ``gazami help`` is the page of the program."""
    return "gazami.1" if name == "help" else f"gazami-{name.replace(' ', '-')}.1"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in pages().items():
        (folder / file).write_text(text, encoding="utf-8")
