"""``make demo``: a Debian base and a web site, built, pushed and proved with gazami, on loopback and nothing else.

With ``BASE=name`` the base comes from a registry instead of Debian's packages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GAZAMI = [sys.executable, "-m", "gazami"]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gazami-demo"
OUT = ROOT / "out" / "demo"
SUITE = "bookworm"


def main() -> int:
    if OUT.exists():
        shutil.rmtree(OUT)
    OUT.mkdir(parents=True)
    timings: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory(prefix="gazami-demo-") as work, registry(Path(work)) as host:
        base = os.environ.get("BASE", "")
        if base:
            say(f"The base is {base}, as BASE asks")
        else:
            base = f"{host}/demo/debian:{SUITE}"
            with timed("root filesystem from Debian's packages", timings):
                tar = debian_rootfs()
            with timed("build and push the base", timings):
                build_base(tar, base, Path(work))
        with timed("build and push the site", timings):
            build_site(base, host, Path(work))
        with timed("prove it", timings):
            facts = prove(host, Path(work))
        report(facts, timings)
    return 0


# -- the base ---------------------------------------------------------------------------------------------------------


def debian_rootfs() -> Path:
    """A minbase root as a tar, made once by mmdebstrap and kept outside the tree."""
    CACHE.mkdir(parents=True, exist_ok=True)
    recipe = ["mmdebstrap", "--variant=minbase", "--mode=root", "--include=ca-certificates", SUITE]
    name = hashlib.sha256(" ".join(recipe).encode()).hexdigest()[:16]
    tar = CACHE / f"debian-{SUITE}-{name}.tar"
    if not tar.exists():
        say("Making a Debian root filesystem with mmdebstrap (about a minute, once)")
        part = tar.with_suffix(".part.tar")
        run([*recipe, str(part)], quiet=True, env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"})
        part.rename(tar)
    return tar


def build_base(tar: Path, reference: str, work: Path) -> None:
    """``FROM scratch`` and ``ADD rootfs.tar /``: the way the official bases are made."""
    context = work / "base"
    context.mkdir()
    os.link(tar, context / "rootfs.tar") if same_device(tar, context) else shutil.copyfile(tar, context / "rootfs.tar")
    host_certificates(context)
    (context / "Dockerfile").write_text('FROM scratch\nADD rootfs.tar /\nCOPY extra/ /\nCMD ["bash"]\n')
    say(f"Building the base {reference}")
    run([*GAZAMI, "build", str(context), "-t", reference, "--state-dir", str(work / "state"), *isolation()])


def host_certificates(context: Path) -> None:
    """A machine behind an inspecting proxy has certificates of its own, which apt needs inside the image too."""
    extra = context / "extra"
    extra.mkdir()
    own = Path("/usr/local/share/ca-certificates")
    if own.is_dir() and any(own.rglob("*.crt")):
        bundle = extra / "etc/ssl/certs/ca-certificates.crt"
        bundle.parent.mkdir(parents=True)
        shutil.copyfile("/etc/ssl/certs/ca-certificates.crt", bundle)
    sources = Path("/etc/apt/apt.conf.d")
    for conf in sources.glob("*proxy*") if sources.is_dir() else ():
        (extra / "etc/apt/apt.conf.d").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(conf, extra / "etc/apt/apt.conf.d" / conf.name)


def same_device(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


# -- the site ---------------------------------------------------------------------------------------------------------


def build_site(base: str, host: str, work: Path) -> None:
    say("Building examples/site in two stages, with apt-get, and pushing it to two destinations")
    proxies = [f"--build-arg={name}={os.environ[name]}" for name in ("http_proxy", "https_proxy") if os.environ.get(name)]
    run(
        [
            *GAZAMI, "build", str(ROOT / "examples/site"), f"--build-arg=BASE={base}",
            "-t", f"{host}/demo/site:latest", "-t", f"{host}/mirror/site:1.0",
            "--digest-file", str(OUT / "digest"), "--image-name-with-digest-file", str(OUT / "names"),
            "--oci-layout-path", str(OUT / "layout"), "--tar-path", str(OUT / "site.tar"),
            "--state-dir", str(work / "state"), *proxies, *isolation(),
        ]
    )  # fmt: skip


def isolation() -> list[str]:
    wanted = os.environ.get("ISOLATION")
    return [f"--isolation={wanted}"] if wanted else []


# -- proof ------------------------------------------------------------------------------------------------------------


def prove(host: str, work: Path) -> dict[str, str]:
    digest = (OUT / "digest").read_text()
    facts = {"digest": digest}
    for name in ("demo/site:latest", "mirror/site:1.0"):
        seen = json.loads(run(["skopeo", "inspect", "--tls-verify=false", f"docker://{host}/{name}"], capture=True))
        check(seen["Digest"] == digest, f"skopeo sees {host}/{name} with the digest of the digest file")
    manifest = json.loads((OUT / "layout/blobs/sha256" / digest.removeprefix("sha256:")).read_bytes())
    facts["size"] = f"{sum(layer['size'] for layer in manifest['layers']) / 1e6:.1f} MB in {len(manifest['layers'])} layers"
    tagged = work / "tagged"
    run(["skopeo", "copy", "--insecure-policy", f"oci:{OUT / 'layout'}", f"oci:{tagged}:site"], quiet=True)
    bundle = work / "bundle"
    run(["umoci", "unpack", "--image", f"{tagged}:site", str(bundle)], quiet=True)
    nginx = bundle / "rootfs/usr/sbin/nginx"
    check(nginx.exists(), "umoci unpacks the layout, and nginx is there")
    run(["skopeo", "inspect", f"docker-archive:{OUT / 'site.tar'}"], capture=True)
    say("✓ skopeo reads the docker archive")
    facts["page"] = serve(bundle, work)
    return facts


def serve(bundle: Path, work: Path) -> str:
    """Fetch the page from the running image: under podman where it can run, in a chroot elsewhere."""
    port = free_port()
    conf = "daemon off; pid /run/nginx.pid; events {} http { include /etc/nginx/mime.types; access_log off; "
    conf += f"server {{ listen 127.0.0.1:{port}; root /var/www/html; }} }}"
    (bundle / "rootfs/etc/nginx/demo.conf").write_text(conf)
    argv = ["nginx", "-c", "/etc/nginx/demo.conf"]
    with contextlib.suppress(RuntimeError), podman(bundle, argv, work):
        page = fetch(port)
        say(f"✓ podman runs the image and serves the page ({len(page)} bytes)")
        return keep_page(page, port, "podman")
    with process(["chroot", str(bundle / "rootfs"), *argv]):
        page = fetch(port)
        say(f"✓ the image serves the page from a chroot ({len(page)} bytes; podman cannot run here)")
        return keep_page(page, port, "chroot")


@contextlib.contextmanager
def podman(bundle: Path, argv: list[str], work: Path) -> Iterator[None]:
    if not shutil.which("podman"):
        raise RuntimeError("no podman")
    store = ["--root", str(work / "podman"), "--runroot", str(work / "podman-run"), "--storage-driver", "vfs",
             "--cgroup-manager", "cgroupfs", "--events-backend", "file"]  # fmt: skip
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
    command = ["podman", *store, "run", "--rm", *limits, "--network=host", "--rootfs", str(bundle / "rootfs"), *argv]
    log = (work / "podman.log").open("wb")
    started = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        time.sleep(2.5)
        if started.poll() is not None:
            say(f"podman cannot run here: {(work / 'podman.log').read_text().strip().splitlines()[-1:]}")
            raise RuntimeError("podman ended")
        yield
    finally:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(15)
        if started.poll() is None:
            started.kill()


def keep_page(page: bytes, port: int, how: str) -> str:
    (OUT / "page.html").write_bytes(page)
    check(b"Built without a daemon" in page, "the page is the one that the first stage generated")
    browser = shutil.which("chromium")
    if browser and os.environ.get("SCREENSHOT"):
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=900,640",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
        profile = tempfile.mkdtemp()
        shot = f"--screenshot={os.environ['SCREENSHOT']}"
        run([browser, *flags, f"--user-data-dir={profile}", shot, f"http://127.0.0.1:{port}/"], quiet=True)
        shutil.rmtree(profile, ignore_errors=True)
    return f"{OUT / 'page.html'} (served under {how})"


def fetch(port: int) -> bytes:
    deadline = time.monotonic() + 20
    while True:
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return bytes(answer.read())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


# -- around -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def registry(work: Path) -> Iterator[str]:
    """Debian's docker-registry on loopback, as long as the demo runs."""
    port = free_port()
    config = work / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {work / 'registry'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with process(["docker-registry", "serve", str(config)]):
        wait_for(port)
        say(f"docker-registry listens on 127.0.0.1:{port}")
        yield f"localhost:{port}"


@contextlib.contextmanager
def process(argv: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def timed(what: str, timings: list[tuple[str, float]]) -> Iterator[None]:
    started = time.monotonic()
    yield
    timings.append((what, time.monotonic() - started))


def run(argv: list[str], *, quiet: bool = False, capture: bool = False, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, env=env, check=False, text=True, capture_output=quiet or capture)
    if done.returncode:
        print(done.stdout or "", done.stderr or "", file=sys.stderr)
        raise SystemExit(f"demo: {argv[0]} {argv[1] if len(argv) > 1 else ''} ended with {done.returncode}")
    return done.stdout or ""


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"demo: this does not hold: {what}")
    say(f"✓ {what}")


def say(text: str) -> None:
    print(f"\033[1m==> {text}\033[0m" if sys.stdout.isatty() else f"==> {text}", flush=True)


def report(facts: dict[str, str], timings: list[tuple[str, float]]) -> None:
    print("\nWhat was built")
    for name, value in (
        ("image", facts["digest"]),
        ("size", facts["size"]),
        ("destinations", ", ".join((OUT / "names").read_text().split())),
        ("layout", str(OUT / "layout")),
        ("archive", str(OUT / "site.tar")),
        ("page", facts["page"]),
    ):
        print(f"  {name:<14}{value}")
    print("How long it took")
    for what, seconds in timings:
        print(f"  {what:<42}{seconds:6.1f} s")


if __name__ == "__main__":
    raise SystemExit(main())
