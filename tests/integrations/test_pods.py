"""Pods whose container is the executor, as their projects make them, and what those read when it has ended."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conformance.flatten import read_layout
from tests.container.pushed import pushed
from tests.integrations.callers import CALLERS, CONFIG, CONTEXT, DOCKERFILE, SECRET, TERMINATION, Caller
from tests.integrations.conftest import PASSWORD, USER, Site
from tests.integrations.kubelet import Kubelet
from tests.integrations.registry import is_pushed, remote_digest

WITH_SECRET = "FROM {base}\nARG MOD_NAME\nRUN cp /run/secrets/key/key.pem /made && test $MOD_NAME = simple && echo of the step\n"
KEY = "of the secret, which is longer\n"


@dataclass(frozen=True, slots=True)
class Played:
    status: int
    log: str
    volumes: dict[str, Path]

    def file(self, path: str) -> Path:
        """Where a file of the container lies on this machine."""
        target = max((each for each in self.volumes if path == each or path.startswith(f"{each}/")), key=len)
        return Path(f"{self.volumes[target]}{path.removeprefix(target)}")


def repository(name: str, site: Site) -> str:
    return f"{site.registry}/{name.lower().replace(' ', '-')}"


def play(name: str, kubelet: Kubelet, site: Site) -> Played:
    """Run the caller's container to its end."""
    caller = CALLERS[name]
    volumes = {target: volume(kubelet, site, what, target) for target, what in caller.volumes.items()}
    volumes[TERMINATION] = kubelet.folder / "termination-log"
    volumes[TERMINATION].write_text("")
    volumes[TERMINATION].chmod(0o666)
    text = caller.args.replace("{to}", repository(name, site)).replace("{registry}", site.registry)
    image = f"{kubelet.podman.registry}/gazami:{'debug' if caller.debug else 'executor'}"
    words = kubelet.words(image, caller.command, shlex.split(text), volumes, caller.env, caller.folder)
    ended = kubelet.run(words, archive(site.sources) if caller.stdin else b"")
    return Played(ended.status, ended.log, volumes)


def volume(kubelet: Kubelet, site: Site, what: str, target: str) -> Path:
    name = target.strip("/").replace("/", "-")
    match what:
        case _ if what == CONTEXT:
            return kubelet.copy(name, site.sources)
        case _ if what == CONFIG:
            return kubelet.projected(name, {"config.json": site.config})
        case _ if what == DOCKERFILE:
            return kubelet.projected(name, {"Dockerfile": (site.sources / "Dockerfile").read_text()})
        case _ if what == SECRET:
            return kubelet.projected(name, {"key.pem": KEY})
    return kubelet.empty(name)


def archive(folder: Path) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        tar.add(folder, ".")
    return data.getvalue()


def with_secret(site: Site, caller: Caller, kubelet: Kubelet, folder: Path) -> Site:
    """The sources of a caller whose steps read what the pod mounts."""
    if SECRET not in caller.volumes.values():
        return site
    (folder / "sources").mkdir()
    (folder / "sources/Dockerfile").write_text(WITH_SECRET.format(base=kubelet.podman.base))
    return Site(site.registry, site.config, folder / "sources")


@pytest.mark.parametrize("name", CALLERS)
def test_the_pod(name: str, kubelet: Kubelet, site: Site, tmp_path: Path) -> None:
    caller = CALLERS[name]
    site = with_secret(site, caller, kubelet, tmp_path)
    played = play(name, kubelet, site)
    assert played.status == 0, played.log
    assert "of the step" in played.log and PASSWORD not in played.log
    reference = f"{repository(name, site)}:1"
    if caller.archive:
        layout = tmp_path / "layout"
        file = played.file(caller.archive)
        subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", f"docker-archive:{file}", f"oci:{layout}"], check=True)
        _, files = read_layout(layout)
        assert not is_pushed(reference)
    else:
        _, files = pushed(reference, tmp_path, credentials=f"{USER}:{PASSWORD}")
    assert files["made"]["size"] == len(KEY) if SECRET in caller.volumes.values() else files["made"] == files["file"]
    digest = remote_digest(reference) if caller.says != "nothing" else ""
    expected = {"digest": digest, "name@digest": f"{repository(name, site)}@{digest}\n", "nothing": ""}
    assert played.file(caller.read).read_text() == expected[caller.says]


@pytest.mark.parametrize("name", ["Skaffold", "Tekton 0.7", "ZenML", "Garden"])
def test_a_failed_build_says_nothing(name: str, kubelet: Kubelet, site: Site, tmp_path: Path) -> None:
    """No digest, so nobody takes it for built. The container's status is the step's; Garden's other containers are told."""
    sources = tmp_path / "failing"
    sources.mkdir()
    (sources / "Dockerfile").write_text(f"FROM {kubelet.podman.base}\nRUN exit 9\n")
    played = play(name, kubelet, Site(site.registry, site.config, sources))
    assert played.status == 9, played.log
    read = played.file(CALLERS[name].read)
    assert not read.exists() or read.read_text() == ""
    assert name != "Garden" or played.file("/.garden/done").exists()
