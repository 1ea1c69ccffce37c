"""docs/how-to/troubleshooting.md quotes messages that the program has; those that need no server are provoked."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.programs import gazami

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/troubleshooting.md").read_text()
QUOTED = re.findall(r"^##+ `([^`]+)`$", PAGE, re.M)
RUN_TRUE = 'FROM scratch\nRUN ["/true"]\n'


def texts() -> Iterator[str]:
    """Every string of the sources but docstrings; what an f-string or ``format`` fills in is a NUL."""
    for path in (ROOT / "src/gazami").rglob("*.py"):
        tree = ast.parse(path.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in prose:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"\{\w+\}", "\0", node.value)
            elif isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in node.values)


def pattern(quoted: str) -> re.Pattern[str]:
    return re.compile("[^\n]*".join(re.escape(part) for part in quoted.split("…")))


@pytest.fixture(scope="module")
def known() -> list[str]:
    return list(texts())


def test_every_quoted_message_is_one_of_the_program(known: list[str]) -> None:
    assert len(QUOTED) > 50
    assert not [quoted for quoted in QUOTED if not any(pattern(quoted).search(text) for text in known)]


def test_a_message_that_is_gone_is_found(known: list[str]) -> None:
    assert not any(pattern("cannot find … anywhere in …").search(text) for text in known)


@pytest.mark.parametrize(
    ("quoted", "dockerfile", "flags"),
    [
        ("unknown flag: --…", RUN_TRUE, ["--pussh"]),
        ("no Dockerfile in …", "", []),
        ('"/…": not found', "FROM scratch\nCOPY nope /\n", []),
        ("unknown instruction: …", "FROM scratch\nCOPYY a /\n", []),
        ("unterminated heredoc: no line is just …", "FROM scratch\nCOPY <<END /a\n  END\n", []),
        ("base name (…) should not be blank", "FROM $X\n", []),
        ("target stage … could not be found", RUN_TRUE, ["--target=nope"]),
        (
            "stage … is defined after this instruction",
            "FROM scratch AS a\nCOPY --from=b / /\nFROM scratch AS b\nCOPY . /\n",
            ["--target=a"],
        ),
        ("the secret … is required but was not given", "FROM scratch\nRUN --mount=type=secret,id=t,required true\n", []),
        ("RUN --security=insecure is not supported", "FROM scratch\nRUN --security=insecure true\n", []),
        ("a build makes an image for one platform", RUN_TRUE, ["--platform=linux/amd64,linux/arm64"]),
        ("… is a symlink that leads out of it", "->/etc/passwd", []),
        (
            "this step is not in the cache …",
            "FROM scratch\nWORKDIR /a\n",
            ["--cache", "--cache-repo=oci:TMP/cache", "--cached-only"],
        ),
    ],
)
def test_a_quoted_message_is_seen(quoted: str, dockerfile: str, flags: list[str], tmp_path: Path) -> None:
    assert quoted in QUOTED
    context = tmp_path / "context"
    context.mkdir()
    if dockerfile.startswith("->"):
        (context / "Dockerfile").symlink_to(dockerfile.removeprefix("->"))
    elif dockerfile:
        (context / "Dockerfile").write_text(dockerfile)
    done = gazami(
        "build",
        str(context),
        "--no-push",
        "--state-dir",
        str(tmp_path / "state"),
        *(flag.replace("TMP", str(tmp_path)) for flag in flags),
    )
    assert done.returncode == (3 if "--cached-only" in flags else 1)
    assert pattern(quoted).search(done.stderr), done.stderr
