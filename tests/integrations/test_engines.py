"""What ``deploy/`` has for engines: each is valid, and its containers are run by podman with the values that the engine puts in.

The fields of Tekton's, Shipwright's and Argo's objects were checked with those projects' own schemas when they were written; here
the containers in them are checked as Kubernetes' own, and the rest by the names of the fields that are used.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from tests.conformance.flatten import read_layout
from tests.container.pushed import pushed
from tests.gitserver import GitServer, git_server, repository
from tests.integrations.conftest import PASSWORD, USER, Site
from tests.integrations.kubelet import Ended, Kubelet, Running
from tests.integrations.registry import remote_digest
from tests.podman import ROOT

DEPLOY = ROOT / "deploy"
CREDENTIALS = f"{USER}:{PASSWORD}"
VERSION = kubernetes_validate.latest_version()
Document = dict[str, Any]

STEPS = {"name", "image", "workingDir", "command", "args", "env", "securityContext", "resources"}
FIELDS = {
    "tekton/task.yaml": {
        "spec": {"description", "params", "workspaces", "results", "steps"},
        "params": {"name", "description", "type", "default"},
        "workspaces": {"name", "description", "optional", "mountPath"},
        "results": {"name", "description", "type", "properties"},
        "steps": STEPS | {"script"},
    },
    "shipwright/buildstrategy.yaml": {
        "spec": {"parameters", "steps", "securityContext"},
        "parameters": {"name", "description", "type", "default", "defaults"},
        "steps": STEPS,
    },
    "argo/workflowtemplate.yaml": {
        "spec": {"entrypoint", "arguments", "templates"},
        "templates": {"name", "inputs", "container", "outputs", "volumes"},
    },
}


def read(name: str) -> Document:
    document: Document = yaml.safe_load((DEPLOY / name).read_text())
    return document


def as_pod(containers: list[Document], volumes: list[Document]) -> Document:
    inside = [{"name": "main", **{key: value for key, value in each.items() if key != "script"}} for each in containers]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": inside, "volumes": volumes}}


@pytest.mark.parametrize("name", FIELDS)
def test_the_fields_are_those_of_the_engine(name: str) -> None:
    spec = read(name)["spec"]
    for place, known in FIELDS[name].items():
        for each in [spec] if place == "spec" else spec[place]:
            assert set(each) <= known, place
    template = spec.get("templates", [{}])[0]
    containers = spec.get("steps") or [template["container"]]
    kubernetes_validate.validate(as_pod(containers, template.get("volumes", [])), VERSION, strict=True)


@pytest.mark.parametrize(
    "name", ["kueue/job.yaml", "kustomize/base/job.yaml", "kustomize/base/serviceaccount.yaml", "jenkins/pod.yaml"]
)
def test_the_objects_are_those_of_kubernetes(name: str) -> None:
    document = read(name)
    document["metadata"] = document.get("metadata") or {"name": "given-by-jenkins"}
    kubernetes_validate.validate(document, VERSION, strict=True)


def test_the_base_of_kustomize_is_whole() -> None:
    """Every resource is there; an overlay merges into a ConfigMap of the base, and names an image of it."""
    for folder in ("kustomize/base", "kustomize/example"):
        for resource in read(f"{folder}/kustomization.yaml")["resources"]:
            assert (DEPLOY / folder / resource).exists()
    base, overlay = read("kustomize/base/kustomization.yaml"), read("kustomize/example/kustomization.yaml")
    [made], [merged] = base["configMapGenerator"], overlay["configMapGenerator"]
    assert made["name"] == merged["name"] and merged["behavior"] == "merge"
    assert {each.split("=")[0] for each in merged["literals"]} <= {each.split("=")[0] for each in made["literals"]}
    assert overlay["images"][0]["name"] in (DEPLOY / "kustomize/base/job.yaml").read_text()


def filled(word: str, values: Mapping[str, str]) -> str:
    """``$(params.x)`` and ``{{inputs.x}}`` with their values; nothing is left over."""
    done = re.sub(r"\$\(([\w.-]+)\)|\{\{([\w.-]+)\}\}", lambda found: values[found[1] or found[2]], word)
    assert "$(" not in re.sub(r"\$\((?![\w.-]+\))", "", done), done
    return done


def all_filled(words: list[str], values: Mapping[str, str], lists: Mapping[str, list[str]]) -> list[str]:
    out: list[str] = []
    for word in words:
        name = word.removeprefix("$(params.").removesuffix("[*])")
        out += lists[name] if word == f"$(params.{name}[*])" else [filled(word, values)]
    return out


def run(
    kubelet: Kubelet,
    container: Document,
    volumes: Mapping[str, Path],
    values: Mapping[str, str],
    lists: Mapping[str, list[str]] | None = None,
    env: Mapping[str, str] | None = None,
) -> Ended:
    """A container of a document with its values, as the engine and the kubelet start it."""
    debug = "debug" in filled(container["image"], {"params.BUILDER_IMAGE": "debug", **values})
    given = {each["name"]: filled(each["value"], values) for each in container.get("env", []) if "value" in each}
    words = kubelet.words(
        f"{kubelet.podman.registry}/gazami:{'debug' if debug else 'executor'}",
        container.get("command", []),
        all_filled(container.get("args", []), values, lists or {}),
        volumes,
        {**given, **(env or {})},
        filled(container.get("workingDir", ""), values),
    )
    return kubelet.run(words)


def test_the_tekton_task(kubelet: Kubelet, site: Site, tmp_path: Path) -> None:
    """The steps one after the other, with the results as files. The parameters of kaniko 0.7 are all there."""
    task = read("tekton/task.yaml")["spec"]
    assert {each["name"] for each in task["params"]} >= {"IMAGE", "DOCKERFILE", "CONTEXT", "EXTRA_ARGS", "BUILDER_IMAGE"}
    assert {each["name"]: each.get("mountPath") for each in task["workspaces"]} == {
        "source": None,
        "dockerconfig": "/kaniko/.docker",
    }
    image = f"{site.registry}/of-tekton:1"
    values = {f"params.{each['name']}": each["default"] for each in task["params"] if isinstance(each.get("default"), str)}
    values |= {"params.IMAGE": image, "workspaces.source.path": "/workspace/source"}
    values |= {f"results.{each['name']}.path": f"/tekton/results/{each['name']}" for each in task["results"]}
    volumes = {
        "/workspace/source": kubelet.copy("source", site.sources),
        "/kaniko/.docker": kubelet.projected("config", {"config.json": site.config}),
        "/tekton/results": kubelet.empty("results"),
        "/tekton/scripts": kubelet.empty("scripts"),
    }
    for step in task["steps"]:
        container = dict(step)
        if script := container.pop("script", ""):
            (tmp_path / "scripts/script").write_text(re.sub(r"\$\((\w[\w.]+\.path)\)", lambda found: values[found[1]], script))
            (tmp_path / "scripts/script").chmod(0o755)
            container["command"] = ["/tekton/scripts/script"]
        ended = run(kubelet, container, volumes, values, {"EXTRA_ARGS": ["--label=by=tekton", "--build-arg=A=b"]})
        assert ended.status == 0, ended.log
    digest = remote_digest(image)
    results = {path.name: path.read_text() for path in (tmp_path / "results").iterdir()}
    assert results.pop("IMAGE_DIGEST") == digest
    assert results.pop("IMAGE_URL") == image
    assert json.loads(results.pop("APP_ARTIFACT_OUTPUTS")) == {"uri": image, "digest": digest}
    assert not results
    config, _ = pushed(image, tmp_path, credentials=CREDENTIALS)
    assert config["config"]["Labels"] == {"by": "tekton"}


@pytest.mark.parametrize("cached", [False, True])
def test_the_shipwright_strategy(cached: bool, kubelet: Kubelet, site: Site, tmp_path: Path) -> None:
    """Shipwright takes the one image of an OCI layout and pushes it; parameters with spaces and without values."""
    strategy = read("shipwright/buildstrategy.yaml")["spec"]
    sources = kubelet.copy("source", site.sources)
    with (sources / "Dockerfile").open("a") as file:
        file.write('ENV a="$A"\n')
    values = {f"params.{each['name']}": each["default"] for each in strategy["parameters"] if "default" in each}
    values |= {
        "params.shp-source-root": "/workspace/source", "params.shp-source-context": "/workspace/source",
        "params.shp-output-image": f"{site.registry}/of-shipwright:1", "params.shp-output-directory": "/workspace/output-image",
        "params.cache-repo": f"{site.registry}/of-shipwright/cache" if cached else "",
    }  # fmt: skip
    (tmp_path / "home/.docker").mkdir(parents=True)
    (tmp_path / "home/.docker/config.json").write_text(site.config)
    volumes = {"/workspace/source": sources, "/workspace/output-image": kubelet.empty("out"), "/tekton/home": tmp_path / "home"}
    lists = {"build-args": ["A=of two words", "B=c"] if cached else []}
    [step] = strategy["steps"]
    ended = run(kubelet, step, volumes, values, lists)
    assert ended.status == 0, ended.log
    [manifest] = json.loads((tmp_path / "out/index.json").read_text())["manifests"]
    config, files = read_layout(tmp_path / "out")
    assert manifest["mediaType"].endswith("manifest.v1+json") and files["made"] == files["file"]
    assert ("a=of two words" if cached else "a=") in config["config"]["Env"]


@pytest.fixture(scope="module")
def git(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with git_server(tmp_path_factory.mktemp("git"), tls=False) as server:
        repository(server.root / "app.git", {"which": "", **{path.name: path.read_text() for path in site.sources.iterdir()}})
        yield server


PLAIN = {"GIT_PULL_METHOD": "http"}
"""The tests' server speaks no TLS."""


def test_the_argo_template(kubelet: Kubelet, site: Site, git: GitServer, tmp_path: Path) -> None:
    spec = read("argo/workflowtemplate.yaml")["spec"]
    image = f"{site.registry}/of-argo:1"
    given = {"repository": f"git://{git.host}/app.git", "image": image}
    workflow = {
        f"workflow.parameters.{each['name']}": given.get(each["name"]) or each["value"] for each in spec["arguments"]["parameters"]
    }
    [template] = [each for each in spec["templates"] if each["name"] == spec["entrypoint"]]
    values = {f"inputs.parameters.{each['name']}": filled(each["value"], workflow) for each in template["inputs"]["parameters"]}
    config = kubelet.projected("config", {"config.json": site.config})
    volumes = {"/kaniko/.docker": config, "/kaniko/out": kubelet.empty("out")}
    assert {each["mountPath"] for each in template["container"]["volumeMounts"]} == set(volumes)
    ended = run(kubelet, template["container"], volumes, values, env=PLAIN)
    assert ended.status == 0, ended.log
    [output] = template["outputs"]["parameters"]
    assert output["valueFrom"]["path"] == "/kaniko/out/digest"
    assert (tmp_path / "out/digest").read_text() == remote_digest(image)


@pytest.mark.parametrize("name", ["kueue/job.yaml", "kustomize/base/job.yaml"])
def test_the_jobs(name: str, kubelet: Kubelet, site: Site, git: GitServer) -> None:
    """Kueue starts a suspended Job with its label; kustomize's gets what an overlay says as variables."""
    job = read(name)
    if "kueue" in name:
        assert job["spec"]["suspend"] and job["metadata"]["labels"] == {"kueue.x-k8s.io/queue-name": "builds"}
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["requests"], "what a queue counts"
    image, context = f"{site.registry}/{name.split('/')[0]}:1", f"git://{git.host}/app.git#refs/heads/main"
    container["args"] = [
        word.replace("registry.example.com/team/app:1.0", image).replace(
            "git://git.example.com/team/app.git#refs/heads/main", context
        )
        for word in container["args"]
    ]
    values = {"CONTEXT": context, "IMAGE": image, "DOCKERFILE": "Dockerfile"}
    config = kubelet.projected("config", {"config.json": site.config})
    volumes = {"/kaniko/.docker": config, "/kaniko/state": kubelet.empty("state")}
    assert {each["mountPath"] for each in container["volumeMounts"]} == set(volumes)
    ended = run(kubelet, container, volumes, values, env=PLAIN)
    assert ended.status == 0, ended.log
    assert remote_digest(image).startswith("sha256:")


def test_the_jenkinsfile(kubelet: Kubelet, site: Site) -> None:
    """Its one step, sent to the container of the pod template."""
    [container] = read("jenkins/pod.yaml")["spec"]["containers"]
    text = (DEPLOY / "jenkins/Jenkinsfile").read_text()
    [named] = re.findall(r"container\(name: '(\w+)', shell: '/busybox/sh'\)", text)
    assert named == container["name"] and "yamlFile 'pod.yaml'" in text
    [script] = re.findall(r"sh '''(.*?)'''", text, re.DOTALL)
    agent = kubelet.empty("agent")
    workspace = kubelet.copy("agent/app", site.sources)
    (workspace / "script.sh").write_text(script)
    (workspace / "script.sh").chmod(0o755)
    image = f"{site.registry}/of-jenkins:7"
    volumes = {"/kaniko/.docker": kubelet.projected("config", {"config.json": site.config}), "/home/jenkins/agent": agent}
    words = kubelet.words(
        f"{kubelet.podman.registry}/gazami:debug", container["command"], container["args"], volumes, {"IMAGE": image}
    )
    start = kubelet.podman.command("run", "-d", "--name", "of-jenkinsfile", *words)
    subprocess.run(start, check=True, capture_output=True)
    try:
        done = Running(kubelet, "of-jenkinsfile").command("/busybox/sh", data="cd /home/jenkins/agent/app && ./script.sh\n")
        assert done.status == 0, done.log
        assert (workspace / "image.digest").read_text() == remote_digest(image)
    finally:
        subprocess.run(kubelet.podman.command("rm", "-f", "-t", "0", "of-jenkinsfile"), check=False, capture_output=True)
