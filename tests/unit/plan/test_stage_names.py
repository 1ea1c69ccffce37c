"""A ``--from`` that is nearly a stage's name: told before it is pulled, and named when the pull fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.programs import gazami

from gazami.errors import Source
from gazami.image.platform import Platform
from gazami.plan.inputs import PlanInputs
from gazami.plan.lint import lint_text

HOST = Platform("linux", "amd64")


def rules(dockerfile: str, **contexts: str) -> list[tuple[str, int]]:
    findings, _ = lint_text(Source("Dockerfile", dockerfile), PlanInputs({}, HOST, HOST, contexts=contexts))
    return [(each.rule, each.span.start) for each in findings]


@pytest.mark.parametrize(
    "instruction, found",
    [
        ("COPY --from=bulider /x /", True),
        ("COPY --from=builders /x /", True),
        ("RUN --mount=type=bind,from=bulider,target=/m true", True),
        ("RUN --mount=type=cache,from=bulder,target=/m true", True),
        ("COPY --from=builder /x /", False),
        ("COPY --from=0 /x /", False),
        ("COPY --from=nginx /x /", False),
        ("COPY --from=bulider:1 /x /", False),
        ("COPY --from=me/bulider /x /", False),
        ("# check=skip=UnknownStage\nCOPY --from=bulider /x /", False),
    ],
)
def test_names_like_a_stage(instruction: str, found: bool) -> None:
    got = rules(f"FROM scratch AS builder\nFROM scratch\n{instruction}\n")
    assert [rule for rule, _ in got] == (["UnknownStage"] if found else [])


def test_names_like_a_context() -> None:
    assert rules("FROM scratch\nCOPY --from=shard /x /\n", shared=".") == [("UnknownStage", 2)]


@pytest.mark.parametrize(
    "dockerfile, target, line, hint",
    [
        ("FROM scratch AS builder\nFROM scratch\nCOPY --from=bulider /x /\n", "", 3, "did you mean the stage builder?"),
        ("FROM scratch AS builder\nFROM bulider\n", "", 2, "did you mean the stage builder?"),
        ("FROM builder AS first\nFROM scratch AS builder\n", "first", 1, "the stage builder is defined below, in line 2"),
    ],
)
def test_a_pull_that_fails_names_the_stage(tmp_path: Path, dockerfile: str, target: str, line: int, hint: str) -> None:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    done = gazami(
        "build", str(tmp_path), "--no-push", f"--state-dir={tmp_path / 's'}", f"--target={target}",
        "--registry-mirror=localhost:1", "--skip-default-registry-fallback", "--image-download-retry=0",
    )  # fmt: skip
    assert done.returncode == 1
    assert f"Dockerfile:{line}\n" in done.stderr
    assert f"hint: {hint}" in done.stderr
