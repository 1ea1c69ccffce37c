"""What GitHub's runner gives to a step that is a container action."""

from __future__ import annotations

from pathlib import Path

import yaml

ACTION = Path(__file__).parents[1] / "action.yml"
FILES = ("output", "summary", "env", "path", "state")
"""Files for the step's words to the job: they exist, and are empty, when the step starts."""


def inputs(**given: str) -> dict[str, str]:
    """Every input that the action has: as given, else its default, else empty."""
    defaults = {name: about.get("default", "") for name, about in yaml.safe_load(ACTION.read_text())["inputs"].items()}
    assert set(given) <= set(defaults)
    return {f"INPUT_{name.replace(' ', '_').upper()}": value for name, value in {**defaults, **given}.items()}


def variables(*, home: str, workspace: str, files: str, temporary: str) -> dict[str, str]:
    """The runner's variables for a push to the main branch; ``files`` is the folder of :data:`FILES`."""
    return {
        "HOME": home,
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_ACTION": "build",
        "GITHUB_ACTION_REPOSITORY": "OWNER/gazami",
        "GITHUB_ACTION_REF": "v0.1.0",
        "GITHUB_ACTOR": "me",
        "GITHUB_API_URL": "https://api.github.com",
        "GITHUB_ENV": f"{files}/env",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_OUTPUT": f"{files}/output",
        "GITHUB_PATH": f"{files}/path",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REF_NAME": "main",
        "GITHUB_REF_TYPE": "branch",
        "GITHUB_REPOSITORY": "owner/repo",
        "GITHUB_REPOSITORY_OWNER": "owner",
        "GITHUB_RUN_ID": "1658821493",
        "GITHUB_RUN_NUMBER": "3",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_SHA": "ffac537e6cbbf934b08745a378932722df287a53",
        "GITHUB_STATE": f"{files}/state",
        "GITHUB_STEP_SUMMARY": f"{files}/summary",
        "GITHUB_WORKSPACE": workspace,
        "RUNNER_ARCH": "X64",
        "RUNNER_NAME": "Hosted Agent",
        "RUNNER_OS": "Linux",
        "RUNNER_TEMP": temporary,
    }


def outputs(files: Path) -> dict[str, str]:
    """What the step has put out."""
    return dict(line.split("=", 1) for line in (files / "output").read_text().splitlines())
