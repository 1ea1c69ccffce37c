"""The builder's own process as a step with the same uid and capabilities sees it in /proc."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HUNT = """
import os, pathlib, subprocess, sys
from gazami.cancel import Cancel
from gazami.sandbox.client import Sandbox
from gazami.sandbox.spec import Choice

def hunt(name):
    done = subprocess.run(["cat", f"/proc/{os.getpid()}/{name}"], env={"PATH": os.environ["PATH"]}, capture_output=True)
    return done.returncode == 0

print("before", hunt("environ"), hunt("maps"))
with Sandbox.start(Choice("chroot", "", overlay=False), Cancel()):
    print("after", hunt("environ"), hunt("maps"))
"""


def test_a_process_of_the_same_uid_cannot_read_the_builder(tmp_path: Path) -> None:
    """Without the capabilities that a container does not have by default and that may read any process."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv (util-linux) is not installed")
    capabilities = "-sys_ptrace,-perfmon,-sys_admin"
    without = ["setpriv", f"--bounding-set={capabilities}", f"--inh-caps={capabilities}"]
    done = subprocess.run(
        [*without, sys.executable, "-c", HUNT, str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["before True True", "after False False"]
