"""How a submitted build ends that did not end by itself: each cause by its name, one status, and nothing that hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.integration.kubernetes.test_submit import environ, inspected, submit, the_job
from tests.kubernetes_api import Cluster, unschedulable

pytestmark = [pytest.mark.service]


@pytest.fixture
def slow(context: Path, busybox: str) -> Path:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo started-now && sleep 20\nRUN echo not-reached\n")
    return context


ENDS = [
    ("drain", 0.6, "its pod was evicted: the node is being drained", "start it again"),
    ("preempt", 0.3, "preempted by a pod of a higher priority", "--priority-class"),
    ("taint", 0.6, "tainted", "--toleration"),
    ("delete", 0.6, "its pod was deleted", "start it again"),
    ("force", 0.0, "its pod was deleted, or its node was drained or lost", "start it again"),
    ("job", 0.3, "was deleted while it ran", "start it again"),
    ("deadline", 0.6, "DeadlineExceeded", "--job-timeout"),
    ("disk", 0.0, "Evicted: Pod ephemeral local storage usage", "--ephemeral-storage"),
    ("suspend", 0.3, "the Job was suspended", "--attach gazami-"),
    ("signal", 0.0, "was told to stop, not from here", "start it again"),
]


@pytest.mark.sandbox
@pytest.mark.parametrize(("how", "linger", "said", "hint"), ENDS)
def test_a_build_that_was_taken_away(
    cluster: Cluster, host: str, slow: Path, how: str, linger: float, said: str, hint: str
) -> None:
    cluster.take_after, cluster.take, cluster.linger = "started-now", how, linger
    done = submit(cluster, str(slow), "-t", f"{host}/submit/taken")
    assert done.returncode == 137, done.stderr
    error, _, rest = done.stderr.partition("the build did not finish: ")
    assert said in rest and hint in rest, done.stderr
    assert "BackoffLimitExceeded" not in done.stderr and "not-reached" not in error
    assert not cluster.secrets


def test_the_status_of_a_run_that_ended_itself_by_a_signal_stays(cluster: Cluster, host: str, context: Path, busybox: str) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN exit 143\n")
    done = submit(cluster, str(context), "-t", f"{host}/submit/own")
    assert done.returncode == 143 and "RUN exit 143" in done.stderr, done.stderr


# -- the API server is away ----------------------------------------------------------------------------------------------


@pytest.mark.sandbox
def test_an_api_server_that_is_away_for_longer_is_told_of_once(cluster: Cluster, host: str, context: Path, busybox: str) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo started-now && sleep 3 && echo said-once\n")
    cluster.away_after, cluster.away, cluster.starting = "started-now", 4, 1.0
    done = submit(cluster, str(context), "-t", f"{host}/submit/away")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("does not answer") == 1 and done.stderr.count("answers again") == 1
    assert sum(line.endswith("│ said-once") for line in done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.sandbox
def test_a_healthy_job_is_left_to_itself_and_can_be_followed_again(
    cluster: Cluster, host: str, context: Path, busybox: str, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo started-now && sleep 10\n")
    cluster.away_after, cluster.away = "started-now", 5
    done = submit(cluster, str(context), "-t", f"{host}/submit/left:1", "--api-timeout=2")
    assert done.returncode == 1, done.stderr
    [name] = cluster.jobs
    assert f"--attach {name}" in done.stderr and f"kubectl logs --namespace builds --follow job/{name}" in done.stderr
    assert not any(verb == "delete" for verb, _ in cluster.requests)
    time.sleep(2)
    again = submit(cluster, "--attach", name, "--digest-file", str(tmp_path / "digest"))
    assert again.returncode == 0, again.stderr
    assert "started-now" in again.stderr and "Build finished" in again.stderr
    assert (tmp_path / "digest").read_text() == inspected(f"{host}/submit/left:1")["Digest"]
    assert list(cluster.jobs) == [name]
    assert submit(cluster, "--attach", "gazami-none").returncode == 1


def test_the_jobs_of_several_platforms_are_attached_to_together(cluster: Cluster, host: str, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /d\n")
    name, files = f"{host}/submit/both:1", [tmp_path / "first", tmp_path / "second"]
    done = submit(cluster, str(context), "-t", name, "--platform=linux/amd64,linux/arm64", "--digest-file", str(files[0]))
    assert done.returncode == 0, done.stderr
    words = [word for job in cluster.jobs for word in ("--attach", job)]
    again = submit(cluster, *words, "--digest-file", str(files[1]))
    assert again.returncode == 0, again.stderr
    assert files[0].read_text() == files[1].read_text() == inspected(name)["Digest"]
    assert "linux/arm64: " in again.stderr and "linux/amd64: " in again.stderr, again.stderr


def test_a_detached_job_is_followed_as_text(cluster: Cluster, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    name = submit(cluster, str(context), "-t", f"{host}/submit/detached:2", "--detach").stdout.strip()
    done = submit(cluster, "--attach", name)
    assert done.returncode == 0, done.stderr
    assert "Its log is text" in done.stderr and "Pushed" in done.stderr


@pytest.mark.sandbox
def test_ctrl_c_leaves_a_job_that_is_only_attached_to(cluster: Cluster, host: str, slow: Path) -> None:
    name = submit(cluster, str(slow), "-t", f"{host}/submit/attached", "--detach").stdout.strip()
    command = [sys.executable, "-m", "gazami", "submit", "--kubernetes", "--progress=plain", "--attach", name]
    env = {**os.environ, "HOME": str(cluster.root), **environ(cluster)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("started-now" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert list(cluster.jobs) == [name]


@pytest.mark.sandbox
def test_ctrl_c_while_the_api_server_says_nothing(cluster: Cluster, host: str, slow: Path) -> None:
    """A server behind a firewall that swallows packets: what is left is told within seconds."""
    cluster.mute_after = "started-now"
    command = [sys.executable, "-m", "gazami", "submit", "--kubernetes", "--executor-image=x", "--progress=plain", str(slow),
               "-t", f"{host}/submit/mute"]  # fmt: skip
    env = {**os.environ, "HOME": str(cluster.root), **environ(cluster)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("started-now" in line for line in process.stderr)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        rest = process.stderr.read()
        assert process.wait(30) == 130, rest
    assert time.monotonic() - started < 15
    [name] = cluster.jobs
    assert f"kubectl delete job {name}" in rest and "did not answer within" in rest, rest


def test_an_answer_that_is_lost_makes_no_second_job(cluster: Cluster, host: str, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    (tmp_path / "token").write_text("x")
    cluster.unanswered = 2
    done = submit(cluster, str(context), "-t", f"{host}/submit/lost", f"--secret=id=t,src={tmp_path / 'token'}")
    assert done.returncode == 0, done.stderr
    assert sum(asked == ("create", "jobs") for asked in cluster.requests) == 2 and len(cluster.jobs) == 1


# -- before it runs ------------------------------------------------------------------------------------------------------


def never(cluster: Cluster, host: str, context: Path, *words: str) -> str:
    """What is said of a build that cannot start; it is said in seconds, and nothing is left."""
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    started = time.monotonic()
    done = submit(cluster, str(context), "-t", f"{host}/submit/never", *words)
    assert done.returncode == 1, done.stderr
    assert time.monotonic() - started < 20
    assert not cluster.jobs and not cluster.secrets
    return str(done.stderr)


def test_a_quota_that_wants_limits(cluster: Cluster, host: str, context: Path) -> None:
    cluster.no_pods = 'Error creating: pods "x-abcde" is forbidden: failed quota: q: must specify limits.cpu for: gazami'
    assert "set --cpu-limit" in never(cluster, host, context)


def test_a_secret_that_is_not_there(cluster: Cluster, host: str, context: Path) -> None:
    said = never(cluster, host, context, "--docker-config-secret=nope")
    assert 'secret "nope" not found' in said and "--docker-config-secret" in said


def test_one_cause_is_said_once(cluster: Cluster, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    text = "0/1 nodes are available: 1 Insufficient cpu."
    cluster.before = [unschedulable(f"{text} preemption: 0/1 nodes are available"),
                      unschedulable(f"{text} no new claims to deallocate, preemption: 0/1"), unschedulable(text)]  # fmt: skip
    done = submit(cluster, str(context), "-t", f"{host}/submit/once")
    assert done.returncode == 0 and done.stderr.count("Insufficient cpu") == 1, done.stderr


def test_a_job_that_may_not_be_deleted_is_told_of(cluster: Cluster, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    cluster.forbidden = {("delete", "jobs")}
    cluster.no_pods = 'Error creating: pods "x-abcde" is forbidden: violates PodSecurity "restricted:latest"'
    done = submit(cluster, str(context), "-t", f"{host}/submit/stays")
    assert done.returncode == 1
    assert "stays in the cluster until its deadline" in done.stderr
    [name] = cluster.jobs
    assert f"kubectl delete job {name}" in done.stderr
    assert the_job(cluster)["spec"]["activeDeadlineSeconds"] == 24 * 3600


def test_a_line_of_the_kubelet_is_whole(cluster: Cluster, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    cluster.unstamped = ("unable to retrieve container logs for containerd://befc",)
    done = submit(cluster, str(context), "-t", f"{host}/submit/torn")
    assert done.returncode == 0
    assert done.stderr.count("unable to retrieve container logs for containerd://befc") == 1


def test_a_queue_starts_the_job(cluster: Cluster, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=b\n")
    command = [sys.executable, "-m", "gazami", "submit", "--kubernetes", "--executor-image=x", "--progress=plain", str(context),
               "-t", f"{host}/submit/queued", "--queue=team", "--start-timeout=2"]  # fmt: skip
    env = {**os.environ, "HOME": str(cluster.root), **environ(cluster)}
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("the Job is in the queue team" in line for line in process.stderr)
        time.sleep(3)  # longer than the pod may take to start
        [job] = cluster.jobs.values()
        assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
        job["spec"]["suspend"] = False
        cluster.start(job)
        rest = process.stderr.read()
        assert process.wait(30) == 0, rest
