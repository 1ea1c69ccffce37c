"""The smaller commands from outside: push, pull, inspect, login, warm, cache."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.programs import gazami
from tests.services import docker_registry

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


def ok(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    done = gazami(*arguments, **options)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done


def digest_of(reference: str) -> str:
    done = subprocess.run(
        ["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{reference}"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture
def app(context: Path, busybox: str, host: str, tmp_path: Path) -> str:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo app > /app\nENV A=b\nLABEL made=here\n")
    ok("build", str(context), f"--state-dir={tmp_path / 'state'}", f"-t={host}/app/one:1", "-q")
    return f"{host}/app/one:1"


# -- push and pull ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
@pytest.mark.parametrize("part", [0.0, 0.2, 0.5, 0.8])
def test_a_truncated_archive_is_refused(suffix: str, part: float, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY large /\n")
    (context / "large").write_bytes(os.urandom(200_000))  # more than the padding at the archive's end
    archive = tmp_path / "image.tar"
    ok("build", str(context), f"--state-dir={tmp_path / 'state'}", "--no-push", f"--tar-path={archive}", "-q")
    whole = archive.read_bytes() if suffix == "tar" else gzip.compress(archive.read_bytes())
    (tmp_path / f"cut.{suffix}").write_bytes(whole[: int(len(whole) * part)])
    done = gazami("push", str(tmp_path / f"cut.{suffix}"), "-t=localhost:1/app")
    assert done.returncode == 1
    assert "archive" in done.stderr
    assert "bug" not in done.stderr
    assert "refused" not in done.stderr  # nothing was pushed of it


def test_a_layout_goes_back_as_it_came(app: str, host: str, tmp_path: Path) -> None:
    digest = ok("pull", app, str(tmp_path / "layout")).stdout.strip()
    assert digest == digest_of(app)
    pushed = ok("push", str(tmp_path / "layout"), f"-t={host}/app/two:1", f"-d={host}/app/three:2",
                f"--digest-file={tmp_path / 'digest'}")  # fmt: skip
    assert pushed.stdout.strip() == digest == (tmp_path / "digest").read_text()
    assert digest_of(f"{host}/app/two:1") == digest_of(f"{host}/app/three:2") == digest


def test_archives_are_pushed(app: str, host: str, tmp_path: Path) -> None:
    ok("pull", app, str(tmp_path / "image.tar"))
    subprocess.run(["skopeo", "inspect", f"docker-archive:{tmp_path / 'image.tar'}"], check=True, capture_output=True)
    ok("push", str(tmp_path / "image.tar"), f"-t={host}/app/archive:1")
    # as docker save writes it: plain layers, the whole thing compressed
    subprocess.run(
        ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{app}", f"docker-archive:{tmp_path / 'save.tar'}:a:b"],
        check=True,
    )
    (tmp_path / "save.tar.gz").write_bytes(gzip.compress((tmp_path / "save.tar").read_bytes(), 1))
    ok("push", str(tmp_path / "save.tar.gz"), f"-t={host}/app/saved:1")
    subprocess.run(
        ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{app}", f"oci-archive:{tmp_path / 'oci.tar'}"], check=True
    )
    ok("push", str(tmp_path / "oci.tar"), f"-t={host}/app/ociarchive:1")
    ids = {
        json.loads(ok("inspect", f"{host}/app/{name}", "--config").stdout)["rootfs"]["diff_ids"][-1]
        for name in ("archive:1", "saved:1", "ociarchive:1", "one:1")
    }
    assert len(ids) == 1


def test_an_index_is_pushed_with_its_images(app: str, host: str, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    ok("pull", app, str(layout))
    entry = json.loads((layout / "index.json").read_text())["manifests"][0]
    entry["platform"] = {"os": "linux", "architecture": "amd64"}
    raw = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]})
    digest = subprocess.run(["sha256sum"], input=raw.encode(), capture_output=True, check=True).stdout.decode().split()[0]
    (layout / "blobs/sha256" / digest).write_text(raw)
    top = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{digest}", "size": len(raw)}
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    assert ok("push", str(layout), f"-t={host}/app/index:1").stdout.strip() == f"sha256:{digest}"
    assert "linux/amd64" in ok("inspect", f"{host}/app/index:1").stdout


@pytest.mark.parametrize("damage", ["blob", "none", "text", "two"])
def test_what_is_no_image_is_not_pushed(damage: str, app: str, host: str, tmp_path: Path) -> None:
    place = tmp_path / "thing"
    if damage == "text":
        place.write_text("hello")
    elif damage != "none":
        ok("pull", app, str(place))
        document = json.loads((place / "index.json").read_text())
        manifest = place / "blobs" / document["manifests"][0]["digest"].replace(":", "/")
        if damage == "two":
            (place / "index.json").write_text(json.dumps({"manifests": document["manifests"] * 2}))
        else:
            layer = place / "blobs" / json.loads(manifest.read_text())["layers"][0]["digest"].replace(":", "/")
            layer.write_bytes(layer.read_bytes()[:-1] + b"x")
    done = gazami("push", str(place), f"-t={host}/app/bad{damage}:1")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "bug" not in done.stderr
    assert gazami("inspect", f"{host}/app/bad{damage}:1").returncode == 1


# -- inspect ----------------------------------------------------------------------------------------------------------


def test_inspect(app: str) -> None:
    text = ok("inspect", app).stdout
    assert "made=here" in text and "A=b" in text
    known = json.loads(ok("inspect", app, "--json").stdout)
    assert known["Digest"] == digest_of(app)
    raw = ok("inspect", app, "--raw").stdout
    assert json.loads(raw)["schemaVersion"] == 2
    missing = gazami("inspect", app.replace("/one", "/nothing"))
    assert missing.returncode == 1 and "error" in missing.stderr.lower()


# -- login ------------------------------------------------------------------------------------------------------------


def test_login_stores_what_the_registry_then_takes(context: Path, busybox: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "private", htpasswd=(("me", "p:w"),)) as registry:
        env = {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "config")}
        (context / "Dockerfile").write_text(f"FROM {busybox}\n")
        build = ["build", str(context), f"--state-dir={tmp_path / 'state'}", f"-t=localhost:{registry.port}/x:1"]
        assert gazami(*build, env=env).returncode == 1
        login(f"localhost:{registry.port}", "p:w", env)
        path = tmp_path / "config/config.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert gazami(*build, env=env).returncode == 0
        login("", "hub", env)
        assert set(json.loads(path.read_text())["auths"]) == {f"localhost:{registry.port}", "https://index.docker.io/v1/"}


def login(registry: str, password: str, env: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gazami", "login", *([registry] if registry else []), "-u", "me", "--password-stdin"],
        input=f"{password}\n", text=True, capture_output=True, check=False, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert password not in done.stdout + done.stderr


def test_login_uses_the_program_that_the_file_names(tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-keep"
    program.write_text(f"#!/bin/sh\n[ $1 = store ] && cat > {tmp_path}/kept\n")
    program.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "keep", "other": 1}')
    login("r.example.com", "secret", {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"})
    kept = json.loads((tmp_path / "kept").read_text())
    assert kept == {"ServerURL": "r.example.com", "Username": "me", "Secret": "secret"}
    assert json.loads((tmp_path / "config.json").read_text()) == {"credsStore": "keep", "other": 1}


# -- warm -------------------------------------------------------------------------------------------------------------


def test_a_warmed_base_is_not_fetched(app: str, context: Path, tmp_path: Path) -> None:
    cache, digest = tmp_path / "cache", digest_of(app)
    first = ok("warm", f"--image={app}", f"--cache-dir={cache}")
    assert "is in the cache now" in first.stderr
    assert "is in the cache already" in ok("warm", "-i", app, "-c", str(cache)).stderr
    assert "is in the cache now" in ok("warm", "-i", app, "-c", str(cache), "--force").stderr
    subprocess.run(["umoci", "stat", "--image", f"{cache / digest}:{app}"], check=False, capture_output=True)
    assert (cache / digest / "oci-layout").exists()
    (context / "Dockerfile").write_text(f"FROM {app}\nRUN cat /app\n")
    words = ["build", str(context), "--no-push", "--cache", f"--cache-repo=oci:{tmp_path / 'layers'}", "-v=debug"]
    built = ok(*words, f"--cache-dir={cache}", f"--state-dir={tmp_path / 's1'}")
    assert "] Pulling sha256" not in built.stderr
    cold = ok(*words[:4], f"--cache-repo=oci:{tmp_path / 'l2'}", "-v=debug", f"--state-dir={tmp_path / 's2'}")
    assert "] Pulling sha256" in cold.stderr


def test_a_warmed_digest_needs_no_request(app: str, context: Path, tmp_path: Path, busybox: str) -> None:
    with docker_registry(tmp_path / "gone") as registry:
        reference = f"localhost:{registry.port}/base/b"
        subprocess.run(
            [
                "skopeo",
                "copy",
                "-q",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                f"docker://{busybox}",
                f"docker://{reference}:1",
            ],
            check=True,
        )
        digest = digest_of(f"{reference}:1")
        (context / "Dockerfile").write_text(f"FROM {reference}@{digest}\nRUN true\n")
        ok("warm", f"--dockerfile={context / 'Dockerfile'}", f"--cache-dir={tmp_path / 'cache'}")
    ok(
        "build", str(context), "--no-push", "--cache", f"--cache-repo=oci:{tmp_path / 'layers'}",
        f"--cache-dir={tmp_path / 'cache'}", f"--state-dir={tmp_path / 's'}",
    )  # fmt: skip


def test_warming_fails_when_all_images_fail(app: str, tmp_path: Path) -> None:
    some = ok("warm", "-i", app, "-i", app.replace("/one", "/none"), "-c", str(tmp_path / "c"))
    assert "cannot warm" in some.stderr
    done = gazami("warm", "-i", app.replace("/one", "/none"), "-c", str(tmp_path / "c"))
    assert done.returncode == 1
    assert "failed to warm any of the given images" in done.stderr
    assert not list((tmp_path / "c").glob(".warming-*"))


# -- cache ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["directory", "registry"])
def test_a_cache_is_listed_explained_and_pruned(kind: str, context: Path, busybox: str, host: str, tmp_path: Path) -> None:
    place = f"oci:{tmp_path / 'cache'}" if kind == "directory" else f"{host}/pruned/cache"
    (context / "Dockerfile").write_text(f"FROM {busybox}\nARG V=1\nRUN head -c 3000 /dev/urandom > /x; echo $V\nRUN echo 2\n")
    words = [str(context), "--no-push", f"--cache-repo={place}", f"--state-dir={tmp_path / 'state'}"]
    ok("build", *words, "--cache")
    listed = json.loads(ok("cache", "ls", place, "--json").stdout)
    assert {each["text"].partition(" ")[0] for each in listed} == {"RUN"}
    assert "RUN echo 2" in ok("cache", "ls", place).stdout
    explained = ok("cache", "explain", *words, "--build-arg=V=2").stdout
    assert "MISS  [0] RUN head" in explained and "variable V" in explained
    assert "HIT   [0] RUN head" in ok("cache", "explain", *words).stdout
    assert "0 entries would be removed" in ok("cache", "prune", place, "--older-than=1h", "--dry-run").stdout
    assert gazami("cache", "prune", place).returncode == 1
    pruned = ok("cache", "prune", place, "--max-size=1k").stdout
    assert "RUN head" in pruned
    assert "MISS  [0] RUN head" in ok("cache", "explain", *words).stdout
    ok("cache", "prune", place, "--older-than=1ms")
    assert ok("cache", "ls", place).stdout.startswith("0 entries")
    if kind == "directory":
        assert len(list((tmp_path / "cache/blobs/sha256").iterdir())) <= 1
    ok("build", *words, "--cache")


@pytest.mark.parametrize("command", ["push", "pull", "inspect", "login", "warm", "cache"])
def test_every_command_explains_itself_and_refuses_nonsense(command: str) -> None:
    assert "Usage:" in ok(command, "--help").stdout
    assert ok("help", command).stdout == ok(command, "--help").stdout
    done = gazami(command, "--nonsense")
    assert done.returncode == 1
    assert "unknown flag" in done.stderr and "Traceback" not in done.stderr


# -- kaniko's programs ------------------------------------------------------------------------------------------------


def kaniko(program: str, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"gazami.cli.kaniko.{program}", *arguments],
        capture_output=True, text=True, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip


def test_executor_takes_what_kaniko_users_write(context: Path, busybox: str, host: str, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nARG A\nRUN echo $A > /a; cat /a\n")
    done = kaniko(
        "executor",
        "--context",
        f"dir://{context}",
        f"--dockerfile={context}/Dockerfile",
        "-d",
        f"{host}/kaniko/app",
        "--destination",
        f"{host}/kaniko/app:2",
        "--build-arg",
        "A=one two",
        "--cache=true",
        "--cache-ttl",
        "6h",
        "--snapshotMode=redo",
        "--use-new-run",
        "--cleanup",
        "--force",
        "--reproducible",
        f"--digest-file={tmp_path / 'digest'}",
        "--compressed-caching=false",
        "--log-format=text",
        f"--image-name-tag-with-digest-file={tmp_path / 'names'}",
        "--ignore-var-run",
        "--skip-unused-stages",
        "--verbosity",
        "info",
        "--image-fs-extract-retry",
        "2",
        "--push-retry=1",
        f"--state-dir={tmp_path / 'state'}",
        "--insecure-registry",
        host,
        env={"FF_KANIKO_COPY_AS_ROOT": "1", "KANIKO_PRINT_PLAN": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "one two" in done.stdout
    digest = (tmp_path / "digest").read_text()
    assert (tmp_path / "names").read_text() == f"{host}/kaniko/app:latest@{digest}\n{host}/kaniko/app:2@{digest}\n"
    assert "deprecated" in done.stderr
    failed = kaniko("executor", f"--context={context}", "--no-push", f"--dockerfile={failing(context, busybox)}")
    assert failed.returncode == 42


def failing(context: Path, busybox: str) -> Path:
    (context / "Failing").write_text(f"FROM {busybox}\nRUN exit 42\n")
    return context / "Failing"


def test_executor_around_the_build(app: str, host: str, tmp_path: Path) -> None:
    assert kaniko("executor", "version").stdout.startswith("Kaniko version :  ")
    wrong = kaniko("executor", "--cache", "false", "--no-push")
    assert wrong.returncode == 1
    unknown = kaniko("executor", "false")
    assert unknown.returncode == 1 and 'unknown command "false" for "executor"' in unknown.stderr
    ok("pull", app, str(tmp_path / "layout"))
    assert kaniko("executor", "push", str(tmp_path / "layout"), f"--destination={host}/kaniko/pushed:1").returncode == 0
    assert digest_of(f"{host}/kaniko/pushed:1") == digest_of(app)
    assert "you must provide --destination" in kaniko("executor", "--context=.").stderr


def test_warmer(app: str, tmp_path: Path) -> None:
    done = kaniko("warmer", "-i", app, "-c", str(tmp_path / "cache"), "--customPlatform=linux/amd64", "-v", "info")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cache" / digest_of(app) / "index.json").exists()
    assert "select at least one image" in kaniko("warmer").stderr
