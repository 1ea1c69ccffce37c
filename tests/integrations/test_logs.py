"""Texts and statuses that callers look for: these are other programs' interfaces, and stay."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.integrations.conftest import Site
from tests.integrations.kubelet import Kubelet
from tests.registries import REGISTRIES
from tests.strict_registry import strict_registry

IMMUTABLE = {
    "Amazon ECR before 2025": "cannot be overwritten because the repository is immutable.",
    "Amazon ECR": "cannot be overwritten because the tag is immutable.",
}


@pytest.mark.parametrize("product", IMMUTABLE)
def test_garden_sees_that_the_tag_was_there(product: str, kubelet: Kubelet, site: Site) -> None:
    """core/src/plugins/kubernetes/container/build/kaniko.ts: such a failure counts as success."""
    context = kubelet.copy("context", site.sources)
    (context / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
    with strict_registry(REGISTRIES[product]) as registry:
        logs = []
        for text in ("first", "second"):
            (context / "file").write_text(text)
            args = ["--context=dir:///workspace", "--insecure", f"--destination={registry.host}/team/app:1"]
            logs.append(kubelet.run(kubelet.words(kubelet.podman.image, (), args, {"/workspace": context}, {})))
    assert logs[0].status == 0, logs[0].log
    assert logs[1].status == 1
    assert "error pushing image: " in logs[1].log and IMMUTABLE[product] in logs[1].log


def test_repo2kaniko_asks_for_the_version(kubelet: Kubelet) -> None:
    """jupyterhub/repo2kaniko: the executor is there when it answers with status 0."""
    ended = kubelet.run(kubelet.words(kubelet.podman.image, ("/kaniko/executor",), ["version"], {}, {}))
    assert ended.status == 0 and ended.log.startswith("Kaniko version :")


def test_a_registry_that_refuses_is_named(kubelet: Kubelet, site: Site) -> None:
    """Before anything is built, with kaniko's words and the status of the registry's answer."""
    context = kubelet.copy("context", site.sources)
    args = ["--context=dir:///workspace", f"--destination={site.registry}/nobody:1"]
    ended = kubelet.run(kubelet.words(kubelet.podman.image, (), args, {"/workspace": context}, {}))
    assert ended.status == 1
    assert "error checking push permissions" in ended.log and "401" in ended.log and "of the step" not in ended.log


def test_tags_of_several_destinations(kubelet: Kubelet, site: Site, tmp_path: Path) -> None:
    """One line for each: what pipelines for several tags read (--image-name-tag-with-digest-file)."""
    context = kubelet.copy("context", site.sources)
    config = kubelet.projected("config", {"config.json": site.config})
    out = kubelet.empty("out")
    to = f"{site.registry}/tagged"
    args = ["--context=dir:///workspace", f"--destination={to}:1", f"--destination={to}:latest"]
    args += ["--image-name-tag-with-digest-file=/out/tags", "--digest-file=/out/digest"]
    volumes = {"/workspace": context, "/kaniko/.docker": config, "/out": out}
    ended = kubelet.run(kubelet.words(kubelet.podman.image, (), args, volumes, {}))
    assert ended.status == 0, ended.log
    digest = (out / "digest").read_text()
    assert (out / "tags").read_text() == f"{to}:1@{digest}\n{to}:latest@{digest}\n"
    assert subprocess.run(["stat", "-c", "%a", str(out / "tags")], capture_output=True, text=True, check=True).stdout == "644\n"
