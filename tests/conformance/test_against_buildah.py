"""Each folder of ``cases`` is built by gazami and by Debian's buildah, and the two images are compared as files and config.

A case is a ``Dockerfile``, an optional ``context`` folder and an optional ``prepare.sh`` that makes in a copy of the
context what git cannot keep (modes, links, archives). ``Dockerfile.peer`` says the same in words that an old buildah
knows; ``arguments`` has more arguments of the command line, one a line. ``allowed.py`` lists the differences that may
be, each with its reason.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import allowed
from tests.conformance.bases import Bases
from tests.conformance.flatten import File, link_groups, read_layout
from tests.programs import gazami

CASES = sorted((Path(__file__).parent / "cases").iterdir())

pytestmark = [
    pytest.mark.service,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="buildah's chroot isolation is compared as root"),
    pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed"),
]


def read_by_others(layout: Path, work: Path) -> None:
    """skopeo copies the image and so derives its digests again; umoci unpacks it and so derives the diff ids again."""
    commands = (
        ["skopeo", "copy", "--quiet", "--insecure-policy", f"oci:{layout}", f"oci:{work / 'copied'}:t"],
        ["umoci", "--log=error", "unpack", "--image", f"{work / 'copied'}:t", str(work / "bundle")],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(work / "bundle")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_image(case: Path, bases: Bases, tmp_path: Path) -> None:
    context = prepared(case, tmp_path)
    arguments = (*bases.arguments(case / "Dockerfile"), *more_arguments(case))
    ours = tmp_path / "ours"
    built = gazami(
        "build", str(context), "-f", str(case / "Dockerfile"), "--no-push", f"--oci-layout-path={ours}",
        f"--state-dir={tmp_path / 'state'}", *arguments,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    read_by_others(ours, tmp_path)
    theirs = buildah(case, context, arguments, bases, tmp_path)
    our_config, our_files = read_layout(ours)
    their_config, their_files = read_layout(theirs)
    assert file_differences(case.name, our_files, their_files) == []
    assert config_differences(case.name, our_config, their_config) == []
    assert link_groups(our_files) == link_groups(their_files)


def prepared(case: Path, tmp_path: Path) -> Path:
    context = tmp_path / "context"
    if (case / "context").exists():
        shutil.copytree(case / "context", context, symlinks=True)
    else:
        context.mkdir()
    script = case / "prepare.sh"
    if script.exists():
        subprocess.run(["sh", "-eu", str(script)], cwd=context, check=True)
    return context


def more_arguments(case: Path) -> list[str]:
    file = case / "arguments"
    return file.read_text().splitlines() if file.exists() else []


def buildah(case: Path, context: Path, arguments: tuple[str, ...], bases: Bases, tmp_path: Path) -> Path:
    store = ["--root", str(bases.store), "--runroot", str(bases.store) + "-run", "--storage-driver", "vfs"]
    name = f"localhost/case-{case.name}"
    dockerfile = case / "Dockerfile.peer" if (case / "Dockerfile.peer").exists() else case / "Dockerfile"
    command = [
        "buildah", *store, "build", "--isolation", "chroot", "--format", "docker", "--layers=false", "--network=host",
        "--tls-verify=false", "-q", "-f", str(dockerfile), "-t", name,
        *arguments, str(context),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    layout = tmp_path / "theirs"
    subprocess.run(["buildah", *store, "push", "-q", "--format", "v2s2", name, f"oci:{layout}:x"], check=True, capture_output=True)
    subprocess.run(["buildah", *store, "rmi", "-f", name], check=False, capture_output=True)
    return layout


def file_differences(case: str, ours: dict[str, File], theirs: dict[str, File]) -> list[str]:
    found = []
    for path in sorted(ours.keys() | theirs.keys()):
        if ours.get(path) != theirs.get(path) and allowed.file_reason(case, path) is None:
            found.append(f"{path}: ours {ours.get(path)}, theirs {theirs.get(path)}")
    return found


def config_differences(case: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    left, right = flat(ours["config"]), flat(theirs["config"])
    left["author"], right["author"] = ours.get("author", ""), theirs.get("author", "")
    return [
        f"{key}: ours {left.get(key)!r}, theirs {right.get(key)!r}"
        for key in sorted(left.keys() | right.keys())
        if (left.get(key) or None) != (right.get(key) or None) and allowed.config_reason(case, key) is None
    ]


def flat(value: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, each in value.items():
        if key == "Labels" and each:
            out.update({f"Labels.{name}": text for name, text in each.items()})
        else:
            out[key] = each
    return out
