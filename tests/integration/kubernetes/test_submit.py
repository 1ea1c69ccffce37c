"""``gazami submit`` against an API server of our own that runs the real executor, and a real registry."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.gitserver import git_server, repository
from tests.kubernetes_api import TOKEN, Cluster, unschedulable, waiting
from tests.programs import gazami
from tests.services import docker_registry

pytestmark = [pytest.mark.service]


def submit(cluster: Cluster, *words: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> Any:
    return gazami("submit", "--kubernetes", "--executor-image=r.example/executor:1", "--progress=plain", *words,
                  env=environ(cluster, env), cwd=cwd, timeout=120)  # fmt: skip


def environ(cluster: Cluster, more: dict[str, str] | None = None) -> dict[str, str]:
    return {"KUBECONFIG": cluster.kubeconfig, "GAZAMI_STATE_DIR": str(cluster.root / "state"), **(more or {})}


def inspected(reference: str, *words: str) -> dict[str, Any]:
    command = ["skopeo", "inspect", "--tls-verify=false", *words, f"docker://{reference}"]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def the_job(cluster: Cluster) -> dict[str, Any]:
    [job] = [each for key, each in cluster.kept.items() if key.startswith("Job/")]
    return dict(job)


def arguments(job: dict[str, Any]) -> list[str]:
    return list(job["spec"]["template"]["spec"]["containers"][0]["args"])


@pytest.fixture
def site(context: Path) -> Path:
    """A context without RUN."""
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /site/\nLABEL a=b\n")
    (context / "index.html").write_text("hello\n")
    (context / ".dockerignore").write_text("secret*\nDockerfile\n.dockerignore\n")
    (context / "secret.key").write_text("do not send this")
    return context


def test_a_folder_is_built_in_the_cluster(cluster: Cluster, host: str, site: Path, tmp_path: Path) -> None:
    name = f"{host}/submit/site:1"
    done = submit(cluster, str(site), "-t", name, "--digest-file", str(tmp_path / "digest"),
                  "--metadata-file", str(tmp_path / "metadata"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "COPY . /site/" in done.stderr and "Build finished" in done.stderr
    digest = (tmp_path / "digest").read_text()
    assert inspected(name)["Digest"] == digest
    assert json.loads((tmp_path / "metadata").read_text())["containerimage.digest"] == digest
    config = inspected(name, "--config")
    assert config["config"]["Labels"] == {"a": "b"}
    job = the_job(cluster)
    assert f"--destination={name}" in arguments(job)
    assert not [word for word in arguments(job) if "digest-file" in word or "metadata" in word]
    assert ("delete", f"jobs/{job['metadata']['name']}") not in cluster.requests  # its time to live ends it


def test_what_is_ignored_is_not_sent(cluster: Cluster, host: str, site: Path) -> None:
    with docker_registry(cluster.root) as registry:
        name = f"localhost:{registry.port}/app"
        assert submit(cluster, str(site), "-t", name).returncode == 0
        blobs = b"".join(_inflated(path) for path in registry.root.rglob("data") if path.is_file())
    assert b"do not send this" not in blobs
    assert b"hello" in blobs


def _inflated(path: Path) -> bytes:
    import zlib

    data = path.read_bytes()
    return zlib.decompress(data, 31) if data.startswith(b"\x1f\x8b") else data


def test_the_same_folder_is_uploaded_once_and_its_artifact_is_deleted(cluster: Cluster, host: str, site: Path) -> None:
    (site / "large").write_bytes(os.urandom(200_000))  # small blobs are sent without a look
    runs = [submit(cluster, str(site), "-t", f"{host}/submit/twice:1", "--verbosity=debug") for _ in range(2)]
    assert [run.returncode for run in runs] == [0, 0], runs[1].stderr
    contexts = [word for key, job in cluster.kept.items() if key.startswith("Job/") for word in arguments(job)
                if word.startswith("--context=registry://")]  # fmt: skip
    assert len(contexts) == 2 and contexts[0] != contexts[1]  # each has an artifact of its own to delete
    before = [run.stderr.partition("Submitted the Job")[0].splitlines() for run in runs]
    uploads = [[line for line in lines if "Pushing" in line and ": done in" in line and line.endswith(" kB")] for lines in before]
    assert len(uploads[0]) == 1 and not uploads[1], runs[1].stderr
    for word in contexts:
        reference = word.partition("registry://")[2]
        missing = subprocess.run(
            ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"], capture_output=True, check=False
        )
        assert missing.returncode != 0, "the artifact is still there"


@pytest.mark.sandbox
def test_the_status_of_a_failing_run_is_ours(cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo before && exit 42\n")
    done = submit(cluster, str(context), "-t", f"{host}/submit/fails")
    assert done.returncode == 42, done.stderr
    assert "before" in done.stderr
    assert ">>> RUN echo before && exit 42" in done.stderr  # the excerpt, as of a local build


def test_a_mistake_in_the_dockerfile_is_told_before_anything_is_sent(cluster: Cluster, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPPY a b\n")
    done = submit(cluster, str(context), "-t", f"{host}/submit/mistake")
    assert done.returncode == 1 and "COPPY" in done.stderr
    assert not cluster.requests


def test_a_log_that_breaks_is_read_on_and_nothing_is_seen_twice(cluster: Cluster, host: str, site: Path) -> None:
    cluster.cuts = [150, 700, 1501, 2222]
    cluster.noise = ("a line of the runtime", "a line of the runtime", "another")
    done = submit(cluster, str(site), "-t", f"{host}/submit/cut")
    assert done.returncode == 0, done.stderr
    assert not cluster.cuts
    lines = done.stderr.splitlines()
    assert sum("a line of the runtime" in line for line in lines) == 2
    for text in ("another", "COPY . /site/", "Build finished", "Pushed "):
        assert sum(text in line and "]" in line for line in lines) == 1, text


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(cluster: Cluster, host: str, site: Path) -> None:
    cluster.outage = 5
    done = submit(cluster, str(site), "-t", f"{host}/submit/outage", "--quiet")
    assert done.returncode == 0, done.stderr
    assert not cluster.outage
    assert done.stdout.strip() == inspected(f"{host}/submit/outage")["Digest"]


def test_the_live_view_of_two_builds(cluster: Cluster, host: str, site: Path) -> None:
    done = submit(cluster, str(site), "-t", f"{host}/submit/live", "--platform=linux/amd64,linux/arm64", "--progress=tty")
    assert done.returncode == 0, done.stderr
    assert "Build finished" in done.stderr and "linux/arm64: COPY . /site/" in done.stderr


def test_a_pod_that_has_to_wait_says_why_and_runs_then(cluster: Cluster, host: str, site: Path) -> None:
    cluster.before = [unschedulable("0/3 nodes are available: 3 Insufficient memory."), waiting("ContainerCreating")] * 2
    done = submit(cluster, str(site), "-t", f"{host}/submit/waits")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("3 Insufficient memory") == 1


def test_an_image_that_cannot_be_pulled_ends_the_wait(cluster: Cluster, host: str, site: Path) -> None:
    cluster.before, cluster.stuck = [waiting("ImagePullBackOff", 'Back-off pulling image "r.example/executor:1"')], True
    done = submit(cluster, str(site), "-t", f"{host}/submit/pull")
    assert done.returncode == 1
    assert "ImagePullBackOff" in done.stderr and "--executor-image" in done.stderr
    assert not cluster.jobs and not cluster.secrets


def test_a_pod_that_the_namespace_forbids_ends_the_wait(cluster: Cluster, host: str, site: Path) -> None:
    cluster.no_pods = 'Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot'
    done = submit(cluster, str(site), "-t", f"{host}/submit/psa")
    assert done.returncode == 1
    assert "violates PodSecurity" in done.stderr and "pod-security.kubernetes.io/enforce" in done.stderr
    assert not cluster.jobs


def test_waiting_has_an_end(cluster: Cluster, host: str, site: Path) -> None:
    cluster.before, cluster.stuck = [unschedulable("no node matches")], True
    done = submit(cluster, str(site), "-t", f"{host}/submit/never", "--start-timeout=2")
    assert done.returncode == 1
    assert "did not start within 2 s: Unschedulable: no node matches" in done.stderr
    assert not cluster.jobs


def test_too_little_memory_is_said(cluster: Cluster, host: str, site: Path) -> None:
    cluster.terminated = {"exitCode": 137, "reason": "OOMKilled"}
    done = submit(cluster, str(site), "-t", f"{host}/submit/oom", "--memory=1Gi", "--user-namespace")
    assert done.returncode == 137
    assert "OOMKilled" in done.stderr and "--memory" in done.stderr
    job = the_job(cluster)
    pod = job["spec"]["template"]["spec"]
    assert job["spec"]["backoffLimit"] == 0  # what arrived is what was written, the false and the zero too
    assert pod["hostUsers"] is False and pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["resources"]["limits"] == {"memory": "1Gi"}


def test_an_executor_that_does_not_know_a_flag_is_heard(cluster: Cluster, host: str, site: Path) -> None:
    cluster.more = ("--no-such-flag",)
    done = submit(cluster, str(site), "-t", f"{host}/submit/older")
    assert done.returncode == 1
    assert "unknown flag: --no-such-flag" in done.stderr and "the executor ended with status 1" in done.stderr


@pytest.mark.parametrize(("verb", "resource"), [("create", "jobs"), ("create", "secrets"), ("list", "pods"), ("get", "pods/log")])
def test_a_permission_that_is_missing_is_named(
    cluster: Cluster, host: str, site: Path, verb: str, resource: str, tmp_path: Path
) -> None:
    cluster.forbidden = {(verb, resource)}
    (tmp_path / "token").write_text("x")
    done = submit(cluster, str(site), "-t", f"{host}/submit/forbidden", f"--secret=id=token,src={tmp_path / 'token'}")
    assert done.returncode == 1
    named = resource.replace("jobs", "jobs.batch")
    assert f"not allowed to {verb} {named} in the namespace builds" in done.stderr and "submit-role.yaml" in done.stderr
    assert not cluster.jobs and not cluster.secrets


def test_no_api_server_is_said(cluster: Cluster, host: str, site: Path, tmp_path: Path) -> None:
    config = Path(cluster.kubeconfig).read_text().replace(cluster.url, "http://127.0.0.1:9")
    (tmp_path / "other").write_text(config)
    done = submit(cluster, str(site), "-t", f"{host}/submit/dead", "--api-timeout=1", env={"KUBECONFIG": str(tmp_path / "other")})
    assert done.returncode == 1
    assert "cannot reach the API server http://127.0.0.1:9" in done.stderr


def test_no_kubeconfig_is_said(cluster: Cluster, host: str, site: Path, tmp_path: Path) -> None:
    done = submit(cluster, str(site), "-t", f"{host}/x", env={"KUBECONFIG": str(tmp_path / "none")})
    assert done.returncode == 1
    assert "no cluster to submit to" in done.stderr and "--kube-context" in done.stderr


@pytest.mark.sandbox
def test_ctrl_c_deletes_the_job(cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo started-now && sleep 15\n")
    command = [sys.executable, "-m", "gazami", "submit", "--kubernetes", "--executor-image=x", "--progress=plain",
               str(context), "-t", f"{host}/submit/interrupted"]  # fmt: skip
    env = {**os.environ, "HOME": str(cluster.root), **environ(cluster)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.endswith(" │ started-now\n"):
            break
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    rest = process.stderr.read()
    assert process.wait(30) == 130, rest
    assert time.monotonic() - started < 15
    assert not cluster.jobs and not cluster.pods and not cluster.secrets
    assert cluster.kept["deletion"]["propagationPolicy"] == "Background"


def test_several_platforms_become_an_index(cluster: Cluster, host: str, site: Path, tmp_path: Path) -> None:
    name = f"{host}/submit/platforms:1"
    done = submit(cluster, str(site), "-t", name, "-t", f"{host}/submit/other:2", "--platform", "linux/amd64,linux/arm64",
                  "--digest-file", str(tmp_path / "digest"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    jobs = [job for key, job in cluster.kept.items() if key.startswith("Job/")]
    nodes = [job["spec"]["template"]["spec"]["nodeSelector"]["kubernetes.io/arch"] for job in jobs]
    assert sorted(nodes) == ["amd64", "arm64"]
    raw = inspected(name, "--raw")
    assert [each["platform"]["architecture"] for each in raw["manifests"]] == ["amd64", "arm64"]
    assert inspected(name, "--override-arch=arm64", "--config")["architecture"] == "arm64"
    assert inspected(f"{host}/submit/other:2", "--raw") == raw
    assert inspected(name)["Digest"] == (tmp_path / "digest").read_text()
    assert "linux/arm64: COPY . /site/" in done.stderr and "linux/amd64: COPY . /site/" in done.stderr


@pytest.mark.sandbox
def test_one_platform_that_fails_ends_the_others(cluster: Cluster, busybox: str, host: str, context: Path) -> None:
    (context / "Dockerfile").write_text(
        f"FROM --platform=$BUILDPLATFORM {busybox}\nARG TARGETARCH\nRUN test $TARGETARCH = arm64 || exit 7; sleep 60\n"
    )
    started = time.monotonic()
    done = submit(cluster, str(context), "-t", f"{host}/submit/half", "--platform=linux/amd64,linux/arm64")
    assert done.returncode == 7, done.stderr
    assert time.monotonic() - started < 40
    assert not [name for name in cluster.jobs if name.endswith("arm64")]
    assert not cluster.secrets


def test_credentials_travel_in_a_secret_of_the_job(cluster: Cluster, site: Path, tmp_path: Path) -> None:
    with docker_registry(tmp_path, htpasswd=(("maria", "s3cr3t-word"),)) as registry:
        home = tmp_path / "home/.docker"
        home.mkdir(parents=True)
        auth = base64.b64encode(b"maria:s3cr3t-word").decode()
        others = {"other.example": {"auth": base64.b64encode(b"x:not-needed").decode()}}
        (home / "config.json").write_text(json.dumps({"auths": {f"localhost:{registry.port}": {"auth": auth}, **others}}))
        done = submit(cluster, str(site), "-t", f"localhost:{registry.port}/app", "--verbosity=debug",
                      env={"DOCKER_CONFIG": str(home)})  # fmt: skip
        assert done.returncode == 0, done.stderr
        printed = submit(cluster, str(site), "-t", f"localhost:{registry.port}/app", "--print", env={"DOCKER_CONFIG": str(home)})
    assert "DOCKER_AUTH_CONFIG" in printed.stdout and "config.json" in printed.stdout.splitlines()[0]
    [secret] = [each for key, each in cluster.kept.items() if key.startswith("Secret/")]
    sent = json.loads(base64.b64decode(secret["data"]["config.json"]))
    assert sent == {"auths": {f"localhost:{registry.port}": {"auth": auth}}}
    job = the_job(cluster)
    [owner] = secret["metadata"]["ownerReferences"]
    assert owner == {"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"],
                     "uid": f"uid-of-{job['metadata']['name']}"}  # fmt: skip
    assert not cluster.secrets, "it is not needed any more"
    for text in (json.dumps(job), done.stderr, done.stdout, printed.stdout, printed.stderr):
        assert "s3cr3t-word" not in text and auth not in text and TOKEN not in text


@pytest.mark.sandbox
def test_files_beside_the_context_travel_too(cluster: Cluster, busybox: str, host: str, context: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    dockerfile = tmp_path / "elsewhere/My.Dockerfile"
    dockerfile.write_text(f"FROM {busybox}\nARG V\nCOPY . /c/\nRUN --mount=type=secret,id=t grep -q ^tellno.ody$ /run/secrets/t && "
                          "test $V = 3 && test ! -e /c/left-out\n")  # fmt: skip
    (tmp_path / "elsewhere/My.Dockerfile.dockerignore").write_text("left-out\n")
    (context / "left-out").write_text("x")
    (context / "there").write_text("x")
    done = submit(cluster, "-t", f"{host}/submit/files", "-f", str(dockerfile), "--secret=id=t,env=T", "--build-arg=V",
                  env={"T": "tellnobody", "V": "3"}, cwd=context)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "tellnobody" not in json.dumps(the_job(cluster)) + done.stderr


def test_a_repository_is_fetched_in_the_cluster_with_the_clusters_secret(cluster: Cluster, host: str, tmp_path: Path) -> None:
    with git_server(tmp_path / "git", (("the-git-token", ""),), tls=False) as server:
        (server.root / "private").mkdir()
        repository(server.root / "private/app.git", {"Dockerfile": "FROM scratch\nCOPY which /\n", "which": "x"})
        variables = {"GIT_TOKEN": b"the-git-token", "GIT_PULL_METHOD": b"http"}
        cluster.secrets["git"] = {"metadata": {}, "data": {key: base64.b64encode(each).decode() for key, each in variables.items()}}
        done = submit(cluster, f"git://{server.host}/private/app.git#refs/heads/main", "-t", f"{host}/submit/git",
                      "--env-from-secret=git", cwd=tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert inspected(f"{host}/submit/git")["Layers"]
    assert list(cluster.secrets) == ["git"]
    assert "the-git-token" not in done.stderr + json.dumps(the_job(cluster))


def test_without_the_extra_it_says_how_to_get_it(cluster: Cluster, site: Path, tmp_path: Path) -> None:
    (tmp_path / "hidden/lightkube").mkdir(parents=True)
    (tmp_path / "hidden/lightkube/__init__.py").write_text("raise ModuleNotFoundError('none', name='lightkube')\n")
    more = os.environ.get("PYTHONPATH", "")
    done = submit(cluster, str(site), "-t", "r.example/a", env={"PYTHONPATH": f"{tmp_path / 'hidden'}:{more}"})
    assert done.returncode == 1
    assert "pip install 'lightkube>=1.0,<2'" in done.stderr and "lightkube" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((".",), "--destination"),
        ((".", "-t", "r.example/a", "--executor-image="), "submit needs --executor-image"),
        ((".", "-t", "r.example/a", "--tar-path=x"), "--tar-path cannot be used"),
        (("-", "-t", "r.example/a"), "does not reach the cluster"),
        ((".", "--no-push"), "goes to the cluster through a registry"),
        ((".", "--no-push", "--platform=linux/amd64,linux/arm64"), "several platforms need a --destination"),
        (("git://t0ken@git.example/a.git", "-t", "r.example/a"), "has credentials in it"),
    ],
)
def test_usage(cluster: Cluster, site: Path, words: tuple[str, ...], said: str) -> None:
    done = submit(cluster, *words, cwd=site)
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert "t0ken" not in done.stderr and not cluster.requests


def test_detach_leaves_the_job_to_itself(cluster: Cluster, host: str, site: Path) -> None:
    done = submit(cluster, str(site), "-t", f"{host}/submit/detached", "--detach")
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip()
    assert list(cluster.jobs) == [name]
    until = time.monotonic() + 30
    while not cluster.over(f"{name}-abcde") and time.monotonic() < until:
        time.sleep(0.1)
    assert inspected(f"{host}/submit/detached")["Layers"]
    assert any("Build finished" in line for line in cluster.logs[f"{name}-abcde"])


def test_print_sends_nothing(cluster: Cluster, host: str, site: Path) -> None:
    import kubernetes_validate
    import yaml

    done = submit(cluster, str(site), "-t", f"{host}/submit/printed", "--print", "--user-namespace", "--cpu=2", "--memory=4Gi",
                  "--node-selector=disk=ssd", "--service-account=builder", "--docker-config-secret=regcred:.dockerconfigjson",
                  "--env-from-secret=git-token", "--job-timeout=1h", "--platform=linux/arm64", "--expose-mounts",
                  "--volume=/nowhere/here:/m2:ro", "--if-exists=skip", "--create-repository")  # fmt: skip
    assert done.returncode == 0, done.stderr
    [job] = yaml.safe_load_all(done.stdout)
    kubernetes_validate.validate(job, kubernetes_validate.latest_version(), strict=True)
    assert not cluster.requests
    sent = arguments(job)
    assert {"--expose-mounts=true", "--volume=/nowhere/here:/m2:ro", "--if-exists=skip", "--create-repository=true"} <= set(sent)
    assert "&id" not in done.stdout and "*id" not in done.stdout


def test_a_pod_is_patched(cluster: Cluster, host: str, site: Path, tmp_path: Path) -> None:
    (tmp_path / "patch.yaml").write_text(
        "spec:\n  hostAliases: [{ip: 10.0.0.1, hostnames: [db]}]\n  somethingNew: {a: 1}\n"
        "  containers:\n    - name: gazami\n      env: [{name: NODE, value: one}]\n      terminationMesagePath: /x\n"
    )
    cluster.newer = True
    done = submit(cluster, str(site), "-t", f"{host}/submit/patched", "--pod-patch", str(tmp_path / "patch.yaml"), "--env=A=b")
    assert done.returncode == 0, done.stderr
    pod = the_job(cluster)["spec"]["template"]["spec"]
    assert pod["hostAliases"] == [{"ip": "10.0.0.1", "hostnames": ["db"]}] and pod["somethingNew"] == {"a": 1}
    assert pod["containers"][0]["env"] == [{"name": "A", "value": "b"}, {"name": "NODE", "value": "one"}]
    for path in ("spec.template.spec.somethingNew", "spec.template.spec.containers.terminationMesagePath"):
        assert f"{path} is no member of Kubernetes' API" in done.stderr
    assert done.stderr.count("is no member") == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a", "holds no object"),
        ("a: [", "neither YAML nor JSON"),
        ("spec: {containers: [{image: x}]}", "has no name"),
        (None, "cannot read"),
    ],
)
def test_a_patch_that_cannot_be_used(cluster: Cluster, host: str, site: Path, tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "patch.yaml").write_text(text)
    done = submit(cluster, str(site), "-t", f"{host}/submit/patched", "--pod-patch", str(tmp_path / "patch.yaml"))
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert not cluster.requests


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("--memory=much", "invalid value 'much' for --memory"),
        ("--toleration=a:Never", "the effect is NoSchedule"),
        ("--seccomp-profile=gazami.json", "localhost/PATH"),
        ("--image-pull-policy=sometimes", "Always, IfNotPresent or Never"),
        ("--attach=", "no Job"),
    ],
)
def test_values_are_checked_here(cluster: Cluster, host: str, site: Path, word: str, said: str) -> None:
    done = submit(cluster, str(site), "-t", f"{host}/submit/values", word)
    assert done.returncode == 1 and said in done.stderr, done.stderr
    assert not cluster.jobs


def test_an_image_that_exists_costs_no_pod(cluster: Cluster, host: str, site: Path, tmp_path: Path) -> None:
    words = (str(site), "-t", f"{host}/submit/exists:1", "--digest-file", str(tmp_path / "digest"))
    assert submit(cluster, *words, "--if-exists=skip").returncode == 0
    digest, asked = (tmp_path / "digest").read_text(), len(cluster.requests)
    assert asked
    (site / "index.html").write_text("changed")
    skipped = submit(cluster, *words, "--if-exists=skip")
    assert skipped.returncode == 0 and "exists already" in skipped.stderr, skipped.stderr
    assert (tmp_path / "digest").read_text() == digest == inspected(f"{host}/submit/exists:1")["Digest"]
    failed = submit(cluster, *words, "--if-exists=fail")
    assert failed.returncode == 1 and "nothing was built" in failed.stderr
    assert len(cluster.requests) == asked
