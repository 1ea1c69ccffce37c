"""Docker's default container, in which RUN steps get the container's own root: what they see, and what is left of it."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import time
from pathlib import Path

import pytest
from tests.container.conftest import LIMITS, Podman
from tests.person import Person

LISTING = (
    "find / -xdev \\( -path /proc -o -path /kaniko/tmp -o -path /kaniko/lib -o -path /busybox -o -path /workspace"
    " -o -path /context -o -path /state \\) -prune"
    " -o -exec stat -c '%n %A %u:%g %s' {} + | grep -v ' d.*[0-9]$' | sort"
)
"""Every file of the container, with its mode and owner; directories have sizes that say nothing."""

DOCKERFILES = (
    "FROM {base}\nRUN echo one > /one",
    "FROM {base}\nRUN rm -rf /home /root && mkdir -p /opt/two && chown 7:7 /opt/two",
    "FROM {base}\nUSER 33\nRUN id -u > /tmp/who",
    "FROM {base} AS a\nRUN echo a > /a\nFROM {base} AS b\nRUN echo b > /b\n"
    "FROM {base}\nCOPY --from=a /a /\nCOPY --from=b /b /\nRUN cat /a /b > /c",
    "FROM {base}\nRUN rm -f /etc/resolv.conf /etc/hosts && echo mine > /etc/hosts && mv /etc /etc2 && mkdir /etc",
    "FROM {base}\nRUN rm -rf /var/run && mkdir -p /var/run/app && echo 1 > /var/run/app/pid",
    "FROM {base}\nRUN chmod 700 /tmp && ln -s /tmp /link && mkdir /kept && chmod 1777 /kept",
    "FROM {base}\nWORKDIR /app\nRUN echo x > x && ln x y && mkdir -p deep/er\nRUN rm x",
    "FROM {debian}\nRUN useradd -m someone && su someone -c 'echo hello > ~/file'",
    "FROM {debian}\nRUN dpkg --purge --force-all e2fsprogs logsave && rm -rf /var/log/* /var/cache/* /var/lib/dpkg/status-old",
)


@pytest.fixture
def debug(podman: Podman) -> str:
    return f"{podman.registry}/gazami:debug"


def shell(podman: Podman, options: list[str], script: str, context: Path, image: str) -> subprocess.CompletedProcess[str]:
    """A script in the debug image, as runners of continuous integration run it."""
    return podman.run([*options, "--entrypoint", ""], "sh", "-c", script, context=context, image=image)


def test_ten_builds_in_one_container(podman: Podman, docker_options: list[str], debian: str, debug: str, tmp_path: Path) -> None:
    """They give the digests that ten fresh containers give."""
    for number, text in enumerate(DOCKERFILES):
        (tmp_path / f"D{number}").write_text(text.format(base=podman.base, debian=debian))
    (tmp_path / "out").mkdir()
    build = (
        "/kaniko/executor --context=dir:///workspace/empty --dockerfile=/workspace/D$i --no-push --reproducible"
        " --digest-file=/workspace/out/$j.$i --log-format=text 2>&1"
    )
    (tmp_path / "empty").mkdir()
    for number in range(len(DOCKERFILES)):
        done = shell(podman, docker_options, f"i={number} j=fresh; {build}", tmp_path, debug)
        assert done.returncode == 0, done.stdout
        assert "isolated by inplace" in done.stdout
    numbers = " ".join(str(number) for number in range(len(DOCKERFILES)))
    script = f"{LISTING} > /kaniko/tmp/before; for i in {numbers}; do j=same; {build} || exit 1; done"
    script += f"; {LISTING} > /kaniko/tmp/after; diff /kaniko/tmp/before /kaniko/tmp/after"
    done = shell(podman, docker_options, script, tmp_path, debug)
    assert done.returncode == 0, done.stdout
    for number, text in enumerate(DOCKERFILES):
        fresh, same = (tmp_path / f"out/{name}.{number}" for name in ("fresh", "same"))
        assert same.read_text() == fresh.read_text(), text


@pytest.mark.parametrize(
    ("how", "status"), [("", 42), ("timeout -s INT 2", 130), ("timeout -s TERM 2", 143), ("timeout -s KILL 2", 137)]
)
def test_the_root_is_as_it_was_however_a_build_ends(
    how: str, status: int, podman: Podman, docker_options: list[str], debug: str, tmp_path: Path
) -> None:
    command = "exit 42" if not how else "sleep 100"
    (tmp_path / "Dockerfile").write_text(f"FROM {podman.base}\nRUN mkdir /made && rm -rf /home && {command}\n")
    (tmp_path / "Next").write_text(f"FROM {podman.base}\nRUN test ! -e /made && test -d /home && test -r /proc/self/exe\n")
    build = "/kaniko/executor --context=dir:///workspace --no-push 2>&1"
    script = (
        f"mkdir -p /kaniko/.docker /own/deep; echo {{}} > /kaniko/.docker/config.json; {LISTING} > /kaniko/tmp/before;"
        f" {how} {build}; status=$?; sleep 1; {LISTING} > /kaniko/tmp/after;"
        f" {build} --dockerfile=Next || exit 1;"
        f" {LISTING} > /kaniko/tmp/last; diff /kaniko/tmp/before /kaniko/tmp/last || exit 2;"
        " diff /kaniko/tmp/before /kaniko/tmp/after && exit $status; exit 3"
    )
    done = shell(podman, docker_options, script, tmp_path, debug)
    assert done.returncode == status, done.stdout


def test_a_command_has_all_of_linux(podman: Podman, docker_options: list[str], debian: str, tmp_path: Path) -> None:
    """What chroot mode cannot give: /proc, terminals, descriptors by name; and Docker's own view of /etc and /var/run."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {debian}\nSHELL ["
        '"bash", "-ec"]\n'
        "RUN test -x /proc/self/exe && cat <(echo substituted) > /dev/stderr && script -qc tty /dev/null\n"
        "RUN grep 192.0.2.53 /etc/resolv.conf && grep localhost /etc/hosts\n"
        "RUN test -e /dev/full && test -w /dev/shm && test -d /sys/class && mkdir -p /var/run/x && rm /etc/hosts\n"
        "RUN <<EOF\n#!/usr/bin/perl\nprint STDERR 'a script of its own';\nEOF\n"
        "RUN test ! -e /dev/pipes && test -d /run/x && test ! -e /kaniko/.docker/config.json && test ! -e /run/.containerenv\n"
    )
    done = podman.run([*docker_options, "--dns=192.0.2.53"], "--context=dir:///workspace", "--no-push", context=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "substituted" in done.stderr + done.stdout
    assert "/dev/pts/" in done.stdout
    assert "a script of its own" in done.stderr


def test_what_is_taken_in_the_container_is_never_mixed_with_the_image(
    podman: Podman, docker_options: list[str], tmp_path: Path
) -> None:
    """A context that is mounted at /workspace, and an image that has a /workspace of its own."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {podman.base}\nWORKDIR /workspace\nRUN test ! -e Dockerfile && echo x > made\nRUN cat made\n"
    )
    target = f"{podman.registry}/taken:1"
    done = podman.run(docker_options, "--context=dir:///workspace", f"--destination={target}", context=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "/workspace is taken in this container" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"Dockerfile"}
    command = podman.command("run", "--rm", *LIMITS, "--network", "host", "--tls-verify=false", target)
    seen = subprocess.run([*command, "cat", "/workspace/made"], capture_output=True, text=True, check=False)
    assert seen.stdout == "x\n", seen.stderr


def test_mounts_of_run_are_moved_there_and_back(podman: Podman, docker_options: list[str], tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        f"FROM {podman.base}\nRUN mkdir /c && echo image > /c/image\n"
        "RUN --mount=type=cache,target=/c --mount=type=bind,source=Dockerfile,target=/etc/D"
        " --mount=type=secret,id=s,target=/etc/passwd --mount=type=tmpfs,target=/usr"
        " test ! -e /c/image && echo kept > /c/new && test -s /etc/D && test ! -e /usr/bin && cp /etc/passwd /read\n"
        "RUN --mount=type=cache,target=/c cat /c/new\n"
        "RUN test ! -e /etc/D && cat /c/image && test ! -e /c/new && grep root /etc/passwd && test -e /usr\n"
    )
    (tmp_path / "secret").write_text("hidden")
    target = f"{podman.registry}/moved:1"
    done = podman.run(
        docker_options, "--context=dir:///workspace", "--secret=id=s,src=/workspace/secret", f"--destination={target}",
        context=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    layers = json.loads(
        subprocess.run(
            ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{target}"], capture_output=True, check=True
        ).stdout
    )["layers"]
    assert len(layers) == 5
    assert [layer["size"] < 150 for layer in layers[3:]] == [True, True], "the mounts left something in layers"


def test_a_step_that_kills_the_sandbox_and_a_doctor_that_looks(
    podman: Podman, docker_options: list[str], debug: str, tmp_path: Path
) -> None:
    """A step of root can kill what would give the root back, so gazami does; and nobody takes it while a command has it."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {podman.base}\nRUN sleep 5 && test -d /home\nRUN killall -9 gazami-sandbox; sleep 9\n"
    )
    script = (
        f"mkdir -p /own/deep; {LISTING} > /kaniko/tmp/before;"
        " /kaniko/executor --context=dir:///workspace --no-push > /kaniko/tmp/log 2>&1 & sleep 3;"
        " PATH=/busybox:$PATH /kaniko/executor doctor; wait $!; echo status $?; cat /kaniko/tmp/log;"
        f" {LISTING} > /kaniko/tmp/after; diff /kaniko/tmp/before /kaniko/tmp/after && echo same"
    )
    done = shell(podman, docker_options, script, tmp_path, debug)
    assert "another build has this container's root" in done.stdout
    assert "[1/2] done" in done.stdout and "status 0" not in done.stdout, done.stdout
    assert done.stdout.endswith("same\n"), done.stdout


@pytest.mark.parametrize("volume", ["folder", "tmpfs"])
def test_state_on_a_volume(volume: str, podman: Podman, docker_options: list[str], debug: str, tmp_path: Path) -> None:
    """As the manifests for Kubernetes have it: roots lie on the container's own file system then, caches on the volume."""
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(
        f"FROM {podman.base}\nRUN --mount=type=cache,target=/c test -r /proc/self/exe && date >> /c/times && wc -l < /c/times\n"
    )
    (tmp_path / "state").mkdir()
    mount = ["-v", f"{tmp_path}/state:/state"] if volume == "folder" else ["--tmpfs", "/state:size=512m,mode=1777"]
    build = "/kaniko/executor --context=dir:///workspace --no-push --state-dir=/state 2>&1"
    script = f"{LISTING} > /kaniko/tmp/before; {build} && {build}; {LISTING} > /kaniko/tmp/after;"
    script += " diff /kaniko/tmp/before /kaniko/tmp/after"
    done = shell(podman, [*docker_options, *mount], script, tmp_path / "context", debug)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("isolated by inplace") == 2
    assert {"1", "2"} <= set(done.stdout.splitlines()), "the cache of the first build"


def test_what_a_step_writes_where_a_volume_is_gets_into_the_image(
    podman: Podman, docker_options: list[str], debug: str, tmp_path: Path
) -> None:
    """A pod's emptyDirs at /workspace (with the context) and /tmp: the step that names them has the image's own."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {podman.base} AS a\nRUN mkdir -p /workspace/sub && echo made > /workspace/sub/f && test ! -e /workspace/Dockerfile\n"
        "RUN echo binary > /tmp/app\n"
        f"FROM {podman.base}\nCOPY --from=a /tmp/app /app\nCOPY --from=a /workspace/sub/f /f\nRUN cat /proc/self/comm > /comm\n"
    )
    tag = f"{podman.registry}/volumes:1"
    build = f"/kaniko/executor --context=dir:///workspace --destination={tag} 2>&1"
    done = shell(podman, [*docker_options, "--tmpfs", "/tmp:mode=1777"], build, tmp_path, debug)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("is taken in this container") == 2, done.stdout
    shown = podman.run(["--tls-verify=false", "--entrypoint", ""], "cat", "/app", "/f", "/comm", context=tmp_path, image=tag)
    assert shown.stdout.splitlines() == ["binary", "made", "cat"], shown


def test_a_step_that_writes_to_a_volume_unseen_fails(podman: Podman, docker_options: list[str], debug: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM {podman.base}\nRUN d=/work; echo x > ${{d}}space/new\n")
    cache = f"{podman.registry}/volumes/cache"
    build = f"/kaniko/executor --context=dir:///workspace --no-push --cache=true --cache-repo={cache} 2>&1"
    done = shell(podman, docker_options, f"{build}; echo status $?; rm /workspace/new; {build}", tmp_path, debug)
    assert "status 1" in done.stdout and done.returncode == 1, done.stdout
    assert done.stdout.count("/workspace/new, on a volume of this container") == 2, done.stdout


def test_what_is_written_to_a_file_of_a_volume_is_said(
    podman: Podman, docker_options: list[str], debug: str, tmp_path: Path
) -> None:
    """It may be a log of somebody's, so the step does not fail. No cache keeps it, so the next build says it too."""
    (tmp_path / "Dockerfile").write_text(f"FROM {podman.base}\nRUN d=/work; echo x >> ${{d}}space/log\n")
    (tmp_path / "log").write_text("before\n")
    cache = f"--cache=true --cache-repo={podman.registry}/volumes/said --cache-lease=on"
    build = f"/kaniko/executor --context=dir:///workspace --no-push {cache} 2>&1"
    done = shell(podman, docker_options, f"{build} && {build}", tmp_path, debug)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("/workspace/log was written to, on a volume of this container") == 2, done.stdout
    assert "WARN" in done.stdout and done.stdout.count("0 of 1 step found") == 2, done.stdout


def test_the_log_of_the_build_itself_is_nobody_elses(podman: Podman, docker_options: list[str], debug: str, tmp_path: Path) -> None:
    """As a Jenkins agent starts it: its output goes to a file of the volume, which a loop beside it touches."""
    (tmp_path / "Dockerfile").write_text(f"FROM {podman.base}\nRUN echo something; sleep 2\n")
    build = "/kaniko/executor --context=dir:///workspace --no-push > /workspace/log 2>&1"
    touched = "touch /workspace/log; (while sleep 0.3; do touch /workspace/log; done) & "
    done = shell(podman, docker_options, f"{touched}{build}; s=$?; kill %1; cat /workspace/log; exit $s", tmp_path, debug)
    assert done.returncode == 0, done.stdout
    assert "Build finished" in done.stdout and "was written to" not in done.stdout, done.stdout


def test_only_in_gazamis_own_image(podman: Podman, docker_options: list[str], debian: str, tmp_path: Path) -> None:
    """An image of somebody's that has /kaniko in it keeps its own root, unless --force is given."""
    (tmp_path / "Dockerfile").write_text(f"FROM {debian}\nCOPY --from={podman.image} /kaniko /kaniko\n")
    own = f"{podman.registry}/own:1"
    done = podman.run(docker_options, "--context=dir:///workspace", f"--destination={own}", context=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "Dockerfile").write_text(f"FROM {podman.base}\nRUN true\n")
    arguments = ["--tls-verify=false", "--entrypoint", "/kaniko/executor"]
    words = ["--context=dir:///workspace", "--no-push"]
    options = [*docker_options, *arguments]
    done = podman.run(options, *words, context=tmp_path, image=own)
    assert done.returncode == 0, done.stderr
    assert "isolated by chroot" in done.stderr
    done = podman.run(options, *words, "--isolation=inplace", context=tmp_path, image=own)
    assert done.returncode == 1
    assert "/ holds a system of its own" in done.stderr
    done = podman.run(options, *words, "--isolation=inplace", "--force", context=tmp_path, image=own)
    assert done.returncode == 0, done.stderr
    assert "isolated by inplace" in done.stderr


def test_credentials_in_ordinary_files_are_taken_away(
    podman: Podman, docker_options: list[str], debug: str, tmp_path: Path
) -> None:
    """GitLab's script writes config.json into the container: no step sees it, and it is there again afterwards."""
    (tmp_path / "Dockerfile").write_text(
        f"FROM {podman.base}\nRUN test ! -e /kaniko/.docker/config.json && ! grep -rs planted /kaniko/.docker /kaniko/tmp /root\n"
    )
    script = (
        'mkdir -p /kaniko/.docker && echo "{\\"auths\\":{\\"planted\\":{}}}" > /kaniko/.docker/config.json &&'
        " chmod 640 /kaniko/.docker/config.json && /kaniko/executor --context=dir:///workspace --no-push 2>&1 &&"
        " stat -c '%a' /kaniko/.docker/config.json && cat /kaniko/.docker/config.json"
    )
    done = shell(podman, docker_options, script, tmp_path, debug)
    assert done.returncode == 0, done.stdout
    assert done.stdout.endswith('640\n{"auths":{"planted":{}}}\n')
    assert "can read" not in done.stdout


def test_on_the_overlay_root_that_docker_gives(podman: Podman, docker_options: list[str], debug: str, tmp_path: Path) -> None:
    """Directories of the image's own layers cannot be renamed on an overlay (the store of these tests is none)."""
    lower = subprocess.run(podman.command("image", "mount", debug), capture_output=True, text=True, check=True).stdout.strip()
    for name in ("upper", "work", "root", "context"):
        (tmp_path / name).mkdir()
    (tmp_path / "context/Dockerfile").write_text(f"FROM {podman.base}\nRUN echo x > /x && test -r /proc/self/exe\nRUN rm /x\n")
    options = f"lowerdir={lower},upperdir={tmp_path}/upper,workdir={tmp_path}/work,redirect_dir=off"
    mounted = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "root")], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"overlay mounts are refused here: {mounted.stderr.strip()}")
    build = "/kaniko/executor --context=dir:///context --no-push --reproducible --digest-file=/context/digest 2>&1"
    build += " && cat /context/digest && echo"
    script = (
        "export PATH=/busybox HOME=/root TMPDIR=/kaniko/tmp SSL_CERT_DIR=/kaniko/ssl/certs;"
        f" {LISTING} > /kaniko/tmp/before; {build} && {build}; {LISTING} > /kaniko/tmp/after;"
        " diff /kaniko/tmp/before /kaniko/tmp/after"
    )
    try:
        done = podman.run(
            [*docker_options, "-v", f"{tmp_path}/context:/context", "--rootfs"],
            "/busybox/sh", "-c", script, image=str(tmp_path / "root"),
        )  # fmt: skip
    finally:
        subprocess.run(["umount", str(tmp_path / "root")], check=True)
        subprocess.run(podman.command("image", "umount", debug), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    digests = [line for line in done.stdout.splitlines() if line.startswith("sha256:")]
    assert len(digests) == 2 and digests[0] == digests[1]
    assert done.stdout.count("isolated by inplace") == 2


def failing(podman: Podman, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a secret of this test")
    (tmp_path / ".dockerignore").write_text("token\n")
    (tmp_path / "Dockerfile").write_text(
        f"FROM {podman.base}\nWORKDIR /app\n"
        "RUN --mount=type=secret,id=s cat /run/secrets/s > /dev/null && echo made > made && chown 12:34 made; rm -r /home; exit 7\n"
    )


def test_the_files_of_a_step_that_failed(podman: Podman, docker_options: list[str], tmp_path: Path) -> None:
    failing(podman, tmp_path)
    words = ["--context=dir:///workspace", "--no-push", "--secret=id=s,src=/workspace/token"]
    for where in ("tar:/workspace/failed.tar", "dir:/workspace/failed"):
        done = podman.run(docker_options, *words, f"--on-failure={where}", context=tmp_path)
        assert done.returncode == 7, done.stderr
        assert "isolated by inplace" in done.stderr
    with tarfile.open(tmp_path / "failed.tar") as archive:
        members = {each.name.strip("/"): (each.uid, each.gid) for each in archive}
    assert members["app/made"] == (12, 34)
    assert "bin/busybox" in members
    assert not [name for name in members if name.startswith(("home", "run/secrets", "kaniko", "workspace"))]
    assert b"a secret of this test" not in (tmp_path / "failed.tar").read_bytes()
    assert (tmp_path / "failed/app/made").read_text() == "made\n"
    assert not (tmp_path / "failed/home").exists()


def test_a_shell_in_a_step_that_failed(podman: Podman, docker_options: list[str], tmp_path: Path) -> None:
    failing(podman, tmp_path)
    words = podman.command("run", "--rm", "-it", "--network", "host", *LIMITS, *docker_options, "-v", f"{tmp_path}:/workspace")
    words += [podman.image, "--context=dir:///workspace", "--no-push", "--secret=id=s,src=/workspace/token", "--on-failure=shell"]
    person = Person(words, {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ})
    person.until("isolated by inplace")
    person.until("failed with exit code 7")
    person.until(r"# $")
    person.types("cat made; ls -d /home; echo $PWD; cat /run/secrets/s\n")
    person.until(r"made\n(?s:.*)No such file(?s:.*)/app\n(?s:.*)a secret of this test")
    person.until(r"# $")
    person.types("sleep 100\n")
    person.until("sleep 100\n")
    time.sleep(0.3)
    person.types("\x03")
    person.until(r"# $")
    person.types("\x04")
    status, rest = person.end()
    assert status == 7, rest
    assert "exit code: 7" in rest
