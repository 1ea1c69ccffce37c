"""The manifests for Kubernetes and GitLab are valid, and say nothing that the program would not take."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gazami.cli.flags.argv import parse
from gazami.cli.flags.options import BUILD, DESTINATION

ROOT = Path(__file__).parents[3]
MANIFESTS = sorted((ROOT / "deploy/kubernetes").rglob("*.yaml"))
VERSION = kubernetes_validate.latest_version()


def documents() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.name}-{number}", document)
        for path in MANIFESTS
        for number, document in enumerate(yaml.safe_load_all(path.read_text()))
    ]


@pytest.mark.parametrize(("name", "document"), documents(), ids=[name for name, _ in documents()])
def test_every_document_is_what_kubernetes_takes(name: str, document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, VERSION, strict=True)


def test_a_misspelt_field_would_be_noticed() -> None:
    document = yaml.safe_load((ROOT / "deploy/kubernetes/pod.yaml").read_text())
    document["spec"]["restartpolicy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(document, VERSION, strict=True)


def containers(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document.get("spec", {})
    return list(spec.get("template", {}).get("spec", spec).get("containers", []))


def test_the_arguments_are_flags_of_the_executor() -> None:
    seen = 0
    for _, document in documents():
        for container in containers(document):
            if "executor" in container["image"] and "args" in container:
                seen += 1
                parsed = parse(container["args"], BUILD)
                assert not parsed.positionals
                assert parsed[DESTINATION]
    assert seen >= 4


def test_the_component_of_gitlab_is_yaml_with_a_job() -> None:
    spec, job = yaml.safe_load_all((ROOT / "deploy/gitlab/template.yml").read_text())
    assert {"job", "image", "context", "destination"} <= set(spec["spec"]["inputs"])
    [body] = job.values()
    assert body["image"]["entrypoint"] == [""]
    assert "/kaniko/executor" in body["script"][0]


def test_the_job_of_gitlab_is_the_documented_one() -> None:
    job = yaml.safe_load((ROOT / "deploy/gitlab/gitlab-ci.yml").read_text())["build"]
    assert job["image"]["entrypoint"] == [""]
    assert job["script"][0] == "mkdir -p /kaniko/.docker"


def test_the_seccomp_profile_is_what_runtimes_read() -> None:
    """Source: OCI runtime specification, config-linux, Seccomp. Kubernetes hands the file to the runtime as it is."""
    profile = json.loads((ROOT / "deploy/kubernetes/seccomp/gazami.json").read_text())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO" and profile["defaultErrnoRet"] == errno.ENOSYS
    assert {"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"} <= set(profile["architectures"])
    allowed = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    plain = {
        name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule for name in rule["names"]
    }
    refused = {name for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ERRNO" for name in rule["names"]}
    assert {"clone", "clone3", "unshare", "setns", "mount", "umount2", "pivot_root", "seccomp", "mount_setattr"} <= plain
    assert {"bpf", "keyctl", "add_key", "perf_event_open", "init_module", "kexec_load", "reboot", "swapon", "userfaultfd",
            "io_uring_setup", "open_by_handle_at", "quotactl", "syslog", "clock_settime"} <= refused  # fmt: skip
    assert not allowed & refused and not {"personality", "socket"} & plain
