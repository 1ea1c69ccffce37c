"""The manifests of ``deploy/kubernetes``, run by ``podman play kube`` with a private repository and a registry that wants
credentials."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.container.conftest import Podman
from tests.container.environments import ENVIRONMENTS
from tests.container.kube import MANIFESTS, RUNTIME_DEFAULT, UNCONFINED, Document, Ended, Kube, adapted, documents, prepare
from tests.container.pushed import pushed
from tests.gitserver import GitServer, git_server, repository
from tests.roots import busybox_root
from tests.services import docker_registry

TOKEN = "s3cr3t-t0ken"
CREDENTIALS = "robot:hunter2"
DOCKERFILE = "FROM {base}\nCOPY which /which\nRUN cat /which > /made && echo user ids $(cat /proc/self/uid_map)\n"


@dataclass(frozen=True, slots=True)
class Cluster:
    """What a manifest finds: a Git server, a registry with credentials, the secrets; and podman as the kubelet."""

    kube: Kube
    git: GitServer
    registry: str
    secrets: dict[str, Path]

    @property
    def podman(self) -> Podman:
        return self.kube.podman

    def read(self, manifest: str, destination: str, repository: str = "private/app.git", **more: str) -> list[Document]:
        names = {
            "registry.example.com/gazami/executor:0.1.0": self.podman.image,
            "registry.example.com/team/app": f"{self.registry}/{destination}",
            "git.example.com/team/app.git": f"{self.git.host}/{repository}",
        }
        return documents(manifest, names | more)

    def play(self, document: Document, profile: str = UNCONFINED) -> Ended:
        return self.kube.play(adapted(document, profile, self.secrets))


@pytest.fixture(scope="module")
def kube(podman: Podman, docker_seccomp: str, tmp_path_factory: pytest.TempPathFactory) -> Kube:
    made = prepare(podman, tmp_path_factory.mktemp("kube"), docker_seccomp)
    made.secret("git-token", token=TOKEN)
    return made


@pytest.fixture(scope="module")
def warmed(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base of its own, whose layer is in no other image."""
    root = busybox_root(tmp_path_factory.mktemp("warmed") / "root")
    (root / "warmed").write_text("a layer of its own")
    return podman.image_of(root, "warmed")


@pytest.fixture(scope="module")
def cluster(kube: Kube, warmed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    user, _, password = CREDENTIALS.partition(":")
    with (
        git_server(folder / "git", ((TOKEN, ""),), tls=False) as git,
        docker_registry(folder / "registry", htpasswd=((user, password),)) as registry,
    ):
        app = DOCKERFILE.format(base=kube.podman.base)
        for name, dockerfile in {
            "private/app": app,
            "private/failing": app + "RUN exit 9\n",
            "public/app": app,
            "public/warmed": DOCKERFILE.format(base=warmed),
        }.items():
            (git.root / name).parent.mkdir(exist_ok=True)
            repository(git.root / f"{name}.git", {"Dockerfile": dockerfile, "which": "first"})
        host = f"localhost:{registry.port}"
        config = folder / "docker-config"
        config.mkdir(mode=0o755)
        auth = base64.b64encode(CREDENTIALS.encode()).decode()
        (config / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
        yield Cluster(kube, git, host, {"docker-config": config})


def assert_pushed(cluster: Cluster, ended: Ended, name: str, folder: Path) -> None:
    assert ended.status == 0, ended.log
    assert TOKEN not in ended.log and "hunter2" not in ended.log
    _, files = pushed(f"{cluster.registry}/{name}", folder, credentials=CREDENTIALS)
    assert files["made"]["sha256"] == files["which"]["sha256"]
    assert files["made"]["size"] == len("second"), "the last commit of main"


def test_every_manifest_with_a_pod_is_run_here() -> None:
    seen = Path(__file__).read_text()
    of_pods = {path.name for path in MANIFESTS.glob("*.yaml") if "containers:" in path.read_text()}
    assert len(of_pods) >= 4
    assert all(f'"{name}"' in seen for name in of_pods)


@pytest.mark.parametrize(("profile", "like"), [(UNCONFINED, "seccomp unconfined"), (RUNTIME_DEFAULT, "Docker's default")])
def test_the_pod(profile: str, like: str, cluster: Cluster, tmp_path: Path) -> None:
    """Once as a kubelet starts it by default, once as with ``--seccomp-default``."""
    destination = f"pod-{ENVIRONMENTS[like].mode}"
    [pod] = cluster.read("pod.yaml", destination)
    ended = cluster.play(pod, profile)
    assert_pushed(cluster, ended, f"{destination}:1.0", tmp_path)
    assert f"isolated by {ENVIRONMENTS[like].mode}" in ended.log
    assert "wrote /dev/termination-log" in ended.log


@pytest.mark.parametrize("profile", [UNCONFINED, RUNTIME_DEFAULT])
def test_the_job_finds_its_layers_when_it_is_tried_again(profile: str, cluster: Cluster, tmp_path: Path) -> None:
    destination = f"job-{profile.rpartition('/')[2]}"
    [job] = cluster.read("job.yaml", destination)
    ended = cluster.play(job, profile)
    assert_pushed(cluster, ended, f"{destination}:1.0", tmp_path)
    assert "0 of 2 steps found" in ended.log
    [job] = cluster.read("job.yaml", destination)
    again = cluster.play(job, profile)
    assert again.status == 0
    assert "2 of 2 steps found" in again.log


def test_a_pod_whose_step_fails_ends_with_its_status(cluster: Cluster) -> None:
    [job] = cluster.read("job.yaml", "failing", "private/failing.git")
    ended = cluster.play(job)
    assert ended.status == 9, ended.log


def test_the_token_of_the_secret_is_what_opens_the_repository(cluster: Cluster) -> None:
    cluster.kube.secret("wrong-token", token="wrong")
    [pod] = cluster.read("pod.yaml", "wrong", **{"name: git-token": "name: wrong-token"})
    ended = cluster.play(pod)
    assert ended.status == 1
    assert "GIT_TOKEN" in ended.log


def test_bases_of_the_volume_are_not_pulled(cluster: Cluster, warmed: str, tmp_path: Path) -> None:
    """After the warmer the registry loses the base's layer."""
    names = {
        "docker.io/library/debian:12": warmed,
        "registry.example.com/gazami/warmer:0.1.0": f"{cluster.podman.registry}/gazami:warmer",
    }
    claim, job, pod = cluster.read("cache-volume.yaml", "cached", "public/warmed.git", **names)
    _, before = pushed(warmed, tmp_path)
    assert "warmed" in before
    cluster.kube.claim(claim)
    try:
        done = cluster.play(job, RUNTIME_DEFAULT)
        assert done.status == 0, done.log
        lose_layers(cluster.podman.storage, tmp_path / "warmed")
        ended = cluster.play(pod, RUNTIME_DEFAULT)
        assert_pushed(cluster, ended, "cached:1.0", tmp_path)
    finally:
        cluster.kube.run("volume", "rm", claim["metadata"]["name"])


def lose_layers(storage: Path, layout: Path) -> None:
    """Remove from a registry's storage the layers that an OCI layout of one image has."""
    blobs = layout / "blobs/sha256"
    [manifest] = json.loads((layout / "index.json").read_bytes())["manifests"]
    layers = json.loads((blobs / manifest["digest"].partition(":")[2]).read_bytes())["layers"]
    assert layers
    for layer in layers:
        encoded = layer["digest"].partition(":")[2]
        (storage / "docker/registry/v2/blobs/sha256" / encoded[:2] / encoded / "data").unlink()


def test_the_pod_with_a_user_namespace_of_its_own(cluster: Cluster, tmp_path: Path) -> None:
    [pod] = cluster.read("user-namespace.yaml", "user", "public/app.git")
    ended = cluster.play(pod)
    assert_pushed(cluster, ended, "user:1.0", tmp_path)
    assert "user ids 0 100000 65536" in ended.log
    assert f"isolated by {ENVIRONMENTS['user namespace, unconfined, SYS_ADMIN'].mode}" in ended.log


def test_the_pod_of_a_restricted_namespace(cluster: Cluster, tmp_path: Path) -> None:
    [pod] = cluster.read("restricted.yaml", "restricted", "public/app.git")
    user = pod["spec"]["securityContext"]
    pod["spec"]["containers"][0]["securityContext"] |= {"runAsUser": user["runAsUser"], "runAsGroup": user["runAsGroup"]}
    cluster.kube.secret("docker-config", **{"config.json": (cluster.secrets["docker-config"] / "config.json").read_text()})
    ended = cluster.play(pod)
    assert_pushed(cluster, ended, "restricted:1.0", tmp_path)
    assert f"isolated by {ENVIRONMENTS['restricted, the shipped profile'].mode}" in ended.log
