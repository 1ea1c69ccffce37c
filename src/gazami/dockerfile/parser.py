"""A Dockerfile's text to instructions, and all that is wrong with it. Open :func:`parse` first; the grammar of each keyword is in
:mod:`gazami.dockerfile.statement`."""

from __future__ import annotations

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.lines import Lines, read_lines
from gazami.dockerfile.statement import check_trigger, parse_statement
from gazami.errors import DockerfileError, Source, Span
from gazami.values import replace

MAX_INSTRUCTIONS = 20_000
MAX_ARGUMENTS = 10_000
"""A Dockerfile has no use for so many; each step sees all variables, so that there has to be an end."""

MAX_ERRORS = 100
"""Mistakes of one Dockerfile that are told."""


def parse(source: Source) -> ast.Dockerfile:
    """Read a Dockerfile. Raises :class:`DockerfileError` with a span for anything that is not one."""
    dockerfile, errors = _parsed(source, most=1)
    if errors:
        raise errors[0]
    return dockerfile


def parse_all(source: Source) -> tuple[ast.Dockerfile, tuple[DockerfileError, ...]]:
    """The instructions up to the first mistake, and all mistakes by line: after one, reading goes on at the next instruction."""
    dockerfile, errors = _parsed(source, most=MAX_ERRORS)
    errors.sort(key=lambda error: error.span.start if error.span else 0)
    first = min((error.span.start for error in errors if error.span), default=None)
    good = (each for each in dockerfile.instructions if first is None or each.written.span.start < first)
    return replace(dockerfile, instructions=tuple(good)), tuple(errors)


def _parsed(source: Source, *, most: int) -> tuple[ast.Dockerfile, list[DockerfileError]]:
    """What can be read, and the first ``most`` mistakes: those of lines, then those of instructions."""
    lines, errors = _lines(source, most=most)
    if not lines.lines and not errors:
        errors.append(DockerfileError("file with no instructions", source=source))
    found: list[ast.Instruction] = []
    started = False
    arguments = 0
    for line in lines.lines:
        if len(errors) >= most:
            break
        try:
            if len(found) >= MAX_INSTRUCTIONS:
                raise DockerfileError(f"a Dockerfile may have at most {MAX_INSTRUCTIONS} instructions")
            instruction = parse_statement(line, lines.escape)
            arguments += len(instruction.pairs) if isinstance(instruction, ast.Arg) else 0
            if arguments > MAX_ARGUMENTS:
                raise DockerfileError(f"a Dockerfile may have at most {MAX_ARGUMENTS} ARGs")
            started = _is_started(instruction, started=started)
        except DockerfileError as error:
            errors.append(_located(error, line.span, source))
            started = True  # what follows may belong to a FROM that could not be read
            if len(found) >= MAX_INSTRUCTIONS or arguments > MAX_ARGUMENTS:
                break
            continue
        found.append(instruction)
    if not started and not errors:
        hint = "a Dockerfile needs at least one FROM"
        errors.append(DockerfileError("dockerfile contains no stages to build", hint=hint, source=source))
    return ast.Dockerfile(tuple(found), lines.escape, lines.directives), errors


def _lines(source: Source, *, most: int) -> tuple[Lines, list[DockerfileError]]:
    """The logical lines, above the one that cannot be read if there is one."""
    try:
        return read_lines(source), []
    except DockerfileError as error:
        above = source.text.split("\n")[: error.span.start - 1] if error.span else []
        if most == 1 or not above or (head := "\n".join(above) + "\n") == source.text:
            return Lines((), "\\", ()), [error]
        return _lines(Source(source.name, head), most=1)[0], [error]


def _is_started(instruction: ast.Instruction, *, started: bool) -> bool:
    """Whether there is a stage at an instruction. Raises :class:`DockerfileError` for one that needs a stage and has none."""
    started = started or isinstance(instruction, ast.From)
    if not started and not isinstance(instruction, ast.Arg):
        keyword = instruction.written.keyword.upper()
        raise DockerfileError(f"no build stage in current context: {keyword} stands before the first FROM")
    return started


def _located(error: DockerfileError, span: Span, source: Source) -> DockerfileError:
    error.at(span, source)
    return error


def parse_trigger(text: str) -> ast.Instruction:
    """Read one ONBUILD trigger as an image's config stores it. Raises :class:`DockerfileError`."""
    lines = read_lines(Source("ONBUILD", text))
    if len(lines.lines) != 1:
        raise DockerfileError(f"the ONBUILD trigger {text!r} is not a single instruction")
    instruction = parse_statement(lines.lines[0], "\\")
    check_trigger(instruction.written.keyword)
    return instruction
