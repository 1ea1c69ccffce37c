"""The command line from outside: what users run, what they see, what is left behind."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.flatten import read_layout
from tests.programs import gazami

import gazami as gazami_package

pytestmark = [pytest.mark.service, pytest.mark.sandbox]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def build(context: Path, dockerfile: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    (context / "Dockerfile").write_text(dockerfile)
    words = ("build", str(context), f"--state-dir={context.parent / 'state'}", "--progress=raw")
    return gazami(*words, *arguments, **options)  # type: ignore[arg-type]


def test_two_destinations_and_every_file(host: str, context: Path, tmp_path: Path) -> None:
    (context / "f").write_text("x")
    done = build(
        context, "FROM scratch\nCOPY f /\n", "-t", f"{host}/a/one:1", f"--destination={host}/b/two",
        f"--digest-file={tmp_path / 'deep/digest'}", f"--image-name-with-digest-file={tmp_path / 'names'}",
        f"--image-name-tag-with-digest-file={tmp_path / 'tags'}", f"--tar-path={tmp_path / 'i.tar'}",
        f"--oci-layout-path={tmp_path / 'layout'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    digest = (tmp_path / "deep/digest").read_text()
    assert (tmp_path / "names").read_text() == f"{host}/a/one@{digest}\n{host}/b/two@{digest}\n"
    assert (tmp_path / "tags").read_text() == f"{host}/a/one:1@{digest}\n{host}/b/two:latest@{digest}\n"
    for name in ("a/one:1", "b/two:latest"):
        seen = subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", f"docker://{host}/{name}"], capture_output=True, check=True
        )
        assert json.loads(seen.stdout)["Digest"] == digest
    subprocess.run(["skopeo", "inspect", f"docker-archive:{tmp_path / 'i.tar'}"], capture_output=True, check=True)
    assert set(read_layout(tmp_path / "layout")[1]) == {"f"}
    assert os.listdir(tmp_path / "state") == []


def test_a_failed_push_leaves_no_digest_file(context: Path, tmp_path: Path) -> None:
    (context / "f").write_text("x")
    done = build(context, "FROM scratch\nCOPY f /\n", "-t", "localhost:1/x/y", f"--digest-file={tmp_path / 'digest'}")
    assert done.returncode == 1
    assert "localhost:1" in done.stderr
    assert not (tmp_path / "digest").exists()


def test_the_same_input_gives_the_same_layers(context: Path, tmp_path: Path) -> None:
    (context / "d").mkdir()
    for name in ("b", "a", "ü"):
        (context / "d" / name).write_text(name)
    ids = []
    for number in range(2):
        layout = tmp_path / f"layout{number}"
        assert build(context, "FROM scratch\nCOPY d /d\nWORKDIR /w\n", "--no-push", f"--oci-layout-path={layout}").returncode == 0
        ids.append(read_layout(layout)[0]["rootfs"]["diff_ids"])
    assert ids[0] == ids[1]


@as_root
def test_a_failed_command_is_the_exit_status(busybox: str, context: Path) -> None:
    done = build(context, f"FROM {busybox}\nRUN true\nRUN exit 42\n", "--no-push")
    assert done.returncode == 42
    assert "   3 | >>> RUN exit 42" in done.stderr
    assert os.listdir(context.parent / "state") == []


@as_root
def test_nothing_of_the_builder_reaches_a_step(busybox: str, context: Path, tmp_path: Path) -> None:
    config = tmp_path / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"auths": {"x.example": {"auth": "c2VjcmV0OnBsYW50ZWQ="}}}))
    hunt = (
        "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'"
        "; grep -rl c2VjcmV0OnBsYW50ZWQ= / --exclude-dir=proc --exclude-dir=sys; ls /proc/1/root/"
    )
    done = build(
        context, f"FROM {busybox}\nRUN {hunt}; true\n", "--no-push",
        env={"DOCKER_CONFIG": str(config), "PLANTED": "planted-variable"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "planted" not in done.stdout.lower()
    assert "c2VjcmV0" not in done.stdout.replace("grep -rl c2VjcmV0OnBsYW50ZWQ=", "")
    assert str(tmp_path) not in done.stdout


@as_root
@pytest.mark.parametrize("isolation", ["namespaces", "chroot", "userns", "userns-single"])
def test_every_isolation_gives_the_same_files(isolation: str, busybox: str, context: Path, tmp_path: Path) -> None:
    (context / "f").write_text("from the context")
    dockerfile = f"""FROM {busybox} AS one
RUN mkdir -p /d/s && echo x >/d/s/f && ln /d/s/f /d/hard && ln -s s /d/link && chown 7:8 /d/s && chmod 2750 /d/s
COPY f /d/
RUN rm /d/hard && echo more >>/d/f && mkdir /empty
RUN rm -r /d/s && mkdir /d/s && touch /d/s/new
FROM {busybox}
COPY --from=one /d /copied
WORKDIR /w
RUN cat /copied/f >out; rm -rf /etc/group
"""
    layout = tmp_path / "layout"
    done = build(context, dockerfile, "--no-push", f"--isolation={isolation}", f"--oci-layout-path={layout}")
    assert done.returncode == 0, done.stderr
    assert isolation in done.stderr
    _, files = read_layout(layout)
    mine = {path: (file["kind"], file.get("mode"), file["uid"]) for path, file in files.items() if path.startswith(("copied", "w"))}
    assert mine == {
        "copied": ("dir", "0o755", 0), "copied/f": ("file", "0o644", 0), "copied/link": ("link", None, 0),
        "copied/s": ("dir", "0o755", 0), "copied/s/new": ("file", "0o644", 0), "w": ("dir", "0o755", 0),
        "w/out": ("file", "0o644", 0),
    }  # fmt: skip
    assert "etc/group" not in files and "etc/passwd" in files


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that other users can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="gazami-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def python_for_others() -> tuple[str, dict[str, str]]:
    """A Python that another user can start gazami with, and its environment: this one, else the system's of the same version."""
    packages = sysconfig.get_path("purelib")
    source = str(Path(gazami_package.__file__).parent.parent)
    for python in (sys.executable, "/usr/bin/python3"):
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{source}:{packages}"}
        command = ["runuser", "-u", "nobody", "--", python, "-c", "import sys, gazami.builder.build; print(sys.version_info[:2])"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=env)
        if done.returncode == 0 and done.stdout.strip() == str(sys.version_info[:2]):
            return python, env
    pytest.skip("no Python of this version can be run by another user")


@as_root
def test_a_build_without_run_needs_no_privilege(shared_folder: Path) -> None:
    python, env = python_for_others()
    context, work = shared_folder / "context", shared_folder / "work"
    (context / "t").mkdir(parents=True)
    work.mkdir()
    (context / "t/f").write_text("x")
    os.chown(context / "t/f", 5, 6)
    subprocess.run(["setcap", "cap_net_raw+ep", str(context / "t/f")], check=True)
    pack = ["tar", "-C", str(context / "t"), "--xattrs", "--xattrs-include=*", "-cf", str(context / "a.tar"), "f"]
    subprocess.run(pack, check=True)
    (context / "Dockerfile").write_text("FROM scratch\nADD a.tar /\nCOPY t/f /c\nWORKDIR /w\n")
    os.chown(work, 65534, 65534)
    command = [
        "runuser", "-u", "nobody", "--", "setpriv", "--no-new-privs", python, "-m", "gazami",
        "build", str(context), "--no-push", f"--oci-layout-path={work / 'out'}",
        f"--state-dir={work / 'state'}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    _, files = read_layout(work / "out")
    assert (files["f"]["uid"], files["f"]["gid"]) == (5, 6)
    assert any("security.capability" in key for key in files["f"]["xattrs"])
    assert (files["c"]["uid"], files["c"]["gid"]) == (0, 0)
    assert any("security.capability" in key for key in files["c"]["xattrs"])


@as_root
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cleans_up(how: signal.Signals, busybox: str, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo begun; sleep 98{how:d}\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "gazami", "build", str(context), "--no-push", "--progress=raw", f"--state-dir={tmp_path / 'state'}"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(how)
    process.communicate(timeout=20)
    assert process.returncode == 128 + how
    assert os.listdir(tmp_path / "state") == []
    assert subprocess.run(["pgrep", "-fx", f"sleep 98{how:d}"], capture_output=True, check=False).stdout == b""
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


@as_root
def test_a_killed_build_is_cleaned_up_by_the_next(busybox: str, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN echo begun; sleep 986\n")
    state = tmp_path / "state"
    process = subprocess.Popen(
        [sys.executable, "-m", "gazami", "build", str(context), "--no-push", "--progress=raw", f"--state-dir={state}"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while subprocess.run(["pgrep", "-fx", "sleep 986"], capture_output=True, check=False).stdout and time.monotonic() < deadline:
        time.sleep(0.1)
    assert subprocess.run(["pgrep", "-fx", "sleep 986"], capture_output=True, check=False).stdout == b""
    assert len(os.listdir(state)) == 1
    assert build(context, "FROM scratch\nWORKDIR /x\n", "--no-push", f"--state-dir={state}").returncode == 0
    assert os.listdir(state) == []


@as_root
def test_a_full_state_directory_says_so(busybox: str, context: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(small)], check=True)
    try:
        done = build(context, f"FROM {busybox}\nRUN head -c 20000000 /dev/urandom >/big\n", "--no-push", f"--state-dir={small}")
        assert done.returncode == 1
        assert f"caused by: no space left: {small}" in done.stderr and "give a larger place with --state-dir" in done.stderr
        (context / "big").write_bytes(os.urandom(9_000_000))
        done = build(context, "FROM scratch\nCOPY big /\n", "--no-push", f"--state-dir={small}")
        assert done.returncode == 1
        assert "no space left" in done.stderr and "--state-dir" in done.stderr
        assert os.listdir(small) == []
    finally:
        subprocess.run(["umount", str(small)], check=False)


@as_root
def test_single_snapshot_makes_one_layer_of_a_stage(busybox: str, context: Path, tmp_path: Path) -> None:
    (context / "f").write_text("x")
    dockerfile = f"FROM {busybox}\nRUN mkdir /d && touch /d/a /d/b\nCOPY f /d/\nRUN rm /d/a /bin/vi && ln /d/b /d/c\n"
    layouts = []
    for flag in ("--single-snapshot=false", "--single-snapshot"):
        layout = tmp_path / flag.strip("-")
        assert build(context, dockerfile, "--no-push", flag, f"--oci-layout-path={layout}").returncode == 0
        layouts.append(read_layout(layout))
    assert [len(config["rootfs"]["diff_ids"]) for config, _ in layouts] == [4, 2]
    assert layouts[0][1] == layouts[1][1]


JOINED = """FROM {base} AS a
COPY f /f
COPY --link g /g
RUN mkdir /d && echo x > /d/x
COPY --link f /linked
FROM a AS b
RUN rm /d/x && echo y > /d/y
COPY g /d/g
FROM scratch
COPY --from=a / /a
COPY --from=b / /b
"""
"""Stages that are copied from and built on, whose tree and root show some, all or none of the layers at their end."""


@as_root
@pytest.mark.parametrize("isolation", ["namespaces", "userns", "userns-single", "chroot"])
def test_a_joined_stage_gives_on_what_it_has(isolation: str, busybox: str, context: Path, tmp_path: Path) -> None:
    for name in ("f", "g"):
        (context / name).write_text(name)
    found = []
    for flag in ("--single-snapshot=false", "--single-snapshot"):
        for cache in ([], ["--cache=true", "--cache-copy-layers", f"--cache-repo=oci:{tmp_path / flag}"]):
            layout = tmp_path / f"layout-{len(found)}"
            arguments = ("--no-push", flag, "--reproducible", f"--isolation={isolation}", f"--oci-layout-path={layout}", *cache)
            done = build(context, JOINED.format(base=busybox), *arguments)
            if "cannot be isolated" in done.stderr:
                pytest.skip(f"{isolation} does not work here")
            assert done.returncode == 0, done.stderr
            found.append(read_layout(layout)[1])
    assert {"a/f", "a/g", "a/linked", "a/d/x", "b/d/y", "b/d/g", "b/linked"} <= found[0].keys() and "b/d/x" not in found[0]
    assert all(files == found[0] for files in found)


@as_root
@pytest.mark.parametrize("mode", ["full", "redo", "time"])
def test_snapshot_modes_of_a_plain_root(mode: str, busybox: str, context: Path, tmp_path: Path) -> None:
    dockerfile = f"""FROM {busybox}
RUN echo abc >/f && touch -d @1000000000 /f && echo x >/g
RUN echo abd >/f && touch -d @1000000000 /f && chmod 600 /g && echo new >/h
"""
    layout = tmp_path / "layout"
    done = build(context, dockerfile, "--no-push", "--isolation=chroot", f"--snapshot-mode={mode}", f"--oci-layout-path={layout}")
    assert done.returncode == 0, done.stderr
    _, files = read_layout(layout)
    import hashlib

    changed = files["f"]["sha256"] == hashlib.sha256(b"abd\n").hexdigest()
    assert changed == (mode == "full")  # the same size and time: only ctime tells
    assert (files["g"]["mode"] == "0o600") == (mode != "time")
    assert "h" in files


@as_root
def test_memory_stays_bounded_for_a_large_layer(context: Path, tmp_path: Path) -> None:
    with (context / "big").open("wb") as big:
        for _ in range(60):
            big.write(os.urandom(10_000_000))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY big /\n")
    assert peak_of_a_build(context, tmp_path) < 200_000


@as_root
@pytest.mark.parametrize("flag", ["--single-snapshot=false", "--single-snapshot"])
def test_memory_stays_bounded_for_many_files(flag: str, busybox: str, context: Path, tmp_path: Path) -> None:
    """A tenth of the million files that 700 MB have to be enough for."""
    (context / "Dockerfile").write_text(
        f"FROM {busybox}\n"
        "RUN i=0; while [ $i -lt 100 ]; do mkdir -p /m/d$i; cd /m/d$i; seq 1000 | xargs touch; i=$((i+1)); done\n"
        "RUN touch /x\n"
    )
    assert peak_of_a_build(context, tmp_path, flag) < 110_000


def peak_of_a_build(context: Path, tmp_path: Path, *flags: str) -> int:
    """The largest resident set of its processes, in kB; files on a tmpfs are not in it."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, sys.executable, "-m", "gazami", "build", str(context), "--no-push", "-v", "error",
         f"--state-dir={tmp_path / 'state'}", *flags],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    peak = int(done.stdout.split()[-1])
    print(f"peak {peak} kB")
    return peak


@as_root
def test_an_ordinary_user_builds_in_a_user_namespace(busybox: str, shared_folder: Path) -> None:
    python, env = python_for_others()
    if not shutil.which("newuidmap"):
        pytest.skip("newuidmap is not installed")
    name = "gazamitest"
    subprocess.run(["useradd", "-m", name], check=False, capture_output=True)
    try:
        ranges = Path("/etc/subuid").read_text()
        if not any(line.startswith(f"{name}:") for line in ranges.splitlines()):
            subprocess.run(["usermod", "--add-subuids", "200000-265535", "--add-subgids", "200000-265535", name], check=True)
        context = shared_folder / "context"
        context.mkdir()
        (context / "Dockerfile").write_text(
            f"FROM {busybox}\nRUN id -u && mkdir /d && chown 33:44 /d && touch /d/f && chmod 600 /d/f\nCOPY Dockerfile /d/\n"
            f"FROM {busybox}\nCOPY --from=0 /d /e\nRUN cat /e/f && ls -ln /e\n"
        )
        home = Path(pwd.getpwnam(name).pw_dir)
        done = subprocess.run(
            ["runuser", "-u", name, "--", python, "-m", "gazami", "build", str(context), "--no-push",
             f"--state-dir={home / 'state'}", f"--oci-layout-path={home / 'out'}"],
            capture_output=True, text=True, env={**env, "HOME": str(home)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "userns" in done.stderr
        _, files = read_layout(home / "out")
        assert files["e"]["uid"] == 0 and files["e/f"]["mode"] == "0o600"
    finally:
        subprocess.run(["userdel", "-r", name], check=False, capture_output=True)


EPOCH = "FROM scratch\nCOPY f /a/\nWORKDIR /w\n"


def test_source_date_epoch_makes_the_digest_repeatable(context: Path, tmp_path: Path) -> None:
    (context / "f").write_text("x")
    digests = []
    for arguments, env in ((["--build-arg=SOURCE_DATE_EPOCH=1700000000"], {}), ([], {"SOURCE_DATE_EPOCH": "1700000000"})):
        layout = tmp_path / f"layout{len(digests)}"
        done = build(
            context, "FROM scratch\nCOPY f /a/\nWORKDIR /w\n", "--no-push", f"--oci-layout-path={layout}", *arguments, env=env
        )
        assert done.returncode == 0, done.stderr
        digests.append(json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"])
        assert read_layout(layout)[0]["created"] == "2023-11-14T22:13:20Z"
    assert digests[0] == digests[1]


@as_root
def test_limits_and_shared_memory_of_a_step(busybox: str, context: Path) -> None:
    done = build(
        context,
        f"FROM {busybox}\nRUN ulimit -n; df -k /dev/shm | tail -n 1\n",
        "--no-push",
        "--ulimit=nofile=100:200",
        "--shm-size=1m",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["100", "shm", "1024"]


@as_root
def test_mounts_of_a_step(busybox: str, context: Path, tmp_path: Path) -> None:
    (context / "f").write_text("from the context")
    (context / "hidden").write_text("x")
    (context / ".dockerignore").write_text("hidden\n")
    (tmp_path / "secret").write_text("s3cr3t")
    done = build(
        context,
        f"""FROM {busybox} AS other
RUN mkdir /src && echo data >/src/f
FROM {busybox}
RUN --mount=type=bind,target=/ctx cat /ctx/f && ls /ctx
RUN --mount=type=bind,from=other,source=/src,target=/m,rw cat /m/f && touch /m/new && ls /m
RUN --mount=type=cache,target=/cache,sharing=locked echo x >>/cache/n; wc -l </cache/n
RUN --mount=type=secret,id=k --mount=type=secret,id=k,env=KEY cat /run/secrets/k && echo key=$KEY
RUN --mount=type=secret,id=absent ls /run/secrets 2>/dev/null; true
RUN --mount=type=tmpfs,target=/t touch /t/x
RUN --network=none echo nets=$(ls /sys/class/net)
""",
        "--no-push", f"--secret=id=k,src={tmp_path / 'secret'}", f"--oci-layout-path={tmp_path / 'out'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "from the context" in done.stdout and "data" in done.stdout and "s3cr3tkey=s3cr3t" in done.stdout
    assert "hidden" not in done.stdout
    assert "nets=lo\n" in done.stdout
    assert "s3cr3t" not in done.stderr
    config, files = read_layout(tmp_path / "out")
    assert not {"ctx", "m", "cache", "t", "run", "run/secrets"} & set(files)
    assert "s3cr3t" not in json.dumps(config)
    again = build(context, f"FROM {busybox}\nRUN --mount=type=cache,target=/cache wc -l </cache/n\n", "--no-push")
    assert again.stdout.strip() == "1"


def test_a_required_secret_that_is_missing_names_the_flag(busybox: str, context: Path) -> None:
    done = build(context, f"FROM {busybox}\nRUN --mount=type=secret,id=k,required true\n", "--no-push")
    assert done.returncode == 1
    assert "--secret id=k" in done.stderr and ">>>" in done.stderr


def test_a_missing_source_names_its_neighbour_or_the_ignore_file(context: Path) -> None:
    (context / "readme.md").write_text("x")
    (context / "hidden").write_text("x")
    (context / ".dockerignore").write_text("hidden\n")
    done = build(context, "FROM scratch\nCOPY reedme.md /\n", "--no-push")
    assert done.returncode == 1
    assert '"/reedme.md": not found' in done.stderr and "did you mean readme.md?" in done.stderr and ">>>" in done.stderr
    done = build(context, "FROM scratch\nCOPY hidden /\n", "--no-push")
    assert ".dockerignore excludes it" in done.stderr


def test_a_reproducible_image_has_the_same_digest_at_another_time(busybox: str, context: Path, tmp_path: Path) -> None:
    digests = []
    for number in range(2):
        (context / "f").write_text("x")
        os.utime(context / "f", (number + 1000, number + 1000))
        done = build(
            context, f"FROM {busybox}\nWORKDIR /w\nCOPY f /f\nRUN date > /dev/null; mkdir /d; echo > /d/x\nENV A=b\n", "--no-push",
            "--reproducible", f"--oci-layout-path={tmp_path / str(number)}", f"--digest-file={tmp_path / 'digest'}",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        digests.append((tmp_path / "digest").read_text())
        time.sleep(1.1)
    assert digests[0] == digests[1]
    config, _ = read_layout(tmp_path / "0")
    assert config["created"] == "1970-01-01T00:00:00Z"
    for blob in (tmp_path / "0/blobs/sha256").iterdir():
        if blob.read_bytes()[:2] == b"\x1f\x8b" and blob.stat().st_size < 10_000:  # the new layers
            with tarfile.open(blob) as archive:
                assert {member.mtime for member in archive} == {0}


def test_the_executor_has_kanikos_lines(context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nWORKDIR /x\n")
    words = [f"--context={context}", "--no-push", f"--state-dir={context.parent / 'state'}"]
    done = subprocess.run([sys.executable, "-m", "gazami.cli.kaniko.executor", *words], capture_output=True, text=True, check=True)
    assert "INFO[0000] Building stage '0' [idx: '0', base: 'scratch', steps: 1]\nINFO[0000] [1/1] WORKDIR /x\n" in done.stderr
    assert "Building stage" not in build(context, "FROM scratch\nWORKDIR /x\n", "--no-push", "--progress=plain").stderr
