"""Root filesystems for tests, made of what is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def busybox_root(root: Path) -> Path:
    """A small root of Debian's static busybox: its applets, accounts, a /tmp. Owned by whoever calls."""
    for name in ("bin", "etc", "tmp", "root", "home", "var/lib", "usr/bin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "root").chmod(0o700)
    busybox = next(Path(place) for place in ("/bin/busybox", "/usr/bin/busybox") if Path(place).exists())
    shutil.copy(busybox, root / "bin/busybox")
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\nbin:x:2:2:bin:/bin:/bin/false\n"
        "www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\ndaemon:x:1:\nbin:x:2:\nwww-data:x:33:\nnogroup:x:65534:\n")
    return root
