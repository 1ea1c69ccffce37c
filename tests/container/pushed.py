"""What lies in the registry after a build, read by skopeo."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.conformance.flatten import File, read_layout


def pushed(reference: str, folder: Path, *, credentials: str = "") -> tuple[dict[str, Any], dict[str, File]]:
    """``(config, files)`` of the image; ``credentials`` is ``user:password`` where the registry wants them."""
    layout = folder / reference.rpartition("/")[2].replace(":", "-")
    words = ["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false"]
    words += ["--src-creds", credentials] if credentials else []
    done = subprocess.run([*words, f"docker://{reference}", f"oci:{layout}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return read_layout(layout)
