"""Manifests that Kubernetes takes, whatever is wished for; what belongs in a Secret is in nothing else."""

from __future__ import annotations

import base64
import json

import kubernetes_validate
import pytest

from gazami.cli.flags.argv import parse
from gazami.cli.flags.options import BUILD, DESTINATION
from gazami.errors import UsageError
from gazami.kubernetes.job import INPUT, Build, PodOptions, job_manifest, secret_manifest

VERSION = kubernetes_validate.latest_version()
ARGUMENTS = ("--destination=r.example/app:1", "--context=git://git.example/app.git")
EVERYTHING = PodOptions(
    "r.example/executor:1", "builder", "", ("git-token", "aws"), (("disk", "ssd"),), user_namespace=True, cpu="500m",
    memory="2Gi", timeout=90.5,
)  # fmt: skip
FILES = {"config.json": b'{"auths": {}}', "Dockerfile": b"FROM scratch", "secret-0": b"\xff\x00hidden"}


@pytest.mark.parametrize(
    "options", [PodOptions("executor"), EVERYTHING, PodOptions("e", docker_config_secret="regcred:.dockerconfigjson")]
)
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
    assert "activeDeadlineSeconds" not in spec
    assert job_manifest(Build("a", "1", ()), EVERYTHING)["spec"]["activeDeadlineSeconds"] == 90


def mounts(build: Build, options: PodOptions) -> dict[str, dict[str, object]]:
    """Secrets by where they are mounted."""
    pod = job_manifest(build, options)["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume.get("secret") for volume in pod["volumes"]}
    return {each["mountPath"]: volumes[each["name"]] for each in pod["containers"][0]["volumeMounts"] if volumes[each["name"]]}


def test_credentials_lie_where_docker_looks_and_other_files_beside() -> None:
    found = mounts(Build("gazami-1", "1", (), "", FILES), PodOptions("e"))
    assert set(found) == {"/kaniko/.docker", INPUT}
    assert [item["path"] for item in found["/kaniko/.docker"]["items"]] == ["config.json"]  # type: ignore[union-attr]
    assert sorted(item["path"] for item in found[INPUT]["items"]) == ["Dockerfile", "secret-0"]  # type: ignore[union-attr]


def test_a_secret_of_the_cluster_takes_the_place_of_ours() -> None:
    found = mounts(Build("gazami-1", "1", ()), PodOptions("e", docker_config_secret="regcred:.dockerconfigjson"))
    assert found["/kaniko/.docker"]["secretName"] == "regcred"
    assert found["/kaniko/.docker"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]


def test_a_secret_that_is_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match="1 MiB"):
        secret_manifest(Build("a", "1", (), "", {"secret-0": bytes(1 << 20)}), "uid")
