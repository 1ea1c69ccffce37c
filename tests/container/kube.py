"""Kubernetes' manifests run by ``podman play kube``, and what has to be changed in them for podman 4.3.1.

Names of examples (images, repositories) are replaced in the text; each other change is a function here with its reason. What
is not changed is run as it stands: arguments, environment from secrets, claims, limits, capabilities.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.container.conftest import ROOT, Podman
from tests.programs import gazami

MANIFESTS = ROOT / "deploy/kubernetes"
Document = dict[str, Any]
UNCONFINED = "unconfined"
RUNTIME_DEFAULT = "localhost/docker.json"

CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
[engine]
infra_image = "{infra}"
"""
"""Limits that a machine without CAP_SYS_RESOURCE can set, and what holds a pod together: podman would build an image for it of
``catatonit``."""
INFRA = 'FROM {base}\nENTRYPOINT ["/bin/sh", "-c", "trap exit TERM; sleep 10000 & wait"]\n'

RUNTIME = """#!/usr/bin/python3
import json, os, sys
if "--bundle" in sys.argv:
    path = os.path.join(sys.argv[sys.argv.index("--bundle") + 1], "config.json")
    config = json.load(open(path))
    for mount in config["mounts"]:
        if mount["type"] == "sysfs":
            mount |= {"type": "bind", "source": "/sys", "options": ["rbind", "ro", "nosuid", "noexec", "nodev"]}
    json.dump(config, open(path, "w"))
os.execvp("runc", ["runc", *sys.argv[1:]])
"""
"""runc, for a user namespace with the machine's network: no sysfs can be mounted there. ``podman run --uidmap`` binds /sys
instead, ``podman play kube --userns=auto`` does not."""
USER_NAMESPACE = ["--userns", "auto:uidmapping=0:100000:65536,gidmapping=0:100000:65536"]


def documents(name: str, replaced: Mapping[str, str]) -> list[Document]:
    """The documents of a manifest, with names of examples replaced by real ones; every one of them has to be there."""
    text = (MANIFESTS / name).read_text()
    for old, new in replaced.items():
        assert old in text, f"{name} does not say {old}"
        text = text.replace(old, new)
    return list(yaml.safe_load_all(text))


def adapted(document: Document, profile: str, secrets: Mapping[str, Path]) -> Document:
    """The pod of the document as podman takes it. ``secrets`` are folders by the name of the secret that they stand for."""
    pod = pod_of(document)
    with_folders_for_secrets(pod, secrets)
    with_capabilities_of_containerd(pod)
    with_profile(pod, profile)
    with_plain_git(pod)
    return pod


def pod_of(document: Document) -> Document:
    """podman 4.3.1 knows no Job: the pod that the Job would make."""
    if document["kind"] != "Job":
        return document
    template = document["spec"]["template"]
    metadata = {**template.get("metadata", {}), "name": document["metadata"]["name"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def with_folders_for_secrets(pod: Document, folders: Mapping[str, Path]) -> None:
    """podman 4.3.1 mounts a secret's data still encoded, and ignores ``items``: a folder of this machine instead."""
    for volume in pod["spec"].get("volumes", []):
        if secret := volume.pop("secret", None):
            volume["hostPath"] = {"path": str(folders[secret["secretName"]])}


def with_profile(pod: Document, profile: str) -> None:
    """podman 4.3.1 reads no ``seccompProfile``, only the annotation of old that the field has replaced. ``profile`` is for
    pods that say none, as a kubelet has one for them."""
    [container] = pod["spec"]["containers"]
    said = container.get("securityContext", {}).get("seccompProfile", {})
    local = f"localhost/{Path(said.get('localhostProfile', '')).name}"  # podman takes no folders
    value = {None: profile, "Unconfined": UNCONFINED, "RuntimeDefault": RUNTIME_DEFAULT, "Localhost": local}[said.get("type")]
    pod["metadata"].setdefault("annotations", {})["seccomp.security.alpha.kubernetes.io/pod"] = value


def with_capabilities_of_containerd(pod: Document) -> None:
    """containerd and Docker give three capabilities that podman does not."""
    [container] = pod["spec"]["containers"]
    capabilities = container.setdefault("securityContext", {}).setdefault("capabilities", {})
    if capabilities.get("drop"):
        return
    capabilities["add"] = [*capabilities.get("add", []), "MKNOD", "NET_RAW", "AUDIT_WRITE"]


def with_plain_git(pod: Document) -> None:
    """``git://`` is fetched by https, which the server of the tests does not speak."""
    [container] = pod["spec"]["containers"]
    container.setdefault("env", []).append({"name": "GIT_PULL_METHOD", "value": "http"})


@dataclass(frozen=True, slots=True)
class Ended:
    status: int
    log: str


@dataclass(frozen=True, slots=True)
class Kube:
    """``folder`` has podman's configuration, the profile of RuntimeDefault as ``docker.json``, and the runtime above. ``claims``
    are the volumes that outlive a pod."""

    podman: Podman
    folder: Path
    claims: set[str] = field(default_factory=set)

    def attempt(self, *words: str, data: str = "") -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "CONTAINERS_CONF": str(self.folder / "containers.conf")}
        return subprocess.run(
            self.podman.command(*words), env=environ, input=data, capture_output=True, text=True, check=False, timeout=120
        )

    def run(self, *words: str, data: str = "") -> str:
        done = self.attempt(*words, data=data)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def secret(self, name: str, **values: str) -> None:
        """podman 4.3.1 finds ``secretKeyRef`` in a secret of its own whose value is the object of a Secret's data."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self.run("secret", "create", name, "-", data=json.dumps(encoded))

    def play(self, document: Document) -> Ended:
        """Run a pod of one container to its end, and remove it."""
        path = self.folder / "pod.json"
        path.write_text(json.dumps(document))
        of_user = document["spec"].get("hostUsers") is False
        runtime = ["--runtime", str(self.folder / "runc-with-sys")] if of_user else []
        options = ["--network=host", f"--seccomp-profile-root={self.folder}", *(USER_NAMESPACE if of_user else [])]
        name = f"{document['metadata']['name']}-{document['spec']['containers'][0]['name']}"
        try:
            self.run(*runtime, "play", "kube", *options, str(path))
            status = int(self.run(*runtime, "wait", name))
            log = subprocess.run(
                self.podman.command("logs", name), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True
            )
            return Ended(status, log.stdout)
        finally:
            self.remove(document["metadata"]["name"])

    def remove(self, pod: str) -> None:
        """Remove a pod. podman may still be unmounting what the container had that has just ended, so this is tried again."""
        for _ in range(10):
            done = self.attempt("pod", "rm", "--force", "--ignore", pod)
            if done.returncode == 0:
                break
            time.sleep(0.3)
        else:
            raise AssertionError(done.stderr)
        for volume in {*self.run("volume", "ls", "-q", "--filter", "dangling=true").split()} - self.claims:
            self.attempt("volume", "rm", volume)  # an emptyDir of a pod whose removal was tried again: the next pod would get it

    def claim(self, document: Document) -> None:
        """Make the volume of a PersistentVolumeClaim."""
        path = self.folder / "claim.json"
        path.write_text(json.dumps(document))
        self.claims.add(document["metadata"]["name"])
        self.run("play", "kube", str(path))


def prepare(podman: Podman, folder: Path, profile: str) -> Kube:
    """podman with what pods need here; ``profile`` is the file of RuntimeDefault's seccomp profile."""
    infra = f"{podman.registry}/infra:1"
    (folder / "infra").mkdir()
    (folder / "infra/Dockerfile").write_text(INFRA.format(base=podman.base))
    done = gazami("build", str(folder / "infra"), f"-t={infra}", f"--state-dir={folder / 'state'}")
    assert done.returncode == 0, done.stderr
    (folder / "containers.conf").write_text(CONFIGURATION.format(infra=infra))
    shutil.copy(profile, folder / "docker.json")
    shutil.copy(MANIFESTS / "seccomp/gazami.json", folder / "gazami.json")
    (folder / "runc-with-sys").write_text(RUNTIME)
    (folder / "runc-with-sys").chmod(0o755)
    made = Kube(podman, folder)
    made.run("pull", "-q", "--tls-verify=false", infra)
    return made
