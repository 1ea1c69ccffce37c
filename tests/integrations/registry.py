"""What the private registry of these tests says."""

from __future__ import annotations

import subprocess

from tests.integrations.conftest import PASSWORD, USER

_INSPECT = ["skopeo", "inspect", "--tls-verify=false", "--creds", f"{USER}:{PASSWORD}", "--format", "{{.Digest}}"]


def remote_digest(reference: str) -> str:
    return subprocess.run([*_INSPECT, f"docker://{reference}"], capture_output=True, text=True, check=True).stdout.strip()


def is_pushed(reference: str) -> bool:
    return subprocess.run([*_INSPECT, f"docker://{reference}"], capture_output=True, check=False).returncode == 0
