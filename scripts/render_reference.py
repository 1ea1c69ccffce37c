"""Write docs/reference/flags.md from the table of flags. ``--check`` only tells whether the file is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from gazami.cli.help import long_names, metavar
from gazami.cli.option import REPEATABLE, Effect, Group, Option
from gazami.cli.options import BUILD

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "flags.md"

_HEAD = """\
# Flags of gazami build

<!-- Made by scripts/render_reference.py from src/gazami/cli/options.py. Do not edit. -->

Every flag of kaniko's executor is accepted. A flag that is set and marked *not effective yet* gives a warning, one marked
*no effect* is not needed and is only mentioned in the log.

- `--flag=value` and `--flag value` mean the same. A flag without a value in its column is true or false: `--flag` is true,
  `--flag=false` is false; the next word is never taken.
- Shorthands: `-t name`, `-tname`, `-t=name`. `--` ends the flags.
- A variable gives a default for its flag, except `KANIKO_NO_PUSH`, which overrides it in both directions. Variables of
  repeatable flags add to what the command line has.
"""


def page() -> str:
    sections = [_section(group, [option for option in BUILD if option.group is group]) for group in Group]
    return "\n".join([_HEAD, *sections])


def _section(group: Group, options: list[Option]) -> str:
    rows = [f"## {group.value}", "", "| flag | value | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*rows, *(_row(option) for option in options), ""])


def _row(option: Option) -> str:
    names = ", ".join(f"`{name}`" for name in [*(f"-{letter}" for letter in option.shorthands), *long_names(option)])
    value = f"`{_cell(metavar(option))}`" if metavar(option) else ""
    if option.kind in REPEATABLE:
        value += " repeatable"
    default = f"`{option.default}`" if option.default else ""
    return f"| {names} | {value} | {default} | {_cell(_meaning(option))} |"


def _meaning(option: Option) -> str:
    text = option.help
    if option.env:
        text += f" Environment: `{option.env}`."
    others = [f"`--{name}`" for name in option.spellings if f"--{name}" not in long_names(option)]
    if others:
        text += f" Older spelling: {', '.join(others)}."
    if not option.kaniko:
        text += " (gazami only)"
    if option.effect is not Effect.FULL:
        text += f" *{option.effect.value[:1].upper()}{option.effect.value[1:]}: {option.note}.*"
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    if "--check" in sys.argv:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        sys.exit(0 if current == page() else f"{PAGE} is out of date: run scripts/render_reference.py")
    PAGE.write_text(page(), encoding="utf-8")
