"""``lint --fix``: a fixed Dockerfile compiles to the same plan, has none of the findings that were fixed, and is fixed for good.

``GAZAMI_FUZZ_EXAMPLES`` asks for more examples than the suite runs.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.property.test_fuzz_dockerfile import BASE, DOCKERFILES, EXAMPLES, HOST

from gazami.dockerfile.fix import FIXABLE, fix
from gazami.dockerfile.parser import parse
from gazami.errors import GazamiError, Source, Span
from gazami.image.digest import digest_of
from gazami.plan.compile import Missing, compile_plan
from gazami.plan.inputs import PlanInputs
from gazami.plan.lint import lint
from gazami.plan.outline import outline
from gazami.plan.reached import ResolvedImage
from gazami.values import replace

LABEL = "org.opencontainers.image.authors"
NOWHERE = Source("", "")
VALUES = st.one_of(
    st.sampled_from(
        [
            "b",
            "b c",
            "b  c\td",
            '"b c"',
            "b\\ c",
            "'b' c",
            "$A c",
            "${A:-x y}",
            "it's",
            '"',
            "b=c",
            "b=c d",
            "=x",
            "\\",
            "`",
            "b \\",
            "[1]",
            "Jane <j@x>",
            '"Jane Doe"',
            "Jane 'J' Doe",
            'J "q" $A',
            "--x",
            "\x1cb",
            "\xa0b",
            "é\x85f",
            "$A\\$A",
            '""',
        ]
    ),
    st.text(st.sampled_from("ab \"'\\`$={}A\t"), min_size=1, max_size=8),
)
LINES = st.one_of(
    st.tuples(
        st.sampled_from(["", " ", "\t"]),
        st.sampled_from(["ENV", "env", "Env", "LABEL", "label", "MAINTAINER", "maintainer", "Maintainer", "ONBUILD env", "ARG"]),
        st.sampled_from([" ", "  ", "\t"]),
        st.sampled_from(["A ", "B\t", "a.b/c-d  ", "", "'q' ", "$A "]),
        VALUES,
        st.sampled_from(["", " ", "\r", " \\", "\\\n\n x"]),
    ).map("".join),
    st.sampled_from(
        [
            "FROM scratch as one",
            "from scratch AS One",
            "From scratch aS two",
            "from one As three ",
            "run a \\\n\n\n  b",
            "RUN a \\\n \n# c\n\n b",
            "RUN <<EOF\n\na \\\n\nEOF",
            "RU\\\nN x",
            "run\\\n x",
            'cmd ["a"]',
            "# check=skip=LegacyKeyValueFormat\nENV A b",
            "USER $A",
            "wORKDIR /$A",
            "COPY a\\\n\r\n b /",
            "RUN a \\\n\n",
        ]
    ),
)
TEXTS = st.tuples(
    st.sampled_from(["FROM base\n", "from base as b\n", "\ufeffFROM base\n", "# escape=`\nFROM base\n", "ARG A=1\nfrom base\n"]),
    st.lists(LINES, min_size=1, max_size=5).map("\n".join),
    st.sampled_from(["", "\n", "\r\n", "\n\n"]),
).map("".join)
INPUTS = PlanInputs({}, HOST, HOST)


def planned(text: str) -> list[Any]:
    """The plan without the text that it comes from; an author is a label."""
    source = Source("Dockerfile", text)
    outlined = outline(parse(source), source, INPUTS)
    result = compile_plan(outlined, INPUTS, {})
    while isinstance(result, Missing):
        images = {base: ResolvedImage(digest_of(base.reference.encode("utf-8", "surrogateescape")), BASE) for base in result.images}
        result = compile_plan(outlined, INPUTS, images)
    found: list[Any] = []
    for stage in result.plan.stages:
        found.append((stage.base, stage.name))
        for step in stage.steps:
            found.append(replace(step, common=replace(step.common, text="", span=Span(1, 1), source=NOWHERE)))
    return found


def findings(text: str) -> list[str]:
    source = Source("Dockerfile", text)
    return [each.rule for each in lint(parse(source), source, INPUTS, habits=True)]


def check(text: str) -> None:
    try:
        before = planned(text)
    except GazamiError:
        try:
            fixed = fix(Source("Dockerfile", text), {}).text
        except GazamiError:
            return
        try:
            planned(fixed)
        except GazamiError:
            return
        raise AssertionError("a fix must not make a Dockerfile of what is none") from None
    done = fix(Source("Dockerfile", text), {})
    assert fix(Source("Dockerfile", done.text), {}) == replace(done, counts={})
    assert bool(done.counts) == (done.text != text)
    if "MaintainerDeprecated" not in done.counts:
        assert planned(done.text) == before
    else:
        assert len(planned(done.text)) == len(before)
    rules = findings(text)
    left = findings(done.text)
    for rule in FIXABLE:
        assert left.count(rule.name) == rules.count(rule.name) - done.counts.get(rule.name, 0) or rule.name == "FromAsCasing"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXTS)
def test_a_fixed_file_means_the_same(text: str) -> None:
    check(text)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCKERFILES)
def test_so_does_any_other(text: str) -> None:
    check(text)


@settings(max_examples=EXAMPLES, deadline=None)
@given(VALUES)
def test_a_maintainer_is_the_label_to_the_letter(value: str) -> None:
    text = f"FROM base\nMAINTAINER {value}\n"
    try:
        author = planned(text)[-1].common.config.author
    except GazamiError:
        return
    done = fix(Source("Dockerfile", text), {})
    assume(done.counts)
    labels = dict(planned(done.text)[-1].common.config.labels)
    assert labels[LABEL] == (author[1:-1] if len(author) > 2 and author[0] == author[-1] == '"' else author)
