"""Which mode is chosen under the limits of pods and containers, set up here by hand, and that it works there."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

WITHOUT_SYS_ADMIN = ["setpriv", "--bounding-set=-sys_admin"]
MASKED_PROC = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o ro masked /proc/acpi && exec "$@"', "sh"]
"""What container runtimes do to /proc, and why no other /proc can be mounted in a user namespace there."""
DOCKER_FILTER = """
from gazami.sandbox.inside import launch
from gazami.sandbox.kernel import linux
from gazami.sandbox.kernel import capabilities, seccomp
linux.load_seccomp(seccomp.docker_filter(linux.MACHINE))
launch._drop_bounding(capabilities.DOCKER)
"""
OLD_KERNEL = """
import struct
from gazami.sandbox.kernel import linux
numbers= (linux._PIVOT_ROOT, linux._FSOPEN, linux._MOUNT_SETATTR, linux._CLOSE_RANGE)
refuse = [i for n in numbers for i in ((0x15, 0, 1, n), (0x06, 0, 0, 0x50026))]
code = [(0x20, 0, 0, 0), *refuse, (0x06, 0, 0, 0x7FFF0000)]
linux.load_seccomp(b"".join(struct.pack("=HBBI", *i) for i in code))
"""
"""Neither pivot_root nor what Linux 5.1 to 6.5 added: every fallback of the mount code is taken."""
DROP_SYS_ADMIN = """
from gazami.sandbox.inside import launch
launch._drop_bounding(frozenset(range(64)) - {21})
"""
DROP_ALL = """
import os
os.setresuid(12345, 12345, 12345)
"""
BUILD = """
import json
from pathlib import Path
from gazami.cancel import Cancel
from gazami.errors import GazamiError
from gazami.sandbox.client import Sandbox
from gazami.sandbox.select import choose
from gazami.sandbox.spec import OverlayRoot, PlainRoot, RunSpec
place = Path({place!r})
try:
    choice = choose(None, place)
except GazamiError as error:
    print(json.dumps([type(error).__name__, error.message]))
    raise SystemExit
with Sandbox.start(choice, Cancel()) as sandbox:
    overlay, plain = OverlayRoot((f"{{place}}/base",), f"{{place}}/upper", f"{{place}}/work"), PlainRoot(f"{{place}}/base")
    root = overlay if choice.overlay else plain
    written = []
    script = "echo $$ $(id -u); rm -r /etc/group /home; mkdir /home; echo x > /etc/new; chown 1:2 /etc/new; "
    script += "ls {source} 2>/dev/null; echo x 2>/dev/null > /sys/new; (setsid sleep 61 &); exit 3"
    result = sandbox.run(RunSpec(root, ("sh", "-c", script), (("PATH", "/bin"),)), lambda s, d: written.append(d.decode()))
print(json.dumps([choice.name, choice.overlay, choice.pid_namespace, result.exit_code, result.leftovers, "".join(written)]))
"""


def build(place: Path, busybox: Path, wrapper: list[str], preparation: str = "") -> list[object]:
    """What a process with these limits makes of it, run on a copy of the root in ``place``."""
    shutil.copytree(busybox, place / "base", symlinks=True)
    for name in ("upper", "work"):
        (place / name).mkdir()
    return attempt(place, [*wrapper, sys.executable], preparation)


def attempt(place: Path, python: list[str], preparation: str) -> list[object]:
    source = Path(__file__).resolve().parents[3] / "src"
    script = f"import sys; sys.path.insert(0, {str(source)!r})\n{preparation}\n{BUILD.format(place=str(place), source=source)}"
    done = subprocess.run([*python, "-c", script], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    answer: list[object] = json.loads(done.stdout)
    return answer


@pytest.fixture(autouse=True)
def needs_setpriv() -> None:
    if not all(map(shutil.which, ("setpriv", "unshare"))):
        pytest.skip("util-linux is not installed")


def test_root_without_sys_admin_uses_its_own_ids(tmp_path: Path, busybox: Path) -> None:
    mode, overlay, pid_namespace, code, leftovers, out = build(tmp_path, busybox, WITHOUT_SYS_ADMIN)
    assert (mode, overlay, pid_namespace, code, out) == ("userns", True, True, 3, "2 0\n")
    assert leftovers == 1


def test_a_masked_proc_is_shared(tmp_path: Path, busybox: Path) -> None:
    if not Path("/proc/acpi").exists():
        pytest.skip("nothing to mask")
    answer = build(tmp_path, busybox, [*MASKED_PROC, *WITHOUT_SYS_ADMIN])
    assert answer[:5] == ["userns", True, False, 3, 1]
    new = tmp_path / "upper/etc/new"
    assert (new.stat().st_uid, new.stat().st_gid) == (1, 2)


def test_docker_s_filter_leaves_chroot(tmp_path: Path, busybox: Path) -> None:
    answer = build(tmp_path, busybox, [], DOCKER_FILTER)
    assert answer[:3] == ["chroot", False, False] and answer[3:5] == [3, 1], answer
    assert (tmp_path / "base/etc/new").stat().st_uid == 1
    assert list((tmp_path / "base").glob("dev/*")) == []


@pytest.mark.parametrize("mode", ["namespaces", "userns"])
def test_an_older_kernel(tmp_path: Path, busybox: Path, mode: str) -> None:
    answer = build(tmp_path, busybox, [], OLD_KERNEL + (DROP_SYS_ADMIN if mode == "userns" else ""))
    assert answer == [mode, True, True, 3, 1, "2 0\n"]
    assert (tmp_path / "upper/etc/new").stat().st_uid == 1
    assert stat.S_ISCHR((tmp_path / "upper/etc/group").stat().st_mode)
    assert not (tmp_path / "upper/etc/hosts").exists()


def test_nothing_works_for_a_stranger() -> None:
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs a Python that a normal user can run")
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        kind, message = attempt(Path(place), ["/usr/bin/python3"], DOCKER_FILTER + DROP_ALL)
    assert kind == "SandboxError"
    assert isinstance(message, str) and all(f"{mode}: " in message for mode in ("namespaces", "userns", "chroot"))
    assert "CAP_SYS_ADMIN" in message and "user namespaces are refused" in message and "not root" in message
