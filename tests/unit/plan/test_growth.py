"""Twice the Dockerfile is less than three times the work; what nobody writes is refused, and nothing of it is a bug of ours."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import pytest
from tests.counting import lines_run

from gazami.dockerfile.parser import MAX_ARGUMENTS, MAX_INSTRUCTIONS, parse
from gazami.errors import DockerfileError, Source
from gazami.image.config import ImageConfig
from gazami.image.digest import digest_of
from gazami.image.platform import Platform
from gazami.plan.compile import Missing, compile_plan
from gazami.plan.inputs import PlanInputs
from gazami.plan.lint import lint
from gazami.plan.metadata import MAX_ITEMS
from gazami.plan.outline import outline
from gazami.plan.reached import MAX_TRIGGERS, ResolvedImage
from gazami.plan.steps import ImageBase, Plan
from gazami.plan.versions import Versions

HOST = Platform("linux", "amd64")
INPUTS = PlanInputs({}, HOST, HOST)
DOUBLING = "FROM scratch\nARG A0=aaaaaaaaaaaaaaaa\n" + "".join(f"ARG A{n + 1}=${{A{n}}}${{A{n}}}\n" for n in range(40))


def planned(text: str) -> Plan:
    source = Source("Dockerfile", text)
    dockerfile = parse(source)
    outlined = outline(dockerfile, source, INPUTS)
    compiled = compile_plan(outlined, INPUTS, {})
    assert not isinstance(compiled, Missing)
    lint(dockerfile, source, INPUTS, habits=True)
    return compiled.plan


def numbered(line: str) -> Callable[[int], str]:
    return lambda count: "FROM scratch\n" + "".join(f"{line}\n".replace("#", str(number)) for number in range(count))


SHAPES: dict[str, Callable[[int], str]] = {
    "comments": lambda count: "#a\n" * count + "FROM scratch\n",
    "continuations": lambda count: "FROM scratch\nRUN " + "a \\\n" * count + "b\n",
    "flags": lambda count: "FROM scratch\nCOPY " + "--exclude=a \\\n" * count + " a b\n",
    "the same label": numbered("LABEL a=b"),
    "labels": numbered("LABEL a#=b"),
    "labels of one line": lambda count: "FROM scratch\nLABEL " + " ".join(f"a{n}=b" for n in range(count)),
    "commands": numbered("RUN sudo apt-get update && cd a# && curl b | sh"),
    "a long command": lambda count: "FROM scratch\nRUN " + "apt-get install a 'b' $(c) | sh; \\\n" * count + "d\n",
    "variables": numbered("ENV a#=b"),
    "variables of variables": numbered("ENV a#=$PATH"),
    "undefined variables": numbered("LABEL a#=${b#:-c}"),
    "arguments": numbered("ARG a#=b"),
    "global arguments": lambda count: "".join(f"ARG a{n}=b\n" for n in range(count)) + "FROM scratch\n",
    "ports": numbered("EXPOSE #"),
    "volumes": numbered("VOLUME /#"),
    "stages": lambda count: "".join(f"FROM scratch AS s{n}\nCMD x\n" for n in range(count)),
    "chained stages": lambda count: "FROM scratch AS s0\n" + "".join(f"FROM s{n} AS s{n + 1}\nCMD x\n" for n in range(count)),
    "stages that copy": lambda count: "FROM scratch AS s0\n"
    + "".join(f"FROM scratch AS s{n + 1}\nCOPY --from=s{n} / /\n" for n in range(count)),
    "triggers": lambda count: "FROM scratch AS a\n" + "ONBUILD USER a\n" * count + "FROM a\n",
    "nested substitutions": lambda count: f"FROM scratch\nENV X={'${A:-' * count}x{'}' * count}\n",
    "documents": lambda count: "FROM scratch\nRUN " + " ".join(f"<<E{n}" for n in range(count)) + "\n"
    + "".join(f"E{n}\n" for n in range(count)),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_twice_the_input_is_less_than_three_times_the_work(name: str) -> None:
    small, large = SHAPES[name](150), SHAPES[name](300)
    planned(small)  # what is done once only
    assert lines_run(lambda: planned(large)) < 3 * lines_run(lambda: planned(small))


@pytest.mark.parametrize(
    "name", ["chained stages", "stages that copy", "nested substitutions", "comments", "continuations"]
)  # fmt: skip
def test_thousands_are_planned(name: str) -> None:
    assert sys.getrecursionlimit() < 5000
    planned(SHAPES[name](5000))


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (DOUBLING.partition("\n")[2] + "USER $A40", "128 KiB", 43),
        ("ENV A=" + "a" * 60_000 + "\n" + "ENV B=$A$A$A\n", "128 KiB", 3),
        ("ARG A=" + "a" * 60_000 + "\n" + "LABEL b=$A\n" * 1200, "64 MiB", 1121),
        ("".join(f"ENV A{n}=b\n" for n in range(MAX_ITEMS + 1)), "variables", MAX_ITEMS + 1),
        ("".join(f"LABEL A{n}=b\n" for n in range(MAX_ITEMS + 1)), "labels", MAX_ITEMS + 2),
        ("".join(f"EXPOSE {n + 1}\n" for n in range(MAX_ITEMS + 1)), "ports", MAX_ITEMS + 2),
        ("".join(f"VOLUME /{n}\n" for n in range(MAX_ITEMS + 1)), "volumes", MAX_ITEMS + 2),
        ("USER a\n" * MAX_INSTRUCTIONS, "instructions", MAX_INSTRUCTIONS + 1),
        ("ARG " + "a " * (MAX_ARGUMENTS + 1) + "\n", "ARGs", 2),
    ],
    ids=["doubling", "tripling", "total", "variables", "labels", "ports", "volumes", "instructions", "arguments"],
)  # fmt: skip
def test_what_nobody_writes_is_refused_with_its_line(text: str, message: str, line: int) -> None:
    with pytest.raises(DockerfileError, match=message) as caught:
        planned("FROM scratch\n" + text)
    assert caught.value.span is not None
    assert caught.value.span.start == line


def test_doubling_before_the_first_stage_is_refused() -> None:
    text = "ARG A0=aaaaaaaaaaaaaaaa\n" + "".join(f"ARG A{n + 1}=${{A{n}}}${{A{n}}}\n" for n in range(40))
    with pytest.raises(DockerfileError, match="128 KiB"):
        planned(text + "FROM $A40\n")


def test_a_base_with_thousands_of_triggers_is_refused_at_its_from() -> None:
    source = Source("Dockerfile", "FROM base:1\n")
    outlined = outline(parse(source), source, INPUTS)
    config = ImageConfig(HOST, onbuild=("USER a",) * (MAX_TRIGGERS + 1))
    with pytest.raises(DockerfileError, match="ONBUILD") as caught:
        compile_plan(outlined, INPUTS, {ImageBase("base:1", HOST): ResolvedImage(digest_of(b""), config)})
    assert caught.value.span is not None


@pytest.mark.parametrize(
    "text", ["CMD " + "[" * 60_000, "RUN " + "[" * 30_000 + "]" * 30_000 + " <<E\nE", "ONBUILD " * 8000 + "<<E"]
)
def test_deeply_nested_words_are_no_bug(text: str) -> None:
    with contextlib.suppress(DockerfileError):
        planned(f"FROM scratch\n{text}\n")


# -- scopes that share ------------------------------------------------------------------------------------------------------


def test_versions_are_as_dictionaries_of_their_own() -> None:
    first: Versions[int] = Versions({"a": 1})
    second = first.having([("b", 2), ("a", 3)])
    third = second.having([("c", 4)])
    fork = second.having([("d", 5)])
    other = first.having([("e", 6)])
    assert [dict(each) for each in (first, second, third, fork, other)] == [
        {"a": 1}, {"a": 3, "b": 2}, {"a": 3, "b": 2, "c": 4}, {"a": 3, "b": 2, "d": 5}, {"a": 1, "e": 6},
    ]  # fmt: skip
    assert list(second) == ["a", "b"]
    assert "c" not in second
    assert len(fork) == 3


def test_a_default_that_is_too_long_is_told_where_it_is_used() -> None:
    planned(DOUBLING + "COPY Dockerfile /\n")
    for use in ("COPY $A40 /", "ENV B=${A40}", "ENV B=${A40#a}", "RUN true"):
        with pytest.raises(DockerfileError, match="128 KiB") as caught:
            planned(DOUBLING + use + "\n")
        assert caught.value.span is not None and caught.value.span.start == 43
