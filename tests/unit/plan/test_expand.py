"""What the texts of a stage become, which names they ask for, and what a mistake leaves."""

from __future__ import annotations

from gazami.dockerfile import instructions as ast
from gazami.dockerfile.parser import parse
from gazami.errors import Source
from gazami.image.platform import Platform
from gazami.plan.expand import ExpandedStage, expand_stages
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import outline

HOST = Platform("linux", "amd64")


def expanded(text: str, *wanted: int, **build_args: str) -> tuple[ExpandedStage, ...]:
    source = Source("Dockerfile", text)
    inputs = PlanInputs(build_args, HOST, HOST)
    return expand_stages(outline(parse(source), source, inputs), inputs, {}, wanted or (0,))


def test_every_flag_whose_row_says_so_is_expanded_and_no_other() -> None:
    (stage,) = expanded("FROM scratch\nARG A=1\nADD --chown=$A --chmod=$A --checksum=$A --exclude=$A $A /$A\n")
    instruction = stage.instructions[1].instruction
    assert isinstance(instruction, ast.Add)
    assert instruction.flags == ast.CopyFlags(chown="1", chmod="1", checksum="1", exclude=("$A",))
    assert (instruction.sources, instruction.dest) == (("1",), "/1")
    assert [text.part for text in stage.instructions[1].texts] == ["text", "text", "text", "source", "text"]


def test_names_are_remembered_in_whatever_form_they_are_asked_for() -> None:
    (stage,) = expanded("FROM scratch\nARG D\nENV X=$PATH${U:-1}${V#v}$D\n")
    value = stage.instructions[1].texts[1]
    assert (value.found, value.missing) == (("PATH",), ("U", "V"))
    assert stage.scope.env["X"].endswith("1")


def test_a_mistake_stays_beside_its_instruction_and_the_scope_is_as_before() -> None:
    (stage,) = expanded("FROM scratch\nENV A=1 B=${C:?no}\nLABEL a=$A\n")
    first, second = stage.instructions
    assert first.error is not None and first.error.span is not None and first.error.span.start == 2
    assert first.instruction is first.given
    assert second.missing == ("A",)


def test_the_stages_below_a_wanted_one_are_read_too_and_an_arg_hides_an_env_in_its_own_only() -> None:
    below, above = expanded("FROM scratch AS a\nENV X=env\nARG X=arg\nFROM a\nLABEL x=$X\n", 1)
    assert above.parent is below
    assert below.scope.env["X"] == "arg"
    assert [text.text for text in above.instructions[0].texts] == ["x", "env"]


def test_stages_that_nobody_wants_are_not_read() -> None:
    (stage,) = expanded("FROM scratch\nFROM scratch\nUSER $U\n", 1, U="me")
    assert stage.stage.number == 1


def test_a_stage_on_an_unknown_base_is_not_certain() -> None:
    base, built = expanded("FROM unknown AS a\nFROM a\n", 1)
    assert not base.certain and not built.certain
