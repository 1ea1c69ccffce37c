"""The smaller commands from outside: push, pull, inspect, login, warm, cache."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import json
import os
import pty
import shutil
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


def test_diff_and_analyze_of_one_image_in_every_place(app: str, context: Path, busybox: str, host: str, tmp_path: Path) -> None:
    ok("pull", app, str(tmp_path / "layout"))
    ok("pull", app, str(tmp_path / "image.tar"))
    subprocess.run(
        ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{app}", f"docker-archive:{tmp_path / 'save.tar'}:a:b"],
        check=True,
    )  # fmt: skip
    places = [f"oci:{tmp_path}/layout", str(tmp_path / "image.tar"), str(tmp_path / "save.tar")]
    wasted = json.loads(ok("analyze", app, "--json").stdout)["waste"]
    for place in places:
        assert ok("diff", app, place, "--times").stdout == "no difference\n"
        assert json.loads(ok("analyze", place, "--json").stdout)["waste"] == wasted
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo other > /app && rm /bin/true\nENV A=c\nLABEL made=here\n")
    ok("build", str(context), f"--state-dir={tmp_path / 'state'}", f"-t={host}/app/two:1", "-q")
    for first in (app, *places):
        done = gazami("diff", first, f"{host}/app/two:1", "--json")
        assert done.returncode == 1, done.stderr
        found = json.loads(done.stdout)
        assert [(each["field"], each["key"], each["A"], each["B"]) for each in found["config"]] == [("Env", "A", "b", "c")]
        assert {each["path"]: each["change"] for each in found["files"]} == {"/app": "changed", "/bin/true": "removed"}
    assert gazami("diff", app, f"{host}/app/nothing:1").returncode == 2


def test_inspect_of_files(app: str, tmp_path: Path) -> None:
    digest = ok("pull", app, str(tmp_path / "layout")).stdout.strip()
    ok("pull", app, str(tmp_path / "image.tar"))
    for path in (f"{tmp_path}/layout", f"oci:{tmp_path}/layout", f"{tmp_path}/image.tar"):
        text = ok("inspect", path).stdout
        assert "made=here" in text and "RUN /bin/sh -c echo app > /app" in text
    assert json.loads(ok("inspect", f"{tmp_path}/layout", "--json").stdout)["Digest"] == digest
    assert ok("inspect", f"{tmp_path}/layout", "--raw").stdout == ok("inspect", app, "--raw").stdout
    assert ok("inspect", f"{tmp_path}/layout", "--config").stdout == ok("inspect", app, "--config").stdout
    assert "does not exist" in gazami("inspect", f"{tmp_path}/nothing").stderr


# -- copy, tag, ls ----------------------------------------------------------------------------------------------------


def test_a_copy_is_the_same_image(app: str, host: str, tmp_path: Path) -> None:
    digest = digest_of(app)
    assert ok("copy", app, f"{host}/copied/app:2").stdout.strip() == digest == digest_of(f"{host}/copied/app:2")
    with docker_registry(tmp_path / "other") as other:
        ok("copy", app, f"{other.host}/far/app:1")
        assert digest_of(f"{other.host}/far/app:1") == digest
        ok("copy", f"{other.host}/far/app:1", f"oci:{tmp_path / 'layout'}:one")
        ok("copy", f"{tmp_path / 'layout'}:one", f"{other.host}/back/app:1")
        assert digest_of(f"{other.host}/back/app:1") == digest
    ok("tag", app, "stable", f"{host}/tagged/app:1")
    assert digest_of(f"{app.rpartition(':')[0]}:stable") == digest_of(f"{host}/tagged/app:1") == digest
    assert ok("ls", app.rpartition(":")[0]).stdout.split() == ["1", "stable"]
    assert json.loads(ok("ls", app, "--json").stdout) == ["1", "stable"]
    assert "another registry" in gazami("tag", app, "localhost:1/x").stderr
    assert gazami("ls", f"{host}/nothing/here").returncode == 1


def test_an_index_is_copied_with_all_its_images(app: str, host: str, tmp_path: Path) -> None:
    ok("pull", app, str(tmp_path / "one"))
    index = tmp_path / "one/index.json"
    listed = json.loads(index.read_text())
    listed["manifests"][0]["platform"] = {"os": "linux", "architecture": "amd64"}
    raw = json.dumps(listed).encode()
    name = hashlib.sha256(raw).hexdigest()
    (tmp_path / f"one/blobs/sha256/{name}").write_bytes(raw)
    top = {"mediaType": "application/vnd.oci.image.index.v1+json", "digest": f"sha256:{name}", "size": len(raw)}
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [top]}))
    assert ok("copy", f"oci:{tmp_path / 'one'}", f"{host}/index/a:1").stdout.strip() == f"sha256:{name}"
    ok("copy", f"{host}/index/a:1", f"{host}/index/b:1")
    ok("copy", f"{host}/index/b:1", f"oci:{tmp_path / 'two'}")
    assert (tmp_path / f"two/blobs/sha256/{name}").read_bytes() == raw
    subprocess.run(["umoci", "stat", "--image", f"{tmp_path / 'two'}:1"], check=True, capture_output=True)
    assert json.loads(ok("inspect", f"{host}/index/b:1", "--json").stdout)["Platforms"] == ["linux/amd64"]
    assert ok("copy", f"{host}/index/b:1", f"{host}/index/c:1", "--platform=linux/amd64").stdout.strip() == digest_of(app)
    assert "linux/s390x" in gazami("copy", f"{host}/index/b:1", f"{host}/index/d:1", "--platform=linux/s390x").stderr
    assert "Platforms:" in ok("inspect", f"{tmp_path / 'two'}/").stdout


def test_a_copy_that_may_not_be_pushed_sends_nothing(app: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "private", htpasswd=(("me", "p:w"),)) as registry:
        done = gazami("copy", app, f"{registry.host}/x:1", env={"DOCKER_CONFIG": str(tmp_path)})
        assert done.returncode == 1 and "WARN" not in done.stderr
        assert f"hint: run gazami login {registry.host}" in done.stderr and done.stderr.startswith("Error: ")


def test_a_tag_that_there_is_not_is_told_with_those_that_there_are(app: str, context: Path, tmp_path: Path) -> None:
    name = app.rpartition(":")[0]
    ok("tag", app, "1.0-slim")
    for done in (gazami("inspect", f"{name}:1.0-slom"), gazami("pull", f"{name}:1.0-slom", str(tmp_path / "x"))):
        assert f"hint: {name} has " in done.stderr and "Did you mean 1.0-slim?" in done.stderr
    (context / "Dockerfile").write_text(f"FROM {name}:1.0-slom\n")
    done = gazami("build", str(context), f"--state-dir={tmp_path / 'state'}")
    assert "Did you mean 1.0-slim?" in done.stderr and ">>> FROM" in done.stderr


def test_a_folder_of_files_is_no_place_for_a_layout(app: str, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/main.c").write_text("int main")
    for words in (["pull", app, str(tmp_path / "src")], ["copy", app, f"oci:{tmp_path / 'src'}"]):
        done = gazami(*words)
        assert done.returncode == 1 and "has files and is not an OCI layout" in done.stderr
        assert os.listdir(tmp_path / "src") == ["main.c"]
    (tmp_path / "empty").mkdir()
    ok("pull", app, str(tmp_path / "empty"))
    ok("pull", app, str(tmp_path / "empty"))  # and a layout is


# -- login ------------------------------------------------------------------------------------------------------------


def test_login_stores_what_the_registry_then_takes(context: Path, busybox: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "private", htpasswd=(("me", "p:w"),)) as registry:
        env = {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "config")}
        (context / "Dockerfile").write_text(f"FROM {busybox}\n")
        build = ["build", str(context), f"--state-dir={tmp_path / 'state'}", f"-t=localhost:{registry.port}/x:1"]
        assert gazami(*build, env=env).returncode == 1
        refused = login(f"localhost:{registry.port}", "wrong", env, status=1)
        assert "status 401" in refused and "nothing was stored" in refused and not (tmp_path / "config").exists()
        assert "Login succeeded" in login(f"localhost:{registry.port}", "p:w", env)
        path = tmp_path / "config/config.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert gazami(*build, env=env).returncode == 0
        login("", "hub", env, "--no-check")
        assert set(json.loads(path.read_text())["auths"]) == {f"localhost:{registry.port}", "https://index.docker.io/v1/"}
        assert "Removed" in gazami("logout", f"localhost:{registry.port}", env=env).stderr
        assert "There are no credentials" in gazami("logout", f"localhost:{registry.port}", env=env).stderr
        assert set(json.loads(path.read_text())["auths"]) == {"https://index.docker.io/v1/"}
        refused = gazami(*build, env=env)
        assert f"hint: run gazami login localhost:{registry.port}" in refused.stderr


def login(registry: str, password: str, env: dict[str, str], *flags: str, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gazami", "login", *([registry] if registry else []), "-u", "me", "--password-stdin", *flags],
        input=f"{password}\n", text=True, capture_output=True, check=False, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    assert f"{password}\n" not in done.stdout + done.stderr
    return done.stderr


def test_login_asks_on_a_terminal(tmp_path: Path) -> None:
    with docker_registry(tmp_path / "private", htpasswd=(("me", "p:w"),)) as registry:
        child, terminal = pty.fork()
        if not child:
            os.environ.update(DOCKER_CONFIG=str(tmp_path))
            os.execv(sys.executable, [sys.executable, "-m", "gazami", "login", f"localhost:{registry.port}"])
        try:
            said = until(terminal, b"Username: ")
            os.write(terminal, b"me\n")
            said += until(terminal, b"Password: ")
            os.write(terminal, b"p:w\n")
            said += until(terminal, b"config.json")
        finally:
            assert os.waitpid(child, 0)[1] == 0
        assert b"Login succeeded" in said and b"p:w" not in said


def until(terminal: int, text: bytes) -> bytes:
    said = b""
    while text not in said:
        try:
            said += os.read(terminal, 1000)
        except OSError:
            raise AssertionError(said) from None
    return said


def test_login_uses_the_program_that_the_file_names(tmp_path: Path) -> None:
    program = tmp_path / "docker-credential-keep"
    program.write_text(f"#!/bin/sh\n[ $1 = store ] && cat > {tmp_path}/kept\n")
    program.chmod(0o755)
    (tmp_path / "config.json").write_text('{"credsStore": "keep", "other": 1}')
    env = {"DOCKER_CONFIG": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"}
    login("r.example.com", "secret", env, "--no-check")
    kept = json.loads((tmp_path / "kept").read_text())
    assert kept == {"ServerURL": "r.example.com", "Username": "me", "Secret": "secret"}
    assert json.loads((tmp_path / "config.json").read_text()) == {"credsStore": "keep", "other": 1}
    assert "docker-credential-keep" in gazami("logout", "r.example.com", env=env).stderr


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


def test_a_copy_onto_a_warmed_base_reads_none_of_it(app: str, context: Path, tmp_path: Path) -> None:
    """Layers that are damaged on the disk would be noticed. Without the list of files they are."""
    cache, layers = tmp_path / "cache", tmp_path / "layers"
    ok("warm", "-i", app, "-c", str(cache), f"--cache-repo=oci:{layers}")
    for path in (cache / digest_of(app) / "blobs/sha256").iterdir():
        if path.read_bytes()[:2] == b"\x1f\x8b":
            path.write_bytes(b"\x1f\x8b" + bytes(path.stat().st_size - 2))
    (context / "Dockerfile").write_text(f"FROM {app}\nWORKDIR /made\n")

    def built(name: str, *flags: str) -> subprocess.CompletedProcess[str]:
        words = ("--no-push", "--cache", f"--state-dir={tmp_path / name}", f"--cache-dir={cache}", *flags)
        return gazami("build", str(context), *words)

    assert built("one", f"--cache-repo=oci:{tmp_path / 'empty'}").returncode == 0
    ok("warm", "-i", app, "-c", str(cache), f"--cache-repo=oci:{layers}")  # what is there is not made again
    shutil.rmtree(cache / ".trees")
    failed = built("two", f"--cache-repo=oci:{tmp_path / 'another'}")
    assert failed.returncode and "damaged" in failed.stderr
    assert built("three", f"--cache-repo=oci:{layers}").returncode == 0, "the layer cache has it too"


def test_the_lists_go_to_a_cache_of_several_repositories(app: str, tmp_path: Path) -> None:
    with docker_registry(tmp_path / "layers") as registry:
        names = [f"{registry.host}/{each}" for each in "abc"]
        done = ok("warm", "-i", app, "-c", str(tmp_path / "cache"), "--insecure", f"--cache-repo={','.join(names)}")
        assert "WARN" not in done.stderr
        assert "the files of an image" in ok("cache", "ls", ",".join(names), "--insecure").stdout


def test_a_name_that_is_none_fails_before_anything_is_fetched(app: str, tmp_path: Path) -> None:
    done = gazami("warm", "-i", app, "-c", str(tmp_path / "cache"), "--cache-repo=Not A Name")
    assert done.returncode == 1 and "Not A Name" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_a_base_whose_files_cannot_be_listed_is_warmed_all_the_same(app: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / ".trees").write_text("in the way")
    done = ok("warm", "-i", app, "-c", str(cache))
    assert "cannot list the files of" in done.stderr and "is in the cache now" in done.stderr


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
    assert "would remove 0 entries" in ok("cache", "prune", place, "--older-than=1h", "--dry-run").stdout
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
    lacking = kaniko("executor", "--context=.").stderr
    assert "you must provide --destination" in lacking and "Run 'executor --help' for usage." in lacking and "gazami" not in lacking


def test_warmer(app: str, tmp_path: Path) -> None:
    done = kaniko("warmer", "-i", app, "-c", str(tmp_path / "cache"), "--customPlatform=linux/amd64", "-v", "info")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "cache" / digest_of(app) / "index.json").exists()
    assert "select at least one image" in kaniko("warmer").stderr


def test_the_state_directory_is_measured_and_emptied(context: Path, busybox: str, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(
        f"FROM {busybox}\nRUN --mount=type=cache,target=/c head -c 2000000 /dev/zero > /c/x; echo > /y\n"
        f"COPY --from={busybox} /bin /b\n"
    )
    state = f"--state-dir={tmp_path / 'state'}"
    ok("build", str(context), state, "--local-cache=on")
    known = json.loads(ok("state", "du", "--json", state).stdout)
    assert known["cache mounts"]["bytes"] >= 2_000_000 and known["layer cache"]["bytes"] and known["trees"]["bytes"]
    assert "RUN --mount=type=cache" in ok("cache", "ls", state).stdout
    du = ok("cache", "du", state).stdout.splitlines()
    assert [line.split()[0] for line in du] == ["steps", "base", "together"] and du[1].split()[2] != "0"
    left = tmp_path / "state/build-0123456789abcdef"
    left.mkdir(mode=0o700)
    (left / "lock").touch()
    ok("state", "prune", state)
    assert not left.exists() and (tmp_path / "state/cache/index.json").exists()
    ok("state", "prune", "--cache-mounts", state)
    assert not json.loads(ok("state", "du", "--json", state).stdout)["cache mounts"]["bytes"]
    ok("state", "prune", "--all", state)
    assert (
        sum(each["bytes"] for name, each in json.loads(ok("state", "du", "--json", state).stdout).items() if name != "directory")
        == 0
    )
    ok("build", str(context), state, "--local-cache=on")


def test_cache_mounts_stay_while_a_build_runs(tmp_path: Path) -> None:
    running = tmp_path / "state/build-0123456789abcdef"
    running.mkdir(parents=True, mode=0o700)
    (tmp_path / "state").chmod(0o700)
    with (running / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = gazami("state", "prune", "--all", f"--state-dir={tmp_path / 'state'}")
    assert done.returncode == 1 and "a build is running" in done.stderr and running.exists()


def test_doctor_asks_a_registry(host: str, tmp_path: Path) -> None:
    state = f"--state-dir={tmp_path / 'state'}"
    good = ok("doctor", "-t", f"{host}/doctor/app", state).stdout
    assert "push          ok" in good and "plain HTTP" in good and "clock         ok" in good
    with docker_registry(tmp_path / "private", htpasswd=(("me", "p:w"),)) as registry:
        env = {"DOCKER_CONFIG": str(tmp_path / "config")}
        done = gazami("doctor", "-t", f"{registry.host}/x", state, env=env)
        assert done.returncode == 1
        assert "credentials   fail" in done.stdout and f"fix      gazami login {registry.host}" in done.stdout
        login(registry.host, "p:w", env)
        answer = json.loads(ok("doctor", "--json", "-t", f"{registry.host}/x", state, env=env).stdout)
        known = {each["name"]: each for each in answer["checks"]}
        assert known["credentials"]["state"] == "ok" and "user me" in known["credentials"]["text"]
        assert "config.json" in known["credentials"]["text"]
    done = gazami("doctor", "-t", f"{registry.host}/x", state)  # it has ended
    assert done.returncode == 1 and "registry      fail" in done.stdout and "nothing listens" in done.stdout
