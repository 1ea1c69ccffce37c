"""Semi-valid Dockerfiles from templates and odd words: parse, outline and compile raise nothing but :class:`GazamiError`.

``GAZAMI_FUZZ_EXAMPLES`` asks for more examples than the suite runs.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazami.dockerfile.parser import parse
from gazami.errors import GazamiError, Source
from gazami.image.config import ImageConfig, encode_config
from gazami.image.digest import digest_of
from gazami.image.platform import Platform
from gazami.plan.compile import Missing, compile_plan
from gazami.plan.inputs import PlanInputs
from gazami.plan.outline import outline
from gazami.plan.reached import ResolvedImage

HOST = Platform("linux", "amd64")
BASE = ImageConfig(HOST, env=(("PATH", "/bin"), ("LANG", "C")), cmd=("sh",), onbuild=("RUN echo triggered", "ENV A=$LANG"))
EXAMPLES = int(os.environ.get("GAZAMI_FUZZ_EXAMPLES", "500"))

WORDS = st.one_of(
    st.sampled_from(
        [
            "a", "/x", "/x/", ".", "..", "a.txt", "*", "[a", "[^a-]", "\\", "\\\\", "`", "$", "$A", "${A}", "${",
            "${}", "${A:-b}",
            "${A:?}", "${A#*}", "${A%%?}", "${A/a/b}", "${A//[a]/$1}", "${A:=x}", "${1}", "$@", "'", '"', '""',
            "'a b'", '"$A"', "=", "a=b",
            "A=$A", "a=\"b", "=b", "[]", "[\"a\"]", "[\"a\", 1]", "[", "[[\"a\"]]", "{}", "null", "--", "--x",
            "--from=0", "--from=one",
            "--from=$A", "--chown=1:2", "--chmod=u+x", "--chmod=99", "--link", "--link=maybe", "--parents",
            "--exclude=*", "--exclude=[",
            "--mount=type=bind,target=/m", "--mount=type=cache", "--mount=type=secret,id=$A", "--mount=\"",
            "--mount=type=tmpfs,target=m,size=-1x",
            "--mount=type=ssh,required", "--mount=from=one,target=/", "--network=none", "--platform=$A",
            "--platform=linux/arm/v6",
            "--interval=1h", "--retries=x", "--timeout=1..s", "--checksum=sha256:x", "--unpack=false",
            "--keep-git-dir", "<<EOF", "<<-EOF",
            "<<'E'", "3<<X", "<<", "<<<E", "<<\"", "80", "1-2/udp", "[::1]:1:2", "99999999999", "²", "٣", "١-٢",
            "CMD", "NONE", "AS", "as", "one",
            "0", "scratch", "base:1", "Base", "a@sha256:b", "user:group", ":", "http://x/y", "git@h:p",
            "https://h/r.git#b:s", "#", "!", "\u2028",
            "\x00", "\x85", "\xa0", "\udc80", "é", "SIGTERM", "RTMIN+99", "-1", "0x9", "1e3", "_", "1_0", "ONBUILD",
            "RUN",
        ]
    ),
    st.text(max_size=6),
)  # fmt: skip
KEYWORDS = st.sampled_from(
    ["ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD", "RUN",
     "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR", "copy", "Run", "NOPE", "#", "# check=", ""]
)  # fmt: skip
VALID = st.sampled_from(
    [
        "FROM scratch AS one", "FROM one", "FROM base AS two", "FROM $A", "ARG A=a", "ARG A", "ENV A=b", "ENV A b c",
        "LABEL a=b",
        "COPY --from=one /a /b", "COPY <<EOF /x\n$A ${\nEOF", "RUN <<EOF\n#!/bin/sh\nEOF",
        "RUN cat <<A <<-B\nA\n\tB", "WORKDIR $A",
        "ONBUILD COPY --from=two a b", "ONBUILD RUN <<EOF\nx\nEOF", 'SHELL ["/s"]', "USER a:b", "EXPOSE $A",
        "# escape=`", "# syntax=x",
        "VOLUME $A", "HEALTHCHECK --interval=3s CMD x", "RUN --mount=from=one,target=$A x", "STOPSIGNAL $A",
        "RUN a \\\n  b", "CMD `\n\n b",
    ]
)  # fmt: skip
SEPARATORS = st.sampled_from([" ", " ", " ", "\t", "  ", "", " \\\n", "`\n", "\\\n# c\n", "=", "\r", "\v"])


@st.composite
def _statement(draw: st.DrawFn) -> str:
    out = [draw(KEYWORDS), " "]
    for word in draw(st.lists(WORDS, max_size=6)):
        out += [word, draw(SEPARATORS)]
    return "".join(out)


BEGINNINGS = st.sampled_from(
    ["", "FROM scratch\n", "FROM scratch\n", "ARG A=a\nFROM base AS one\n", "# escape=`\nFROM base\n", "\ufeffFROM a\n"]
)
DOCKERFILES = st.tuples(
    BEGINNINGS,
    st.lists(st.one_of(VALID, _statement()), min_size=1, max_size=6),
    st.sampled_from(["\n", "\n", "\n", "\r\n", "\n\n"]),
    st.sampled_from(["", "\n", "\nEOF\n", "\nEOF", "\\", "\nX\nE\n"]),
).map(lambda parts: parts[0] + parts[2].join(parts[1]) + parts[3])


def compiled(text: str) -> None:
    source = Source("Dockerfile", text)
    inputs = PlanInputs({"A": "given"} if len(text) % 2 else {}, HOST, HOST, labels=(("flag", "1"),))
    outlined = outline(parse(source), source, inputs)
    result = compile_plan(outlined, inputs, {})
    while isinstance(result, Missing):
        images = {base: ResolvedImage(digest_of(base.reference.encode("utf-8", "surrogateescape")), BASE) for base in result.images}
        result = compile_plan(outlined, inputs, images)
    encode_config(result.plan.stages[-1].final_config)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCKERFILES)
def test_only_errors_of_our_own(text: str) -> None:
    try:
        compiled(text)
    except GazamiError:
        return
