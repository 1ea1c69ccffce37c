"""What a command meets in every mode: its environment, ids, working directory, streams, and how its end is told."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from tests.integration.sandbox.bench import SLEEP, Bench, sleepers

from gazami.errors import SandboxError, UserError
from gazami.sandbox.spec import FileMount, TmpfsMount


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -SEGV $$", 139), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_code_is_the_shell_s(any_mode: Bench, script: str, code: int) -> None:
    assert any_mode.sh(script).code == code


def test_both_streams_arrive_whole(any_mode: Bench) -> None:
    outcome = any_mode.sh("echo error >&2; head -c 3000000 /dev/zero | tr '\\0' x; printf end")
    assert outcome.err == "error\n"
    assert outcome.out == "x" * 3_000_000 + "end"


def test_the_environment_is_exactly_the_given_one(any_mode: Bench) -> None:
    outcome = any_mode.run("env", env=(("PATH", "/bin"), ("EMPTY", ""), ("ODD", "a=b\nc ä")))
    assert outcome.out == "PATH=/bin\nEMPTY=\nODD=a=b\nc ä\nHOME=/root\n"
    assert any_mode.run("env", env=(("PATH", "/bin"), ("HOME", "/x"))).out == "PATH=/bin\nHOME=/x\n"


@pytest.mark.parametrize(
    ("user", "ids", "home"),
    [
        ("", "0:0:0", "/root"),
        ("nobody", "65534:65534:65534", "/home"),
        ("www-data:daemon", "33:1:1", "/var/www"),
        ("1234:5678", "1234:5678:5678", "/"),
        ("1234", "1234:0:0", "/"),
    ],
)
def test_users_and_groups(any_mode: Bench, user: str, ids: str, home: str) -> None:
    outcome = any_mode.sh("echo $(id -u):$(id -g):$(id -G) $HOME; touch /tmp/f; stat -c %u:%g /tmp/f", user=user)
    uid, gid, _ = ids.split(":")
    assert outcome.out == f"{ids} {home}\n{uid}:{gid}\n"


def test_an_unknown_user_is_the_user_s_error(any_mode: Bench) -> None:
    with pytest.raises(UserError, match="unable to find user ghost: no matching entries in passwd file"):
        any_mode.run("true", user="ghost")


def test_a_user_s_command_has_no_capabilities_and_root_s_has_docker_s(mounting: Bench) -> None:
    script = "grep -E '^(CapPrm|CapEff|CapBnd|CapInh|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2"
    assert mounting.sh(script).out.split() == ["0" * 16, *["00000000a80425fb"] * 3, "0" * 16, "0", "2"]
    assert mounting.sh(script, user="nobody").out.split() == ["0" * 16] * 3 + ["00000000a80425fb", "0" * 16, "0", "2"]


def test_the_working_directory_is_made_by_root_and_stays(any_mode: Bench) -> None:
    outcome = any_mode.sh("pwd; stat -c %U:%a .", cwd="/srv/new/dir", user="nobody")
    owner = "nobody" if any_mode.sandbox.choice.name == "userns-single" else "root"  # what stat says there
    assert outcome.out == f"/srv/new/dir\n{owner}:755\n"
    assert (outcome.changed / "srv/new/dir").is_dir()


def test_a_file_is_no_working_directory(any_mode: Bench) -> None:
    with pytest.raises(UserError, match="/etc/passwd is not a directory"):
        any_mode.run("true", cwd="/etc/passwd")


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("nonesuch",), 127, 'exec: "nonesuch": executable file not found in $PATH\n'),
        (("/none/such",), 127, 'exec: "/none/such": stat /none/such: no such file or directory\n'),
        (("/etc/passwd",), 126, 'exec: "/etc/passwd": permission denied\n'),
        (("/etc",), 126, 'exec: "/etc": permission denied\n'),
    ],
)
def test_what_cannot_be_run(any_mode: Bench, argv: tuple[str, ...], code: int, message: str) -> None:
    outcome = any_mode.run(*argv)
    assert (outcome.code, outcome.err) == (code, message)


def test_the_path_of_the_environment_is_searched_inside_the_root(any_mode: Bench) -> None:
    assert any_mode.run("busybox", "true", env=(("PATH", "/usr/bin:/bin"),)).code == 0
    assert any_mode.run("busybox", "true", env=(("PATH", "/usr/bin"),)).code == 127


def test_session_mask_descriptors_and_input(any_mode: Bench) -> None:
    outcome = any_mode.sh("umask; cat; : > /tmp/f; stat -c %a /tmp/f; trap; kill -PIPE $$; echo not reached")
    assert outcome.out == "0022\n644\n"
    assert outcome.code == 128 + 13


def test_no_descriptor_of_the_builder_is_open(mounting: Bench) -> None:
    assert mounting.sh("ls /proc/$$/fd; true").out.split() in (["0", "1", "2"], ["0", "1", "10", "2"])


def test_background_processes_are_killed(any_mode: Bench) -> None:
    outcome = any_mode.sh(f"for i in 1 2 3; do setsid {SLEEP} & done; (setsid setsid {SLEEP} &); sleep 0.1; exit 3")
    assert outcome.code == 3
    assert outcome.result.leftovers >= 4
    assert sleepers() == []


def test_a_daemon_that_holds_the_output_does_not_hold_the_build(any_mode: Bench) -> None:
    started = time.monotonic()
    assert any_mode.sh("setsid sleep 60 & echo out").out == "out\n"
    assert time.monotonic() - started < 10


def test_a_timeout_kills(any_mode: Bench) -> None:
    started = time.monotonic()
    outcome = any_mode.sh(f"trap '' TERM INT; echo on; {SLEEP} & {SLEEP}", timeout=0.5)
    assert (outcome.code, outcome.result.timed_out, outcome.out) == (137, True, "on\n")
    assert time.monotonic() - started < 5
    assert sleepers() == []


def test_commands_run_at_the_same_time(any_mode: Bench) -> None:
    codes: dict[int, int] = {}
    roots = [any_mode.root() for _ in range(4)]

    def work(number: int) -> None:
        codes[number] = any_mode.sh(f"sleep 0.4; exit {number}", root=roots[number]).code

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {number: number for number in range(4)}
    assert time.monotonic() - started < 1.5


def test_nothing_that_was_lent_is_left(any_mode: Bench) -> None:
    root = any_mode.root()
    before = _tree(root[1]) if not any_mode.overlay else {}
    options = {
        "mounts": (FileMount("/run/secrets/token", b"secret"), TmpfsMount("/scratch/space")),
        "hosts": (("10.9.8.7", "example"),),
    }
    outcome = any_mode.sh(
        "cat /run/secrets/token; stat -c ' %a %u' /run/secrets/token; grep -q 10.9.8.7 /etc/hosts && test -f /etc/resolv.conf"
        " && echo x > /scratch/space/file && echo yes",
        root=root,
        **options,
    )
    assert outcome.out == "secret 400 0\nyes\n"
    assert {"run", "run/secrets", "run/secrets/token", "scratch", "scratch/space"} <= set(outcome.result.created)
    left = _tree(root[1])
    for name in ("proc", "sys", "dev", ""):
        left.pop(name, None)
        before.pop(name, None)
    assert left == before


def test_what_the_command_put_beside_a_target_stays(any_mode: Bench) -> None:
    outcome = any_mode.sh("echo mine > /run/mine", mounts=(FileMount("/run/secrets/token", b"x"),))
    assert (outcome.changed / "run/mine").read_text() == "mine\n"
    assert not (outcome.changed / "run/secrets").exists()
    assert "run" not in outcome.result.created


def test_directory_times_are_the_image_s_own(any_mode: Bench) -> None:
    root = any_mode.root()
    os.utime(any_mode.base / "etc", ns=(10**18, 10**18))
    if not any_mode.overlay:
        os.utime(root[1] / "etc", ns=(10**18, 10**18))
    outcome = any_mode.sh("stat -c %Y /etc", root=root)
    assert outcome.out == f"{10**9}\n"
    if any_mode.overlay:
        assert not (root[1] / "etc").exists()
    else:
        assert (root[1] / "etc").stat().st_mtime_ns == 10**18


def test_a_root_without_accounts_or_anything(any_mode: Bench, tmp_path: Path) -> None:
    if not any_mode.overlay:
        pytest.skip("needs overlay")
    base = tmp_path / "bare"
    (base / "bin").mkdir(parents=True)
    (base / "bin/busybox").write_bytes((any_mode.base / "bin/busybox").read_bytes())
    (base / "bin/busybox").chmod(0o755)
    bare = Bench(any_mode.sandbox, any_mode.cancel, base, tmp_path)
    outcome = bare.run("/bin/busybox", "sh", "-c", "echo $HOME $(/bin/busybox id -u); echo hi > /file")
    assert outcome.out == "/ 0\n"
    assert outcome.files() == {"file"}


def test_an_empty_command_line_is_refused(any_mode: Bench) -> None:
    from gazami.errors import UsageError

    with pytest.raises(UsageError):
        any_mode.run()


def test_a_missing_root_is_an_error(any_mode: Bench) -> None:
    root = any_mode.root()
    root[1].rename(root[1].with_suffix(".gone"))
    with pytest.raises((SandboxError, FileNotFoundError)):
        any_mode.run("true", root=root)


def _tree(root: Path) -> dict[str, tuple[int, int, int]]:
    paths = [root, *root.rglob("*")]
    return {
        "" if path == root else str(path.relative_to(root)): (s.st_mode, s.st_size, s.st_mtime_ns)
        for path in paths
        for s in [path.lstat()]
    }
