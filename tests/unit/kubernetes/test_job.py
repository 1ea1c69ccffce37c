"""Manifests that Kubernetes takes, whatever is wished for; what belongs in a Secret is in nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any

import kubernetes_validate
import pytest

from gazami.cli.flags.argv import parse
from gazami.cli.flags.options import BUILD, DESTINATION
from gazami.errors import UsageError
from gazami.kubernetes.job import INPUT, Build, job_manifest, secret_manifest
from gazami.kubernetes.options import Access, Confinement, Lifetime, Placement, PodOptions, Resources, Toleration

VERSION = kubernetes_validate.latest_version()
ARGUMENTS = ("--destination=r.example/app:1", "--context=git://git.example/app.git")
EVERYTHING = PodOptions(
    "r.example/executor:1",
    "IfNotPresent",
    Resources("500m", "2Gi", "10Gi", "2"),
    Placement((("disk", "ssd"),), (Toleration("a"), Toleration("b", "c", "NoExecute"), Toleration("")), "high", "kata", "team"),
    Access("builder", ("pull",), "", ("git-token", "aws"), (("HTTPS_PROXY", "http://proxy.example:3128"),)),
    Confinement(user_namespace=True, seccomp="localhost/profiles/gazami.json"),
    Lifetime(90.5, 60),
    (("team", "a"),),
    (("sidecar.istio.io/inject", "false"),),
    {"metadata": {"annotations": {"x": "y"}}, "spec": {"dnsPolicy": "Default", "containers": [{"name": "gazami", "tty": False}]}},
)
RESTRICTED = PodOptions("e", confinement=Confinement(restricted=True))
REGCRED = PodOptions("e", access=Access(docker_config_secret="regcred:.dockerconfigjson"))
FILES = {"config.json": b'{"auths": {}}', "Dockerfile": b"FROM scratch", "secret-0": b"\xff\x00hidden"}


@pytest.mark.parametrize("options", [PodOptions("executor"), EVERYTHING, RESTRICTED, REGCRED])
@pytest.mark.parametrize("files", [{}, FILES])
def test_every_job_is_what_kubernetes_takes(options: PodOptions, files: dict[str, bytes]) -> None:
    build = Build("gazami-1", "1", ARGUMENTS, "arm64", files)
    job = job_manifest(build, options)
    kubernetes_validate.validate(job, VERSION, strict=True)
    kubernetes_validate.validate(secret_manifest(build, "uid"), VERSION, strict=True)
    pod = job["spec"]["template"]["spec"]
    parsed = parse(pod["containers"][0]["args"], BUILD)
    assert parsed[DESTINATION] == ("r.example/app:1",) and not parsed.positionals
    assert pod["nodeSelector"]["kubernetes.io/arch"] == "arm64"
    assert "hidden" not in json.dumps(job) and base64.b64encode(FILES["secret-0"]).decode() not in json.dumps(job)


def test_a_job_is_tried_once_and_does_not_stay() -> None:
    spec = job_manifest(Build("a", "1", ()), PodOptions("e"))["spec"]
    assert (spec["backoffLimit"], spec["template"]["spec"]["restartPolicy"], spec["ttlSecondsAfterFinished"]) == (0, "Never", 3600)
    assert "ttlSecondsAfterFinished" not in job_manifest(Build("a", "1", ()), PodOptions("e", keep=True))["spec"]
    assert spec["activeDeadlineSeconds"] == 24 * 3600
    endless = job_manifest(Build("a", "1", ()), PodOptions("e", lifetime=Lifetime(None)))["spec"]
    assert "activeDeadlineSeconds" not in endless
    assert job_manifest(Build("a", "1", ()), EVERYTHING)["spec"]["activeDeadlineSeconds"] == 90


def mounts(build: Build, options: PodOptions) -> dict[str, dict[str, object]]:
    """Secrets by where they are mounted."""
    pod = job_manifest(build, options)["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume.get("secret") for volume in pod["volumes"]}
    return {each["mountPath"]: volumes[each["name"]] for each in pod["containers"][0]["volumeMounts"] if volumes[each["name"]]}


def container(build: Build, options: PodOptions) -> dict[str, Any]:
    [found] = job_manifest(build, options)["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_credentials_are_a_variable_and_other_files_lie_where_no_step_looks() -> None:
    build = Build("gazami-1", "1", (), "", FILES)
    found = mounts(build, PodOptions("e"))
    assert set(found) == {INPUT}
    assert sorted(item["path"] for item in found[INPUT]["items"]) == ["Dockerfile", "ready", "secret-0"]  # type: ignore[attr-defined]
    [variable] = container(build, PodOptions("e"))["env"]
    assert variable["name"] == "DOCKER_AUTH_CONFIG"
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "gazami-1", "key": "config.json"}}


def test_the_container_waits_for_a_secret_that_comes_after_the_job() -> None:
    """A volume is waited for; a variable of a Secret that is not there is an error of the container."""
    build = Build("gazami-1", "1", (), "", {"config.json": b"{}"})
    [item] = mounts(build, PodOptions("e"))[INPUT]["items"]  # type: ignore[misc]
    assert secret_manifest(build, "uid")["data"][item["key"]] == "" and item["key"] not in build.files
    assert not mounts(Build("gazami-1", "1", ()), PodOptions("e"))


def test_credentials_that_fit_into_no_variable_are_mounted() -> None:
    build = Build("gazami-1", "1", (), "", {"config.json": bytes(200 << 10)})
    assert set(mounts(build, PodOptions("e"))) == {"/kaniko/.docker", INPUT}
    assert "env" not in container(build, PodOptions("e"))
    own = PodOptions("e", access=Access(environment=(("DOCKER_AUTH_CONFIG", "{}"),)))
    build = Build("gazami-1", "1", (), "", FILES)
    assert "/kaniko/.docker" in mounts(build, own)
    assert container(build, own)["env"] == [{"name": "DOCKER_AUTH_CONFIG", "value": "{}"}]


def test_a_secret_of_the_cluster_takes_the_place_of_ours() -> None:
    [variable] = container(Build("gazami-1", "1", ()), REGCRED)["env"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": "regcred", "key": ".dockerconfigjson"}


def test_a_pod_reserves_something_and_is_limited_only_where_asked() -> None:
    resources = container(Build("a", "1", ()), PodOptions("e"))["resources"]
    assert resources == {"requests": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi"}}
    assert container(Build("a", "1", ()), EVERYTHING)["resources"] == {
        "requests": {"cpu": "500m", "memory": "2Gi", "ephemeral-storage": "10Gi"},
        "limits": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "10Gi"},
    }


def test_everything_that_an_admin_may_ask_for() -> None:
    job = job_manifest(Build("a", "1", ()), EVERYTHING)
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team" and job["spec"]["suspend"] is True
    assert job["metadata"]["labels"]["team"] == job["spec"]["template"]["metadata"]["labels"]["team"] == "a"
    assert job["spec"]["template"]["metadata"]["annotations"] == {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true",
        "sidecar.istio.io/inject": "false", "x": "y",
    }  # fmt: skip
    pod = job["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux", "disk": "ssd"}
    assert pod["tolerations"] == [
        {"operator": "Exists", "key": "a"},
        {"operator": "Equal", "key": "b", "value": "c", "effect": "NoExecute"},
        {"operator": "Exists"},
    ]
    assert (pod["priorityClassName"], pod["runtimeClassName"], pod["dnsPolicy"]) == ("high", "kata", "Default")
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["volumes"][0] == {"name": "state", "emptyDir": {"sizeLimit": "10Gi"}}
    [found] = pod["containers"]
    assert found["tty"] is False and found["imagePullPolicy"] == "IfNotPresent" and found["args"][-1] == "--state-dir=/kaniko/state"
    assert found["securityContext"]["seccompProfile"] == {"type": "Localhost", "localhostProfile": "profiles/gazami.json"}


def test_a_pod_for_a_restricted_namespace() -> None:
    """Each condition of the pod security standard restricted, as its page lists them."""
    pod = job_manifest(Build("a", "1", (), "", FILES), RESTRICTED)["spec"]["template"]["spec"]
    context = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] > 0
    assert context["allowPrivilegeEscalation"] is False and context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["securityContext"]["fsGroup"] == pod["securityContext"]["runAsGroup"]  # who is not root reads the Secret's files


def test_a_secret_that_is_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match="1 MiB"):
        secret_manifest(Build("a", "1", (), "", {"secret-0": bytes(1 << 20)}), "uid")
