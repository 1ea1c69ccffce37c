"""The flags in a text of ``--help``, laid out for the width of the terminal."""

from __future__ import annotations

import textwrap

from gazami.cli.flags.option import Group, Option, Table

_COLUMN = 30


_MANY = 40
"""Flags that are not looked through without the names of their groups."""


def flag_rows(table: Table, width: int) -> str:
    """The flags that are shown, in their order, or many of them under the names of their groups. ``width`` is in columns; lines
    that must not break may be longer."""
    width = max(60, min(width, 110))
    shown = [option for option in table if not option.hidden]
    if len(shown) <= _MANY:
        return _section("Flags", shown, width)
    grouped_rows = ((group, [option for option in shown if option.group is group]) for group in Group)
    return "\n".join(_section(f"{group.value} flags", rows, width) for group, rows in grouped_rows if rows)


def _section(title: str, options: list[Option[object]], width: int) -> str:
    """A row for each flag; those without effect in one paragraph, since the log says more when one is given."""
    idle = ", ".join(f"--{option.name}" for option in options if option.unused)
    rows = [_row(option, width) for option in options if not option.unused]
    if idle:
        text = f"Accepted, without effect here: {idle}."
        pad = " " * 6
        rows += textwrap.wrap(
            text, width, initial_indent=pad, subsequent_indent=pad, break_long_words=False, break_on_hyphens=False
        )
    return "\n".join([f"{title}:", *rows]) + "\n"


def _row(option: Option[object], width: int) -> str:
    names = ", ".join([*(f"-{letter}" for letter in option.shorthands), *long_names(option)])
    head = f"  {names}" if option.shorthands else f"      {names}"
    if shown := metavar(option):
        head += f" {shown}"
    lines = textwrap.wrap(description(option), width - _COLUMN, break_long_words=False, break_on_hyphens=False)
    pad = " " * _COLUMN
    if len(head) + 2 <= _COLUMN:
        return "\n".join([head.ljust(_COLUMN) + lines[0], *(pad + line for line in lines[1:])])
    return "\n".join([head, *(pad + line for line in lines)])


def long_names(option: Option[object]) -> list[str]:
    """The spellings to teach; an alias that is only kaniko's old camel case is not."""
    return [f"--{name}" for name in (option.name, *option.aliases) if name == name.lower()]


def metavar(option: Option[object]) -> str:
    """What stands for the value in help; empty for bool flags."""
    if option.kind.bare:
        return ""
    return option.metavar or "|".join(option.kind.choices) or "VALUE"


def description(option: Option[object]) -> str:
    """The help text with the default, the repeatability and what is missing."""
    text = option.help
    if option.default and option.default != "false":
        text += f" Default: {option.default}."
    if option.kind.repeatable:
        text += " Repeatable."
    if option.env:
        text += f" Environment: {option.env}."
    if option.unused:
        text += f" [no effect: {option.unused}]"
    return text


def flowed(text: str, width: int) -> str:
    """Prose of a usage laid out for a width: paragraphs are filled, and lists and headings stay as they are."""
    width = max(60, min(width, 110))
    blocks = (_flowed_block(block, width) for block in text.rstrip("\n").split("\n\n"))
    return "\n\n".join(blocks) + "\n"


def _flowed_block(block: str, width: int) -> str:
    lines = block.splitlines()
    if any(line.startswith(" ") for line in lines) or lines[0].endswith(":"):
        return block
    return textwrap.fill(" ".join(lines), width, break_long_words=False, break_on_hyphens=False)
