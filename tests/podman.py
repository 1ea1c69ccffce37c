"""gazami's image, built by gazami and run by podman."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.container.environments import ENVIRONMENTS
from tests.debian import debian_rootfs
from tests.programs import gazami
from tests.roots import busybox_root
from tests.services import docker_registry

ROOT = Path(__file__).parents[1]
PODMAN_SECCOMP = Path("/usr/share/containers/seccomp.json")
ONLY_WITH_SYS_ADMIN = {
    "bpf", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick", "lookup_dcookie", "mount", "mount_setattr",
    "move_mount", "open_tree", "perf_event_open", "pivot_root", "quotactl", "setdomainname", "sethostname", "setns",
    "syslog", "umount", "umount2", "unshare",
}  # fmt: skip
NAMESPACE_FLAGS = 0x7E020000
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]


@dataclass(frozen=True, slots=True)
class Podman:
    """A store of its own. ``run`` starts the image with the context at /workspace, the network being this machine's. ``storage``
    is the folder of the registry, ``tree`` the one that the images are made of; podman takes no ``runroot`` of more than 50
    characters."""

    store: Path
    runroot: str
    storage: Path
    tree: Path
    image: str
    registry: str
    base: str

    def command(self, *words: str) -> list[str]:
        return [
            "podman", "--root", str(self.store), "--runroot", self.runroot, "--storage-driver", "vfs",
            "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", "runc", *words,
        ]  # fmt: skip

    def run(
        self, options: list[str], *arguments: str, context: Path | None = None, image: str = ""
    ) -> subprocess.CompletedProcess[str]:
        mount = ["-v", f"{context}:/workspace"] if context is not None else []
        words = self.command("run", "--rm", "--network", "host", *LIMITS, *options, *mount, image or self.image, *arguments)
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)

    def image_of(self, root: Path, name: str) -> str:
        """Push an image of the files below ``root``, which is used up; its full name."""
        context = root.parent
        subprocess.run(["tar", "-C", str(root), "--owner=0", "--group=0", "-cf", str(context / "rootfs.tar"), "."], check=True)
        shutil.rmtree(root)
        (context / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\n")
        done = gazami("build", str(context), f"-t={self.registry}/{name}", f"--state-dir={context / 'state'}")
        assert done.returncode == 0, done.stderr
        return f"{self.registry}/{name}"


@pytest.fixture(scope="session")
def docker_seccomp(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A profile with the restrictions of Docker and of RuntimeDefault: no new namespaces, no mounts."""
    if not PODMAN_SECCOMP.exists():
        pytest.skip(f"{PODMAN_SECCOMP} is not there to make Docker's profile of")
    profile = json.loads(PODMAN_SECCOMP.read_text())
    for rule in profile["syscalls"]:
        if rule["action"] == "SCMP_ACT_ALLOW":
            rule["names"] = [name for name in rule["names"] if name not in {*ONLY_WITH_SYS_ADMIN, "clone", "clone3"}]
    plain = {"index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}
    profile["syscalls"] = [rule for rule in profile["syscalls"] if rule["names"] and "setns" not in rule["names"]]
    profile["syscalls"] += [
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [plain]},
        {"names": sorted(ONLY_WITH_SYS_ADMIN), "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
    ]
    path = tmp_path_factory.mktemp("seccomp") / "docker.json"
    path.write_text(json.dumps(profile))
    return str(path)


@dataclass(frozen=True, slots=True)
class Executor:
    """gazami's image in the containers of the table, with a profile that stands for Docker's."""

    podman: Podman
    seccomp: str

    def build(self, what: str, *arguments: str, context: Path, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        environment = ENVIRONMENTS[what]
        every = [*environment.with_profile(self.seccomp), *options]
        words = ["--context=dir:///workspace", *environment.arguments, *arguments]
        return self.podman.run(every, *words, context=context)


@pytest.fixture(scope="session")
def executor(podman: Podman, docker_seccomp: str) -> Executor:
    return Executor(podman, docker_seccomp)


@pytest.fixture(scope="session")
def docker_options(docker_seccomp: str) -> list[str]:
    return ENVIRONMENTS["Docker's default"].with_profile(docker_seccomp)


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    folder = tmp_path_factory.mktemp("images")
    with (
        docker_registry(folder / "registry") as registry,
        tempfile.TemporaryDirectory(prefix="gazami-", ignore_cleanup_errors=True) as runroot,
    ):
        host = f"localhost:{registry.port}"
        subprocess.run(["/usr/bin/python3", str(ROOT / "deploy/image/assemble.py"), str(folder / "tree")], check=True)
        for name in ("executor", "debug", "warmer"):
            done = gazami(
                "build", str(folder / "tree"), "-f", str(ROOT / "deploy/image/Dockerfile"), f"--target={name}",
                f"-t={host}/gazami:{name}", f"--state-dir={folder / 'state'}",
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        made = Podman(
            folder / "podman", runroot, registry.root, folder / "tree", f"{host}/gazami:executor", host, f"{host}/busybox"
        )
        made.image_of(busybox_root(folder / "busybox/root"), "busybox")
        for name in ("executor", "debug", "warmer"):
            pull = made.command("pull", "-q", "--tls-verify=false", f"{host}/gazami:{name}")
            done = subprocess.run(pull, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
        can = made.run([], "version")
        if can.returncode != 0:
            pytest.skip(f"podman cannot run containers here: {can.stderr.strip().splitlines()[-1:]}")
        yield made


@pytest.fixture(scope="session")
def debian(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real Debian with apt, and with this machine's certificates and settings of proxies."""
    folder = tmp_path_factory.mktemp("debian")
    shutil.copyfile(debian_rootfs(), folder / "rootfs.tar")
    extra = folder / "extra"
    extra.mkdir()
    if any(Path("/usr/local/share/ca-certificates").rglob("*.crt")):
        (extra / "etc/ssl/certs").mkdir(parents=True)
        shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", extra / "etc/ssl/certs/ca-certificates.crt")
    for conf in Path("/etc/apt/apt.conf.d").glob("*proxy*"):
        (extra / "etc/apt/apt.conf.d").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(conf, extra / "etc/apt/apt.conf.d" / conf.name)
    (folder / "Dockerfile").write_text("FROM scratch\nADD rootfs.tar /\nCOPY extra/ /\n")
    made = f"{podman.registry}/debian"
    done = gazami("build", str(folder), f"-t={made}", f"--state-dir={folder / 'state'}")
    assert done.returncode == 0, done.stderr
    return made
