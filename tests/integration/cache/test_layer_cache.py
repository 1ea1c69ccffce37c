"""The layer cache as users meet it: what hits, what misses, what moves, and that trouble with it fails no build."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.flatten import read_layout
from tests.programs import gazami
from tests.services import docker_registry, end, free_port, wait_for_port

pytestmark = [pytest.mark.service, pytest.mark.sandbox]


class Builder:
    """Builds one context again and again, each time with a new and empty state."""

    def __init__(self, context: Path, host: str, name: str) -> None:
        self.context, self.host, self.name = context, host, name
        self.count = 0

    def __call__(self, dockerfile: str, *arguments: str, cache: str = "") -> Built:
        self.count += 1
        (self.context / "Dockerfile").write_text(dockerfile)
        digest = self.context.parent / f"digest-{self.count}"
        where = cache or f"{self.host}/cache/{self.name}"
        done = gazami(
            "build", str(self.context), f"--state-dir={self.context.parent / f'state-{self.count}'}", "--cache",
            "--cache-copy-layers", f"--cache-repo={where}", f"-t={self.host}/{self.name}:{self.count}",
            f"--digest-file={digest}", "--verbosity=debug", "--progress=raw", *arguments,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return Built(digest.read_text(), done.stderr, done.stdout)


class Built:
    def __init__(self, digest: str, log: str, output: str) -> None:
        self.digest, self.log, self.output = digest, log, output

    @property
    def found(self) -> tuple[int, int]:
        match = re.search(r"Cache .*: (\d+) of (\d+) steps? found", self.log)
        assert match, self.log
        return int(match[1]), int(match[2])

    @property
    def reused(self) -> int:
        """Steps whose layer came from the cache, found before or during the build."""
        return self.log.count("Using caching version of cmd")


@pytest.fixture
def build(context: Path, host: str, request: pytest.FixtureRequest) -> Builder:
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:60].strip("-")
    (context / "a.txt").write_text("a")
    (context / "dir").mkdir()
    (context / "dir/b.txt").write_text("b")
    (context / "dir/c.txt").write_text("c")
    return Builder(context, host, name)


def test_the_second_build_is_the_first_one_again(build: Builder, busybox: str) -> None:
    dockerfile = (
        f"FROM {busybox} AS tool\nWORKDIR /w\nCOPY dir .\nRUN cat b.txt c.txt > out; echo BUILT\n"
        f'FROM {busybox}\nLABEL x=y\nRUN echo 1 > /one\nENV A=1\nCOPY --from=tool /w/out /\nRUN cat /out > /two\nCMD ["sh"]\n'
    )
    first, second = build(dockerfile), build(dockerfile)
    assert first.found == (0, 6)
    assert second.found == (6, 6)
    assert second.digest == first.digest
    assert "BUILT" in first.output
    assert second.output == ""
    assert "isolated by" not in second.log, "a fully cached build starts no sandbox"
    assert "Pulling" not in second.log.replace("Retrieving", ""), "and moves no layer"
    assert "Building stage 'tool'" not in second.log, "and drops the stages that nobody needs"


BASE = (
    "ARG V=1\nFROM {busybox} AS s\nARG V\nENV E=1\nCOPY dir /d\nRUN echo $V > /tmp/v\nFROM {busybox}\n"
    "COPY --from=s /tmp/v /v\nRUN cat /v\n"
)

CHANGES: dict[str, tuple[Callable[[Path], object] | None, Callable[[str], str] | None, tuple[str, ...], int]] = {
    # what changes, how many of the 4 steps still hit by their definition
    "nothing": (None, None, (), 4),
    "a file": (lambda c: (c / "dir/b.txt").write_text("new"), None, (), 0),
    "a file's mode": (lambda c: (c / "dir/b.txt").chmod(0o755), None, (), 0),
    "a file's name": (lambda c: (c / "dir/b.txt").rename(c / "dir/bb.txt"), None, (), 0),
    "a new file": (lambda c: (c / "dir/new").write_text(""), None, (), 0),
    "a file becomes a symlink": (lambda c: ((c / "dir/b.txt").unlink(), (c / "dir/b.txt").symlink_to("c.txt")), None, (), 0),
    "a file's time": (lambda c: os.utime(c / "dir/b.txt", (5, 5)), None, (), 4),
    "another file": (lambda c: (c / "a.txt").write_text("new"), None, (), 4),
    "an ignored file": (
        lambda c: ((c / ".dockerignore").write_text("dir/x\n"), (c / "dir/x").write_text("x")), None, (), 4,
    ),
    "a label": (None, lambda d: d + "LABEL a=b\n", ("--label=c=d",), 4),
    "an annotation": (None, None, ("--annotation=a=b",), 4),
    "an unused build argument": (None, None, ("--build-arg=OTHER=1",), 4),
    "a used build argument": (None, None, ("--build-arg=V=2",), 1),
    "a variable": (None, lambda d: d.replace("E=1", "E=2"), (), 1),
    "a command": (None, lambda d: d.replace("cat /v", "cat  /v"), (), 3),
    "spaces around": (None, lambda d: d.replace("RUN cat", "RUN   cat"), (), 4),
    "a comment": (None, lambda d: d.replace("RUN cat", "# why\nRUN cat"), (), 4),
    "the proxy": (None, None, ("--build-arg=HTTP_PROXY=http://127.0.0.1:9",), 4),
    "the destination of a copy": (None, lambda d: d.replace("/d\n", "/e\n"), (), 0),
    "an owner": (None, lambda d: d.replace("COPY dir", "COPY --chown=1 dir"), (), 0),
    "the user": (None, lambda d: d.replace("ENV E=1", "USER 33"), (), 1),
    "the network": (None, lambda d: d.replace("RUN cat", "RUN --network=none cat"), (), 3),
}  # fmt: skip


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, host: str, busybox: str) -> Path:
    """A context and, beside it, the cache of one build of it."""
    folder = tmp_path_factory.mktemp("stored")
    (folder / "context/dir").mkdir(parents=True)
    for name in ("a.txt", "dir/b.txt", "dir/c.txt"):
        (folder / "context" / name).write_text(name)
    Builder(folder / "context", host, "stored")(BASE.format(busybox=busybox), cache=f"oci:{folder / 'cache'}")
    return folder


@pytest.mark.parametrize("what", CHANGES)
def test_what_changes_a_key_and_what_does_not(what: str, stored: Path, host: str, busybox: str, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", f"{stored}/context", f"{stored}/cache", str(tmp_path)], check=True)
    change, edit, arguments, hits = CHANGES[what]
    if change is not None:
        change(tmp_path / "context")
    dockerfile = BASE.format(busybox=busybox)
    built = Builder(tmp_path / "context", host, "changed")(
        edit(dockerfile) if edit is not None else dockerfile, *arguments, cache=f"oci:{tmp_path / 'cache'}"
    )
    assert built.found == (hits, 4)


def test_a_changed_step_that_makes_the_same_files_lets_the_next_ones_hit(build: Builder, busybox: str) -> None:
    dockerfile = f"FROM {busybox}\nRUN touch -d @7 /x\nRUN echo slow > /y\nRUN cat /y > /z\n"
    first = build(dockerfile)
    second = build(dockerfile.replace("touch -d @7 /x", "touch -d @7 /x # again"))
    assert second.found == (0, 3)
    assert second.reused == (2 if same_layer(first, second) else 0)
    third = build(dockerfile.replace("touch -d @7 /x", "touch -d @7 /x # again"))
    assert third.found == (3, 3), "what hit by content is known by definition afterwards"


def same_layer(first: Built, second: Built) -> bool:
    """The layer of a RUN holds its directories' times, which differ unless both builds ran in the same second."""
    return second.reused > 0


def test_a_copy_from_a_rebuilt_stage_hits_when_the_file_is_the_same(build: Builder, busybox: str) -> None:
    dockerfile = (
        f"FROM {busybox} AS tool\nARG V=1\nRUN echo $V > /log; echo same > /out\n"
        f"FROM {busybox}\nCOPY --from=tool /out /out\nRUN cat /out > /two\n"
    )
    build(dockerfile)
    second = build(dockerfile, "--build-arg=V=2")
    assert second.found == (0, 3)
    assert second.reused == 2


def test_a_miss_says_what_changed(build: Builder, busybox: str) -> None:
    dockerfile = f"FROM {busybox}\nARG V=1\nCOPY a.txt /\nRUN cat a.txt $V || true\n"
    build(dockerfile)
    assert "Dockerfile:4 is not in the cache: variable V changed" in build(dockerfile, "--build-arg=V=2").log
    (build.context / "a.txt").write_text("other")
    assert "Dockerfile:3 is not in the cache: a.txt changed\n" in build(dockerfile).log


def test_a_miss_names_the_files_of_the_context_of_stages_and_of_mounts(build: Builder, busybox: str) -> None:
    source = build.context / "src"
    (source / "deep").mkdir(parents=True)
    for name in ("server.sh", "old.c", "deep/same.c"):
        (source / name).write_text(name)
    (build.context / "mounted").write_text("1")
    dockerfile = (
        f"FROM {busybox} AS build\nCOPY src/ /app/\nRUN --mount=type=bind,source=mounted,target=/m cat /m /app/server.sh > /made\n"
        "FROM scratch\nCOPY --from=build /app /made /\n"
    )
    build(dockerfile)
    (source / "server.sh").write_text("other")
    (source / "new.c").write_text("new")
    (source / "old.c").unlink()
    second = build(dockerfile).log
    assert "Dockerfile:2 is not in the cache: src/server.sh changed, src/new.c is new, src/old.c is gone\n" in second
    assert (
        "Dockerfile:5 is not in the cache: /made changed, /server.sh changed, /new.c is new, /old.c is gone (from stage build)"
        in second
    )
    (build.context / "mounted").write_text("2")
    assert "Dockerfile:3 is not in the cache: mounted changed\n" in build(dockerfile).log
    (source / "deep/same.c").chmod(0o755)
    copies = build(dockerfile, "--cache-copy-layers=false", cache=f"oci:{build.context.parent / 'runs'}").log
    assert "is not in the cache" not in copies, "there is nothing to compare with"
    (source / "server.sh").write_text("a third")
    runs = build(dockerfile, "--cache-copy-layers=false", cache=f"oci:{build.context.parent / 'runs'}").log
    assert "Dockerfile:3 is not in the cache: src/server.sh changed\n" in runs, "by the copy before it, which is not cached"


def test_an_expired_entry_is_not_used(build: Builder, busybox: str) -> None:
    dockerfile = f"FROM {busybox}\nRUN true\n"
    build(dockerfile)
    assert build(dockerfile, "--cache-ttl=1ms").found == (0, 1)
    assert build(dockerfile).found == (1, 1)


def test_nothing_is_stored_with_no_push_cache(build: Builder, busybox: str) -> None:
    dockerfile = f"FROM {busybox}\nRUN true\n"
    build(dockerfile, "--no-push-cache")
    assert build(dockerfile).found == (0, 1)


def test_a_failed_build_keeps_what_it_made(build: Builder, busybox: str) -> None:
    done = gazami(
        "build", str(build.context), f"--state-dir={build.context.parent / 'failed'}", "--cache",
        f"--cache-repo={build.host}/cache/{build.name}", "--no-push", f"-f={fail(build.context, busybox)}",
    )  # fmt: skip
    assert done.returncode == 3
    assert build(f"FROM {busybox}\nRUN echo long > /work\nRUN true\n").found == (1, 2)


def fail(context: Path, busybox: str) -> Path:
    (context / "Failing").write_text(f"FROM {busybox}\nRUN echo long > /work\nRUN exit 3\n")
    return context / "Failing"


@pytest.mark.parametrize("cache", ["127.0.0.1:1/cache", "oci:/proc/nowhere"])
def test_a_cache_that_cannot_be_had_fails_no_build(build: Builder, busybox: str, cache: str) -> None:
    built = build(f"FROM {busybox}\nRUN true\nRUN echo\n", cache=cache)
    assert built.found == (0, 2)
    assert built.log.count("WARN") <= 2
    assert "cache" in built.log.partition("WARN")[2]


def test_a_broken_entry_is_no_hit(build: Builder, busybox: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox}\nRUN true\n"
    cache = tmp_path / "cache"
    build(dockerfile, cache=f"oci:{cache}")
    document = json.loads((cache / "index.json").read_text())
    for entry in document["manifests"]:
        blob = cache / "blobs" / entry["digest"].replace(":", "/")
        blob.write_bytes(blob.read_bytes().replace(b"RUN", b"NUR"))
    again = build(dockerfile, cache=f"oci:{cache}")
    assert again.found == (0, 1)
    assert "damaged" in again.log
    healed = build(dockerfile, cache=f"oci:{cache}")
    assert healed.found == (1, 1) and "damaged" not in healed.log


def test_a_directory_serves_builds_at_the_same_time(build: Builder, busybox: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    programs = []
    for number in range(4):
        folder = tmp_path / f"context-{number}"
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo {number}\nRUN echo more\n")
        programs.append(
            subprocess.Popen(
                [
                    sys.executable, "-m", "gazami", "build", str(folder),
                    f"--state-dir={tmp_path / f's{number}'}", "--cache", f"--cache-repo=oci:{cache}", "--no-push",
                ],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )
        )  # fmt: skip
    assert [program.wait(120) for program in programs] == [0, 0, 0, 0]
    for number in range(4):
        assert build(f"FROM {busybox}\nRUN echo {number}\nRUN echo more\n", cache=f"oci:{cache}").found == (2, 2)


def test_an_entry_is_one_small_manifest(build: Builder, busybox: str) -> None:
    build(f"FROM {busybox}\nRUN echo > /x\n")
    with urllib.request.urlopen(f"http://{build.host}/v2/cache/{build.name}/tags/list") as answer:
        tags = json.load(answer)["tags"]
    assert len([tag for tag in tags if re.fullmatch("[0-9a-f]{64}", tag)]) == 1
    request = urllib.request.Request(f"http://{build.host}/v2/cache/{build.name}/manifests/{tags[0]}")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request) as answer:
        raw = answer.read()
    assert len(raw) < 4096
    assert json.loads(raw)["config"]["size"] == 2


def pulled(log: str) -> list[str]:
    return [line for line in log.splitlines() if "] Pulling sha256" in line and "done" not in line]


def test_a_changed_copy_on_known_layers_moves_no_layer(build: Builder, busybox: str) -> None:
    dockerfile = (
        f"FROM {busybox}\nRUN mkdir /made && echo x > /made/x && ln -s made /link\nCOPY --chown=www-data dir /d\n"
        "COPY a.txt /link/\n"
    )
    build(dockerfile)
    (build.context / "a.txt").write_text("changed")
    second = build(dockerfile)
    assert second.found == (2, 3)
    assert pulled(second.log) == []
    assert "isolated by" not in second.log
    again = build(dockerfile.replace("/link/", "/made/"))
    assert again.found == (2, 3)
    flattened = [flattened_image(build.host, build.name, number) for number in (2, 3)]
    assert flattened[0] == flattened[1], "the link was followed, though only indexes were read"
    assert "made/a.txt" in flattened[0]


def flattened_image(host: str, name: str, number: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{host}/{name}:{number}", f"oci:{folder}/layout:x"],
            check=True,
        )
        return dict(read_layout(Path(folder) / "layout")[1])


def test_the_index_of_a_base_stays_in_the_state(context: Path, host: str, busybox: str, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nCOPY . /x/\n")
    logs = [
        gazami("build", str(context), f"--state-dir={tmp_path / 'state'}", "-v=debug", f"-t={host}/indexed:{number}").stderr
        for number in range(2)
    ]
    assert [len(pulled(log)) for log in logs] == [1, 0]
    assert "Build finished" in logs[1]


def test_cache_mounts_outlive_a_runner(build: Builder, busybox: str) -> None:
    mount = "RUN --mount=type=cache,id=pkgs,target=/pkgs"
    dockerfile = f"FROM {busybox}\nARG N=1\n{mount} echo $N > /pkgs/$N; chown 33 /pkgs/$N; ls /pkgs | tr '\\n' ' '\n"
    build(dockerfile, "--cache-mounts")
    second = build(dockerfile, "--cache-mounts", "--build-arg=N=2")
    assert "1 2" in second.output
    assert "restoring the cache mount pkgs" in second.log.lower()
    assert "1 2" not in build(dockerfile, "--build-arg=N=2", "--no-cache").output, "it is asked for, and not by itself"
    full = build(
        f"FROM {busybox}\nRUN --mount=type=cache,id=big,target=/b head -c 3000000 /dev/urandom > /b/x\n", "--cache-mounts",
        "--cache-mounts-max=1m",
    )  # fmt: skip
    assert "is not stored" in full.log


def test_a_layer_that_the_registry_lost_is_made_again(build: Builder, busybox: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox}\nRUN head -c 100000 /dev/urandom > /r\nRUN echo > /x\n"
    with docker_registry(tmp_path / "lossy") as registry:
        cache = f"localhost:{registry.port}/c"
        build(dockerfile, cache=cache)
        lost = max((registry.root / "docker/registry/v2/blobs").rglob("data"), key=lambda path: path.stat().st_size)
        subprocess.run(["rm", "-rf", str(lost.parent)], check=True)
        for link in (registry.root / "docker/registry/v2/repositories").rglob(f"_layers/sha256/{lost.parent.name}"):
            subprocess.run(["rm", "-rf", str(link)], check=True)
        whole = f"--oci-layout-path={tmp_path / 'layout'}"  # needs the layer itself, and nothing else has it
        second = build(dockerfile, "--no-push", whole, cache=cache)
        assert second.found == (2, 2)
        assert "building again without the cache" in second.log
        rows = re.findall(r"^ +\d+  RUN .*", second.log, re.MULTILINE)
        assert len(rows) == 2 and not any(" cached " in row for row in rows), "the table is of the build that went well"
        assert build(dockerfile, cache=cache).reused == 2, "and it is stored again"


MOUNTS: dict[str, tuple[str, Callable[[Path], object], tuple[int, int]]] = {
    "a bound file": ("RUN --mount=type=bind,source=a.txt,target=/a cat /a", lambda c: (c / "a.txt").write_text("new"), (0, 1)),
    "a file that is not bound": (
        "RUN --mount=type=bind,source=a.txt,target=/a cat /a", lambda c: (c / "dir/b.txt").write_text("new"), (1, 1),
    ),
    "a heredoc": ("RUN <<EOF\necho 1\nEOF", lambda c: None, (1, 1)),
    "an excluded file": ("COPY --exclude=b* dir /d", lambda c: (c / "dir/b.txt").write_text("new"), (1, 1)),
    "what a wildcard finds": ("COPY *.txt /d/", lambda c: (c / "z.txt").write_text("new"), (0, 1)),
    "another archive": ("ADD x.tar /d/", lambda c: archive(c, "other"), (0, 1)),
    "the same archive": ("ADD x.tar /d/", lambda c: os.utime(c / "x.tar", (9, 9)), (1, 1)),
    "an inline file": ("COPY <<f /f\nbody\nf", lambda c: None, (1, 1)),
}  # fmt: skip


def archive(context: Path, text: str) -> None:
    (context / "member").write_text(text)
    subprocess.run(["tar", "-C", str(context), "--mtime=@0", "-cf", str(context / "x.tar"), "member"], check=True)
    (context / "member").unlink()


@pytest.mark.parametrize("what", MOUNTS)
def test_what_a_step_takes_from_elsewhere(what: str, build: Builder, busybox: str, tmp_path: Path) -> None:
    step, change, found = MOUNTS[what]
    archive(build.context, "one")
    cache = f"oci:{tmp_path / 'cache'}"
    build(f"FROM {busybox}\n{step}\n", cache=cache)
    change(build.context)
    assert build(f"FROM {busybox}\n{step}\n", cache=cache).found == found


def test_the_value_of_a_secret_is_no_input(build: Builder, busybox: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox}\nRUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null\n"
    (tmp_path / "s").write_text("one")
    build(dockerfile, f"--secret=id=s,src={tmp_path / 's'}")
    (tmp_path / "s").write_text("two")
    assert build(dockerfile, f"--secret=id=s,src={tmp_path / 's'}").found == (1, 1)


def test_what_add_fetches_is_an_input(build: Builder, busybox: str, tmp_path: Path) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www/f").write_text("one")
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "-d", str(tmp_path / "www")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_port(port, server)
        dockerfile = f"FROM {busybox}\nADD http://127.0.0.1:{port}/f /f\nRUN cat /f\n"
        build(dockerfile)
        assert build(dockerfile).found == (2, 2)
        (tmp_path / "www/f").write_text("two")
        assert build(dockerfile).found == (0, 2)
    finally:
        end(server)


def test_a_dry_run_says_what_the_cache_has(build: Builder, busybox: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {busybox}\nLABEL a=b\nRUN echo 1\nCOPY a.txt /\n"
    cache = f"oci:{tmp_path / 'cache'}"
    build(dockerfile, cache=cache)
    (build.context / "a.txt").write_text("new")
    done = gazami(
        "build", str(build.context), "--no-push", "--dryrun", "--cache", "--cache-copy-layers", f"--cache-repo={cache}",
        f"--state-dir={tmp_path / 's'}",
    )  # fmt: skip
    assert "layer, cache hit]" in done.stdout and "layer, cache miss]" in done.stdout
    assert done.stdout.count("cache ") == 2


def test_a_cache_of_several_repositories(build: Builder, busybox: str, host: str) -> None:
    """Each key has one of them; a third one moves some keys, which are then built again, and no others. What is left of leases goes
    with what is pruned."""
    dockerfile = f"FROM {busybox}\n" + "".join(f"RUN echo {n} > /r{n}\nCOPY dir/b.txt /c{n}\n" for n in range(6))
    a, b, c = (f"{host}/cache/{build.name}/{each}" for each in "abc")
    first = build(dockerfile, "--cache-lease=on", cache=f"{a},{b}")
    second = build(dockerfile, "--cache-lease=on", cache=f"{b},{a}")
    assert second.found == (12, 12)
    assert second.digest == first.digest
    alone = [len(tags(place)) for place in (a, b)]
    assert all(alone)
    third = build(dockerfile, cache=f"{a},{b},{c}")
    assert 0 < third.found[0] < 12
    assert sum(tag.endswith(".lease") for place in (a, b) for tag in tags(place)) == 6
    done = gazami("cache", "ls", f"{a},{b},{c}")
    assert done.returncode == 0, done.stderr
    assert "RUN echo 5 > /r5" in done.stdout
    done = gazami("cache", "prune", f"{a},{b},{c}", "--older-than=0s")
    assert done.returncode == 0, done.stderr
    assert [tags(place) for place in (a, b, c)] == [set(), set(), set()]


def tags(place: str) -> set[str]:
    host, _, repository = place.partition("/")
    with urllib.request.urlopen(f"http://{host}/v2/{repository}/tags/list") as answer:
        return set(json.load(answer)["tags"] or ())
