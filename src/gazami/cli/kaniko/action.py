"""The entry point of the GitHub Action: its inputs and the runner's variables → ``/kaniko/executor``'s flags, and back.

The inputs and outputs are those of the actions that teams used with kaniko. The log is that of a build; errors become
annotations of the commit, and the job's summary gets the image, its digest and the table of steps.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from gazami.cli.workflow_commands import masks, no_commands
from gazami.errors import GazamiError, UsageError
from gazami.foreign import printable, read_json
from gazami.report.workflow import command
from gazami.values import fast_dataclass, replace

HUB = "https://index.docker.io/v1/"
_TRUE = frozenset({"true", "1", "yes", "on"})


@fast_dataclass(frozen=True, slots=True)
class ActionInputs:
    """The action's inputs, as the runner passes them: ``INPUT_`` and the upper-case name."""

    environ: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        key = name.upper()
        return self.environ.get(f"INPUT_{key}", self.environ.get(f"INPUT_{key.replace('_', '-')}", "")).strip() or default

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in _TRUE

    @property
    def workspace(self) -> Path:
        return Path(self.environ.get("GITHUB_WORKSPACE", "."))

    @property
    def registry(self) -> str:
        return self.text("registry", "docker.io").removeprefix("https://").rstrip("/")

    @property
    def image(self) -> str:
        """The repository's full name; on ghcr.io below the owner's repository, as the well-known action has it."""
        image = self.text("image")
        if not image:
            raise UsageError("the input image is needed", hint="with: image: my/app")
        if self.registry == "ghcr.io" and not image.startswith(f"{self._owned}/") and image != self._owned:
            image = f"{self._owned}/{image}"
        return f"{self.registry}/{image}".lower()

    @property
    def cache_repository(self) -> str:
        """Where layers are cached; empty for the default below the image."""
        wanted = self.text("cache_registry").lower()
        if not wanted:
            return ""
        if self.registry == "ghcr.io" and "/" not in wanted:
            wanted = f"{self._owned}/{wanted}"
        return wanted if "." in wanted.partition("/")[0] or ":" in wanted.partition("/")[0] else f"{self.registry}/{wanted}"

    @property
    def tag(self) -> str:
        """As given, else the branch's or the tag's name; the main branch is ``latest``."""
        tag = self.text("tag")
        if not tag:
            ref = self.environ.get("GITHUB_REF", "")
            name = ref.removeprefix("refs/heads/").removeprefix("refs/tags/").removeprefix("refs/")
            main = ref in ("refs/heads/master", "refs/heads/main")
            tag = "latest" if main or not name else re.sub(r"[^A-Za-z0-9_.-]", "-", name)
        if (prefix := self.text("strip_tag_prefix")) and tag.startswith(prefix):
            tag = tag[len(prefix) :]
        return tag

    @property
    def _owned(self) -> str:
        return self.environ.get("GITHUB_REPOSITORY", "").lower()


def flags(inputs: ActionInputs, folder: Path) -> list[str]:
    """The executor's command line. ``folder`` gets the files that tell the digest."""
    context = inputs.workspace / inputs.text("path", ".")
    dockerfile = context / inputs.text("build_file", "Dockerfile")
    words = [
        f"--context={context}",
        f"--dockerfile={dockerfile}",
        f"--destination={inputs.image}:{inputs.tag}",
        f"--digest-file={folder / 'digest'}",
        f"--image-name-tag-with-digest-file={folder / 'image-tag-digest'}",
        f"--metadata-file={folder / 'metadata'}",
        "--reproducible",
        "--force",
    ]
    if inputs.flag("tag_with_latest"):
        words.append(f"--destination={inputs.image}:latest")
    if inputs.text("target"):
        words.append(f"--target={inputs.text('target')}")
    if inputs.flag("cache"):
        words.append("--cache=true")
        words += [f"--cache-repo={inputs.cache_repository}"] if inputs.cache_repository else []
        words += [f"--cache-ttl={inputs.text('cache_ttl')}"] if inputs.text("cache_ttl") else []
        words += [f"--cache-dir={inputs.text('cache_directory')}"] if inputs.text("cache_directory") else []
    if inputs.text("report"):
        words.append(f"--report={inputs.workspace / inputs.text('report')}")
    if inputs.flag("debug"):
        words.append("--verbosity=debug")
    try:
        return words + shlex.split(inputs.text("extra_args"))
    except ValueError as error:
        raise UsageError(f"the input extra_args cannot be split into words: {error}") from None


def docker_config(inputs: ActionInputs) -> str:
    """Credentials for the registry as docker's ``config.json``; empty where there is no password."""
    environ = inputs.environ
    username = inputs.text("username", environ.get("GITHUB_ACTOR", ""))
    password = inputs.text("password", environ.get("GITHUB_TOKEN", ""))
    if not password:
        return ""
    key = HUB if inputs.registry in ("docker.io", "index.docker.io") else inputs.registry
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    return json.dumps({"auths": {key: {"auth": auth}}})


def main() -> NoReturn:
    from gazami.cli.main import ended

    ended(lambda: run(os.environ))


def run(environ: Mapping[str, str]) -> int:
    """Build as the inputs say; the exit status."""
    inputs = ActionInputs(environ)
    with tempfile.TemporaryDirectory(prefix="gazami-action-") as name:
        folder = Path(name)
        try:
            words = flags(inputs, folder)
            sys.stdout.write(masks(inputs.text("password")))
            around = _environment(inputs, folder)
            if inputs.flag("skip_unchanged_digest"):
                return _unless_unchanged(inputs, words, around, folder)
            return _tell(_build(words, around), inputs, environ, folder, refreshed=True)
        except GazamiError as error:
            sys.stdout.write(command("error", printable(error.message)))
            return 1


def _environment(inputs: ActionInputs, folder: Path) -> dict[str, str]:
    """The build's environment: the runner's, without what only the action needs, with the credentials."""
    kept = {key: value for key, value in inputs.environ.items() if not key.startswith("INPUT_")} | {"GITHUB_ACTIONS": "true"}
    if config := docker_config(inputs):
        (folder / "docker").mkdir(mode=0o700)
        (folder / "docker/config.json").write_text(config)
        kept["DOCKER_CONFIG"] = str(folder / "docker")
    return kept


def _build(words: list[str], environ: Mapping[str, str]) -> int:
    from gazami.cli.commands.build import EXECUTOR
    from gazami.cli.supervise import supervise

    with no_commands():
        sys.stdout.write(f"gazami build {printable(shlex.join(words))}\n")
        return supervise(replace(EXECUTOR, raw=False), words, environ)


def _unless_unchanged(inputs: ActionInputs, words: list[str], environ: Mapping[str, str], folder: Path) -> int:
    """Build without a push, and push only when the digest is not the one that ``latest`` has already."""
    layout = folder / "layout"
    local = [word for word in words if not word.startswith("--image-name-tag")]
    status = _build([*local, "--no-push", f"--oci-layout-path={layout}"], environ)
    if status:
        return _tell(status, inputs, inputs.environ, folder, refreshed=False)
    digest = (folder / "digest").read_text()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        known = _run(["inspect", f"{inputs.image}:latest", "--json"], environ)
    if known == 0 and read_json(said.getvalue()).get("ManifestDigest") == digest:
        text = f"{inputs.image}:latest has the digest {digest} already: nothing is pushed"
        sys.stdout.write(command("notice", text))
        return _tell(0, inputs, inputs.environ, folder, refreshed=False)
    destinations = [word for word in words if word.startswith("--destination=")]
    names = f"--image-name-tag-with-digest-file={folder / 'image-tag-digest'}"
    status = _run(["push", str(layout), *destinations, names], environ)
    return _tell(status, inputs, inputs.environ, folder, refreshed=status == 0)


def _run(words: list[str], environ: Mapping[str, str]) -> int:
    from gazami.cli.main import run as run_gazami

    with no_commands():
        return run_gazami(words, environ)


# -- what the job sees ------------------------------------------------------------------------------------------------


def _tell(status: int, inputs: ActionInputs, environ: Mapping[str, str], folder: Path, *, refreshed: bool) -> int:
    """Outputs and the summary of the job. The build itself has put its failure beside the lines of the commit."""
    if status:
        return status
    digest = _read(folder / "digest")
    names = _read(folder / "image-tag-digest").strip() or f"{inputs.image}:{inputs.tag}@{digest}"
    outputs = {
        "image": inputs.image,
        "digest": digest,
        "image-tag-digest": names.splitlines()[0],
        "refreshed": "true" if refreshed else "false",
    }
    if place := environ.get("GITHUB_OUTPUT"):
        with Path(place).open("a") as file:
            file.writelines(f"{key}={value}\n" for key, value in outputs.items())
    if place := environ.get("GITHUB_STEP_SUMMARY"):
        rows = "".join(f"| `{line}` |\n" for line in names.splitlines())
        with Path(place).open("a") as file:
            file.write(f"### Image\n\n| {'pushed' if refreshed else 'unchanged'} |\n|---|\n{rows}\n")
    return 0


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    main()
