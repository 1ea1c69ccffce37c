"""``gazami submit --split``: stages as Jobs of their own that meet in the layer cache, against an API server of our own that runs
the real executor, and a real registry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.integration.kubernetes.test_submit import arguments, inspected, submit
from tests.kubernetes_api import Cluster

pytestmark = [pytest.mark.service, pytest.mark.sandbox]

TWO = """FROM {base} AS tools
RUN echo tool > /tool
FROM tools AS one
RUN cat /tool > /one
FROM tools AS two
RUN cat /tool > /two && echo two >> /two
FROM {base} AS not-needed
RUN exit 1
FROM {base}
COPY --from=one /one /
COPY --from=two /two /
RUN cat /one /two > /both
"""


def jobs(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """By target; the Job of the image itself under an empty name. In the order in which they were made."""
    found = {}
    for key, job in cluster.kept.items():
        if key.startswith("Job/"):
            targets = [word.partition("=")[2] for word in arguments(job) if word.startswith("--target=")]
            found["".join(targets)] = job
    return found


def test_two_stages_are_built_apart_and_meet(cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(TWO.format(base=busybox))
    name = f"{host}/split/app:1"
    done = submit(cluster, str(context), "-t", name, "--split", "--insecure")
    assert done.returncode == 0, done.stderr
    made = jobs(cluster)
    assert list(made) == ["one", "two", ""]
    for stage in ("one", "two"):
        words = arguments(made[stage])
        assert {"--no-push=true", "--cache=true", f"--cache-repo={host}/split/app/cache", "--cache-lease=on"} <= {*words}
        assert not [word for word in words if word.startswith("--destination")]
    assert f"--destination={name}" in arguments(made[""])
    assert "3 of 4 steps found" in done.stderr, "the last RUN alone is done by the Job of the target"
    assert done.stderr.count("Build finished") == 1
    assert inspected(name)["Digest"] in done.stderr


def test_the_image_is_that_of_one_job(cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(TWO.format(base=busybox))
    for name, flags in (("apart", ["--split"]), ("together", [])):
        done = submit(cluster, str(context), "-t", f"{host}/split/{name}", "--insecure", "--reproducible", *flags)
        assert done.returncode == 0, done.stderr
    assert inspected(f"{host}/split/apart")["Digest"] == inspected(f"{host}/split/together")["Digest"]


def test_a_part_that_fails_is_the_result_and_there_is_no_job_for_the_target(
    cluster: Cluster, busybox: str, host: str, context: Path
) -> None:
    (context / "Dockerfile").write_text(TWO.format(base=busybox).replace("cat /tool > /one", "exit 42"))
    done = submit(cluster, str(context), "-t", f"{host}/split/fails", "--split", "--insecure")
    assert done.returncode == 42, done.stderr
    assert ">>> RUN exit 42" in done.stderr
    assert "" not in jobs(cluster)


@pytest.mark.parametrize(
    "text",
    [
        "FROM {base} AS one\nRUN true\nFROM one\nRUN true\n",
        "FROM {base} AS one\nRUN true\nFROM one AS two\nRUN true\nFROM two\nRUN true\n",
        "FROM {base} AS one\nRUN true\nFROM {base}\nRUN true\nFROM {base}\nCOPY --from=one /bin /1\nCOPY --from=1 /bin /2\n",
    ],
    ids=["one", "a chain", "one without a name"],
)
def test_where_there_is_nothing_to_gain_one_job_builds(text: str, cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(text.format(base=busybox))
    done = submit(cluster, str(context), "-t", f"{host}/split/single", "--split", "--insecure")
    assert done.returncode == 0, done.stderr
    assert list(jobs(cluster)) == [""]
    assert "so one Job builds all" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--detach"], "--split follows its Jobs"),
        (["--cache=false"], "--split needs the layer cache"),
        (["--no-cache"], "--split needs the layer cache"),
        (["--no-push-cache"], "may write layers of RUN to"),
        (["--cache-run-layers=false"], "may write layers of RUN to"),
    ],
    ids=str,
)
def test_what_does_not_go_together(words: list[str], said: str, cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(TWO.format(base=busybox))
    done = submit(cluster, str(context), "-t", f"{host}/split/usage", "--split", "--insecure", *words)
    assert done.returncode == 1 and said in done.stderr
    assert not jobs(cluster)


def test_a_dockerfile_that_is_elsewhere(cluster: Cluster, host: str) -> None:
    done = submit(cluster, "https://r.example/context.tar.gz", "-t", f"{host}/split/elsewhere", "--split")
    assert done.returncode == 1 and "--split has to read the Dockerfile" in done.stderr


def test_print_shows_all_jobs(cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(TWO.format(base=busybox))
    done = submit(cluster, str(context), "-t", f"{host}/split/printed", "--split", "--print", "--platform=linux/amd64,linux/arm64")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("kind: Job") == 6
    assert not cluster.requests
