"""Stages at the same time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.programs import gazami

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


def build(context: Path, dockerfile: str, *arguments: str) -> tuple[int, str, str]:
    (context / "Dockerfile").write_text(dockerfile)
    done = gazami("build", str(context), f"--state-dir={context.parent / 'state'}", "--no-push", "--progress=raw", *arguments)
    return done.returncode, done.stdout, done.stderr


def test_stages_that_wait_for_each_other_run_together(context: Path, busybox: str) -> None:
    """Each of two stages waits for what the other one says, through a cache mount: one after the other would never end."""
    meet = "RUN --mount=type=cache,id=meet,target=/m echo > /m/{0}; until [ -e /m/{1} ]; do sleep 0.05; done; echo met"
    status, out, err = build(
        context,
        f"FROM {busybox} AS a\n{meet.format('a', 'b')}\nRUN echo > /a\n"
        f"FROM {busybox} AS b\n{meet.format('b', 'a')}\nRUN echo > /b\n"
        "FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
        "--timeout=30s",
    )
    assert status == 0, err
    assert out.count("met") == 2


def test_the_first_failure_stops_the_others_and_is_the_one_that_is_told(context: Path, busybox: str) -> None:
    status, _, err = build(
        context,
        f"FROM {busybox} AS a\nRUN sleep 60\nFROM {busybox} AS b\nRUN sleep 0.3; exit 7\n"
        "FROM scratch\nCOPY --from=a /etc /a\nCOPY --from=b /etc /b\n",
    )
    assert status == 7
    assert "exit code: 7" in err
    assert not list((context.parent / "state").glob("build-*"))


def test_many_stages_share_what_they_are_built_from(context: Path, busybox: str) -> None:
    for number in range(200):
        (context / f"file-{number}").write_text(str(number))
    stages = "".join(
        f"FROM {busybox} AS s{n}\nCOPY . /all/\nCOPY --from={busybox} /bin /more/\nRUN ls /all | wc -l > /count\n" for n in range(8)
    )
    copies = "".join(f"COPY --from=s{n} /count /all/file-7 /{n}/\n" for n in range(8))
    status, _, err = build(context, f"{stages}FROM scratch\n{copies}", f"--oci-layout-path={context.parent / 'out'}", "-v=debug")
    assert status == 0, err
    assert len(re.findall("Pulling sha256[^ ]*, ", err)) == 1
