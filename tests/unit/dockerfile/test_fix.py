"""``lint --fix``, case by case: the text that comes out, to the byte."""

from __future__ import annotations

import pytest

from gazami.dockerfile.fix import fix
from gazami.errors import DockerfileError, Source


def fixed(text: str, **build_args: str) -> str:
    return fix(Source("Dockerfile", text), build_args).text


@pytest.mark.parametrize(
    "text, expected",
    [
        ("FROM a\nrun  x \\\n  y\ncmd [\"a\"]\nRUN z\n", "FROM a\nRUN  x \\\n  y\nCMD [\"a\"]\nRUN z\n"),
        ("from a\nRUN x\nrun y\n", "from a\nrun x\nrun y\n"),
        ("FROM a\n\trun\tx\r\n", "FROM a\n\tRUN\tx\r\n"),
        ("arg A\nFROM a\n", "arg A\nFROM a\n"),
        ("FROM a\nru\\\nn x\n", "FROM a\nru\\\nn x\n"),
        ("FROM a  as  b  \r\n", "FROM a  AS  b  \r\n"),
        ("from a AS b", "from a as b"),
        ("From a as b\nRUN x\n", "FROM a AS b\nRUN x\n"),
        ("FROM a \\\n as b\n", "FROM a \\\n as b\n"),
        ("FROM a\nENV k v\n", "FROM a\nENV k=v\n"),
        ("FROM a\n ENV\tk \t two  words \r\n", 'FROM a\n ENV\tk="two  words" \r\n'),
        ("FROM a\nENV k \"v w\"\n", 'FROM a\nENV k="v w"\n'),
        ("FROM a\nENV k a\\ b\n", "FROM a\nENV k=a\\ b\n"),
        ("FROM a\nENV k it's so\n", "FROM a\nENV k it's so\n"),
        ("FROM a\nENV k v \\\n w\n", "FROM a\nENV k v \\\n w\n"),
        ("FROM a\nENV k a=b c\n", 'FROM a\nENV k="a=b c"\n'),
        ("FROM a\nENV $k v\n", "FROM a\nENV $k v\n"),
        ("FROM a\nLABEL a.b/c-d v\n", "FROM a\nLABEL a.b/c-d=v\n"),
        ("FROM a\nENV a=b c=d\n", "FROM a\nENV a=b c=d\n"),
        ("FROM a\nMAINTAINER Jane <j@x>\n", 'FROM a\nLABEL org.opencontainers.image.authors="Jane <j@x>"\n'),
        ("FROM a\nMAINTAINER \"Jane\"\n", 'FROM a\nLABEL org.opencontainers.image.authors="Jane"\n'),
        ("from a\nmaintainer $x\n", "from a\nlabel org.opencontainers.image.authors='$x'\n"),
        ("FROM a\nMAINTAINER 'a' $x\n", "FROM a\nMAINTAINER 'a' $x\n"),
        ("FROM a\nRUN a \\\n\n # c\n \t\r\n\n  b\n\nRUN c\n", "FROM a\nRUN a \\\n # c\n  b\n\nRUN c\n"),
        ("FROM a\nRUN <<E\n\na \\\n\nE\n", "FROM a\nRUN <<E\n\na \\\n\nE\n"),
        ("# escape=`\nFROM a\nRUN a `\n\n b\n", "# escape=`\nFROM a\nRUN a `\n b\n"),
        ("\ufeffFROM a\nrun \udcff\n", "\ufeffFROM a\nRUN \udcff\n"),
        ("FROM a\nRUN x\n", "FROM a\nRUN x\n"),
    ],
)  # fmt: skip
def test_text(text: str, expected: str) -> None:
    assert fixed(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "# check=skip=all\nFROM a as b\nENV k v\nrun x\n",
        "# check=skip=LegacyKeyValueFormat\nFROM a\nENV k v\n",
        "FROM a\n# check=skip=LegacyKeyValueFormat\nENV k v\n",
    ],
)
def test_what_is_skipped_stays(text: str) -> None:
    assert fixed(text) == text


def test_a_build_argument_chooses_rules() -> None:
    text = "FROM a as b\nENV k v\n"
    assert fixed(text, BUILDKIT_DOCKERFILE_CHECK="skip=FromAsCasing") == "FROM a as b\nENV k=v\n"


def test_counts_by_rule() -> None:
    done = fix(Source("Dockerfile", "FROM a as b\nENV k v\nENV l w\n"), {})
    assert done.counts == {"FromAsCasing": 1, "LegacyKeyValueFormat": 2}


def test_nothing_is_fixed_in_what_is_no_dockerfile() -> None:
    with pytest.raises(DockerfileError):
        fixed("FROM a as b\nNOPE\n")
