"""Write the reference pages of flags from their tables. ``--check`` only tells whether they are up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from gazami.cli.flags.docker import DOCKER
from gazami.cli.flags.help import long_names, metavar
from gazami.cli.flags.option import Group, Option
from gazami.cli.flags.options import BUILD
from gazami.cli.submit.flags import OWN

REFERENCE = Path(__file__).resolve().parent.parent / "docs" / "reference"

_HEAD = """\
# Flags of gazami build

<!-- Made by scripts/render_reference.py from src/gazami/cli/flags/options.py. Do not edit. -->

Every flag of kaniko's executor is accepted. One marked *no effect* is not needed and is only mentioned in the log.

- `--flag=value` and `--flag value` mean the same. A flag without a value in its column is true or false: `--flag` is true,
  `--flag=false` is false; the next word is never taken.
- Shorthands: `-t name`, `-tname`, `-t=name`. `--` ends the flags.
- A variable gives a default for its flag, except `KANIKO_NO_PUSH`, which overrides it in both directions. Variables of
  repeatable flags add to what the command line has. Every flag has a variable `GAZAMI_<FLAG>`, and can be set in a file: see
  [settings](settings.md).
- `/kaniko/executor` takes all but those of the section *docker build*.
"""

_KANIKO_HEAD = """\
# kaniko's flags in gazami

<!-- Made by scripts/render_reference.py from src/gazami/cli/flags/options.py. Do not edit. -->

Every flag of kaniko's executor, and what it does here. `/kaniko/executor` of gazami's image and `gazami build`
take them; what else gazami has is in [flags](flags.md).

| kaniko's flag | here | meaning |
|---|---|---|
"""


_SUBMIT_HEAD = """\
# Flags of gazami submit

<!-- Made by scripts/render_reference.py from src/gazami/cli/submit/flags.py. Do not edit. -->

Its own flags. Those of [gazami build](flags.md) that say what is built mean the same; those that write the image to files, and
`--ssh`, `--dryrun`, `--check`, `--call`, `--index`, are refused. See [how to submit](../how-to/submit-to-kubernetes.md).

| flag | value | default | meaning |
|---|---|---|---|
"""


def pages() -> dict[Path, str]:
    """What each file should hold."""
    return {
        REFERENCE / "flags.md": page(),
        REFERENCE / "kaniko-flags.md": kaniko_page(),
        REFERENCE / "submit-flags.md": submit_page(),
    }


def submit_page() -> str:
    return _SUBMIT_HEAD + "\n".join(_row(option).replace(" (gazami only)", "") for option in OWN) + "\n"


def kaniko_page() -> str:
    rows = []
    for option in sorted((option for option in BUILD if option.kaniko), key=lambda option: option.name):
        state = "no effect" if option.unused else "works"
        meaning = f"{option.unused}." if option.unused else option.help
        names = ", ".join(f"`--{name}`" for name in (option.name, *option.deprecated))
        rows.append(f"| {names} | {state} | {_cell(meaning)} |")
    return _KANIKO_HEAD + "\n".join(rows) + "\n"


def page() -> str:
    table = (*BUILD, *DOCKER)
    sections = [_section(group, [option for option in table if option.group is group]) for group in Group]
    return "\n".join([_HEAD, *sections])


def _section(group: Group, options: list[Option[object]]) -> str:
    rows = [f"## {group.value}", "", "| flag | value | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*rows, *(_row(option) for option in options), ""])


def _row(option: Option[object]) -> str:
    names = ", ".join(f"`{name}`" for name in [*(f"-{letter}" for letter in option.shorthands), *long_names(option)])
    value = f"`{_cell(metavar(option))}`" if metavar(option) else ""
    if option.kind.repeatable:
        value += " repeatable"
    default = f"`{option.default}`" if option.default else ""
    return f"| {names} | {value} | {default} | {_cell(_meaning(option))} |"


def _meaning(option: Option[object]) -> str:
    text = option.help
    if option.env:
        text += f" Environment: `{option.env}`."
    others = [f"`--{name}`" for name in option.spellings if f"--{name}" not in long_names(option)]
    if others:
        text += f" Older spelling: {', '.join(others)}."
    if not option.kaniko:
        text += " (gazami only)"
    if option.unused:
        text += f" *No effect: {option.unused}.*"
    return text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    for path, text in pages().items():
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{path} is out of date: run scripts/render_reference.py")
