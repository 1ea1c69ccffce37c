"""Scripts for shells that complete commands, flags and values, made from the tables of flags. Pure.

A flag that has choices completes them, one that names a file or a directory completes paths, and any other value is left to the
user. A script knows what this version knows: it is printed anew after an update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gazami.cli.flags.help import long_names, metavar
from gazami.cli.flags.option import Option, Table
from gazami.values import fast_dataclass

_PATHS = ("FILE", "DIR", "PATH")


@fast_dataclass(frozen=True, slots=True)
class Completed:
    """A command, which may have two words; ``words`` are what may come after it."""

    name: str
    does: str
    table: Table
    words: tuple[str, ...] = ()

    def options(self) -> Iterator[Option[object]]:
        return (option for option in self.table if not option.hidden and not option.unused)

    def spellings(self, option: Option[object]) -> list[str]:
        return [*(f"-{letter}" for letter in option.shorthands), *long_names(option)]


def _takes_path(option: Option[object]) -> bool:
    return any(word in metavar(option) for word in _PATHS)


# -- bash -------------------------------------------------------------------------------------------------------------


def bash(rows: Sequence[Completed]) -> str:
    """Works without the package bash-completion, where ``=`` splits words."""
    top = " ".join(row.name for row in rows if " " not in row.name)
    cases = "\n".join(_bash_case(row) for row in sorted(rows, key=lambda row: -len(row.name)))
    return f"""\
# bash completion of gazami, made by: gazami completion bash
_gazami() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command="" flags="" words="" paths=""
    local choices=""
    COMPREPLY=()
    if [[ $cur == "=" ]]; then cur=""; fi
    if [[ $prev == "=" ]]; then prev=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    if (( COMP_CWORD == 1 )); then
        COMPREPLY=($(compgen -W "{top} --help --version" -- "$cur"))
        return
    fi
    command=${{COMP_WORDS[1]}}
    if (( COMP_CWORD > 2 )); then command+=" ${{COMP_WORDS[2]}}"; fi
    case $command in
{cases}
    esac
    if [[ -n $choices ]]; then
        COMPREPLY=($(compgen -W "$choices" -- "$cur"))
    elif [[ " $paths " == *" $prev "* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    elif [[ -n $words ]] && (( COMP_CWORD == 2 )); then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}}
complete -F _gazami gazami
"""


def _bash_case(row: Completed) -> str:
    flags = " ".join(name for option in row.options() for name in row.spellings(option) if name.startswith("--"))
    paths = " ".join(name for option in row.options() if _takes_path(option) for name in row.spellings(option))
    chosen = "".join(
        f'\n            {"|".join(row.spellings(option))}) choices="{" ".join(option.kind.choices)}" ;;'
        for option in row.options()
        if option.kind.choices
    )
    return f"""\
    "{row.name}"|"{row.name} "*)
        flags="{flags} --help"
        paths="{paths}"
        words="{" ".join(row.words)}"
        case $prev in{chosen}
            *) ;;
        esac
        ;;"""


# -- zsh --------------------------------------------------------------------------------------------------------------


def zsh(rows: Sequence[Completed]) -> str:
    tops = "\n".join(f"    {_quoted(f'{row.name}:{row.does}')}" for row in rows if " " not in row.name)
    cases = "\n".join(_zsh_case(row) for row in rows if " " not in row.name)
    return f"""\
#compdef gazami
# zsh completion of gazami, made by: gazami completion zsh
_gazami() {{
  local -a commands
  commands=(
{tops}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
{cases}
  esac
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _gazami "$@"; else compdef _gazami gazami; fi
"""


def _zsh_case(row: Completed) -> str:
    specs = [_zsh_spec(name, option) for option in row.options() for name in row.spellings(option)]
    rest = f"'1:word:({' '.join(row.words)})' '*:file:_files'" if row.words else "'*:file:_files'"
    return f"    {row.name}) _arguments -s {' '.join([*specs, rest])} ;;"


def _zsh_spec(name: str, option: Option[object]) -> str:
    text = option.help.split(". ")[0].rstrip(".").replace("[", "(").replace("]", ")").replace(":", ";")
    repeated = "*" if option.kind.repeatable else ""
    if option.kind.bare:
        return _quoted(f"{repeated}{name}[{text}]")
    value = f"({' '.join(option.kind.choices)})" if option.kind.choices else "_files" if _takes_path(option) else ""
    return _quoted(f"{repeated}{name}{'=' if name.startswith('--') else '+'}[{text}]:value:{value}")


# -- fish -------------------------------------------------------------------------------------------------------------


def fish(rows: Sequence[Completed]) -> str:
    lines = ["# fish completion of gazami, made by: gazami completion fish", "complete -c gazami -n __fish_use_subcommand -f"]
    for row in rows:
        if " " in row.name:
            continue
        lines.append(f"complete -c gazami -n __fish_use_subcommand -a {row.name} -d {_quoted(row.does)}")
        seen = _quoted(f"__fish_seen_subcommand_from {row.name}")
        lines += [f"complete -c gazami -n {seen} -f -a {_quoted(' '.join(row.words))}"] if row.words else []
        lines += [f"complete -c gazami -n {seen} {_fish_flag(row, option)}" for option in row.options()]
    return "\n".join(lines) + "\n"


def _fish_flag(row: Completed, option: Option[object]) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in row.spellings(option))
    value = ""
    if option.kind.choices:
        value = f" -x -a {_quoted(' '.join(option.kind.choices))}"
    elif not option.kind.bare:
        value = " -r" if _takes_path(option) else " -x"
    return f"{names}{value} -d {_quoted(option.help.split('. ')[0].rstrip('.'))}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "").replace("'", "’") + "'"


SHELLS: dict[str, Callable[[Sequence[Completed]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
