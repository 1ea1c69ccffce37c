"""What was observed on a running BuildKit, fact by fact, so that a difference between it and buildah cannot hide one of ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance.bases import Bases
from tests.conformance.case import Case
from tests.conformance.flatten import File

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="RUN as root is what was observed")
CONTEXT = "echo f >f; echo g >g; mkdir -p d/s e/s; echo x >d/x; echo y >d/s/y; echo z >e/s/z; chmod 700 d; chmod 711 d/s"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, CONTEXT)


def modes(files: dict[str, File]) -> dict[str, str]:
    return {path: f"{file.get('mode', '')[2:]} {file['uid']}:{file['gid']}" for path, file in files.items()}


def test_a_copied_directory_is_0755_and_its_contents_keep_their_modes(case: Case) -> None:
    _, files = case.build("FROM scratch\nCOPY d /x\nCOPY e /x\n")
    assert modes(files) == {"x": "755 0:0", "x/x": "644 0:0", "x/s": "755 0:0", "x/s/y": "644 0:0", "x/s/z": "644 0:0"}


def test_chmod_and_created_parents(case: Case) -> None:
    _, files = case.build("FROM scratch\nCOPY --chmod=0711 f /a/b/f\nCOPY --chmod=go+w f /c/f\n")
    assert modes(files) == {"a": "711 0:0", "a/b": "711 0:0", "a/b/f": "711 0:0", "c": "755 0:0", "c/f": "666 0:0"}


def test_setuid_bits_of_context_files_are_kept(case: Case) -> None:
    case.sh("chmod 6755 f")
    assert case.build("FROM scratch\nCOPY f /\n")[1]["f"]["mode"] == "0o6755"


def test_chown(case: Case, bases: Bases) -> None:
    _, files = case.build(
        f"FROM {bases.busybox()}\nCOPY --chown=5 f /one\nCOPY --chown=5:6 f /a/b/g\nCOPY --chown=1:nosuch f /three\n"
        "COPY --chown=nobodyhere f /four\n"
    )
    found = modes(files)
    assert {path: found[path] for path in ("one", "a", "a/b", "a/b/g", "three", "four")} == {
        "one": "644 5:5", "a": "755 5:6", "a/b": "755 5:6", "a/b/g": "644 5:6", "three": "644 1:1", "four": "644 0:0",
    }  # fmt: skip
    assert case.run("FROM scratch\nCOPY --chown=nosuch f /\n").returncode == 1


def test_exclude_does_not_filter_a_source_that_is_a_file(case: Case) -> None:
    assert set(case.build("FROM scratch\nCOPY --exclude=f f g /\n")[1]) == {"f", "g"}


def test_wildcards_without_a_match(case: Case) -> None:
    assert set(case.build("FROM scratch\nCOPY f nomatch* /x/\n")[1]) == {"x", "x/f"}
    assert set(case.build("FROM scratch\nCOPY nomatch* /x/\n")[1]) == set()


def test_several_sources_onto_one_name(case: Case) -> None:
    _, files = case.build("FROM scratch\nCOPY f g /x\n")
    assert files["x"]["size"] == 2
    assert files["x"]["kind"] == "file"
    assert case.run("FROM scratch\nCOPY f /f\nCOPY g /f/\n").returncode == 1


def test_an_ignored_directory_with_an_exception_far_below(case: Case) -> None:
    case.sh(
        "mkdir -p a/k b/a; echo 1 >a/k/z; echo 1 >a/k/w; echo 1 >a/v; echo 1 >b/a/y"
        "; printf '%s\\n' 'a/**' '!a/k/z' d e f g >.dockerignore"
    )
    _, files = case.build("FROM scratch\nCOPY . /\n")
    assert set(files) == {".dockerignore", "a", "a/k", "a/k/z", "b", "b/a", "b/a/y"}


@as_root
def test_arg_and_env_of_one_name(case: Case, bases: Bases) -> None:
    config, files = case.build(
        f"FROM {bases.busybox()}\nENV X=env\nARG X=arg\nRUN printf %s $X >/one\nARG Y=arg\nENV Y=env\nRUN printf %s $Y >/two\n"
    )
    assert "X=env" in config["config"]["Env"] and "Y=env" in config["config"]["Env"]
    assert (files["one"]["size"], files["two"]["size"]) == (3, 3)


def test_entrypoint_and_cmd(case: Case) -> None:
    run = case.build('FROM scratch AS a\nCMD ["c"]\nFROM a\nENTRYPOINT ["e"]\n')[0]["config"]
    assert "Cmd" not in run and run["Entrypoint"] == ["e"]
    run = case.build('FROM scratch\nCMD ["c"]\nENTRYPOINT ["e"]\n')[0]["config"]
    assert run["Cmd"] == ["c"]
    run = case.build('FROM scratch\nCMD [\'a\']\nENTRYPOINT [ "a" "b"]\n')[0]["config"]
    assert run["Cmd"] == ["/bin/sh", "-c", "['a']"]
    assert run["Entrypoint"] == ["/bin/sh", "-c", '[ "a" "b"]']
    assert case.run("FROM scratch\nCMD [1]\n").returncode == 1


def test_config_and_history(case: Case) -> None:
    config, _ = case.build(
        'FROM scratch\nWORKDIR /\nWORKDIR /a/b\nONBUILD RUN x\nCMD x\nEXPOSE 80 8000-8002/udp\nVOLUME /v /w\nSHELL ["/s"]\n'
        "MAINTAINER me\nLABEL a=b\nHEALTHCHECK --start-interval=2s CMD a b\n"
    )
    run = config["config"]
    assert run["WorkingDir"] == "/a/b" and run["ArgsEscaped"] is True and run["OnBuild"] == ["RUN x"]
    assert run["Healthcheck"] == {"Test": ["CMD-SHELL", "a b"], "StartInterval": 2_000_000_000}
    assert [(entry["created_by"], entry.get("empty_layer", False)) for entry in config["history"]] == [
        ("WORKDIR /", True),
        ("WORKDIR /a/b", False),
        ('CMD ["/bin/sh" "-c" "x"]', True),
        ("EXPOSE [80/tcp 8000/udp 8001/udp 8002/udp]", True),
        ("VOLUME [/v /w]", True),
        ("SHELL [/s]", True),
        ("MAINTAINER me", True),
        ("LABEL a=b", True),
        ("HEALTHCHECK {Test:[CMD-SHELL a b] Interval:0s Timeout:0s StartPeriod:0s StartInterval:2s Retries:0}", True),
    ]
    assert all(entry["comment"] == "buildkit.dockerfile.v0" for entry in config["history"])


@as_root
def test_run_leaves_the_directories_that_it_mounts_on(case: Case, bases: Bases) -> None:
    _, files = case.build(f"FROM {bases.busybox()} AS b\nFROM scratch\nCOPY --from=b /bin /bin\nRUN true\n")
    assert {"proc", "sys", "dev"} <= set(files)
    assert not any(path.startswith(("etc", "run", "dev/", "proc/", "sys/")) for path in files)


@as_root
def test_heredoc_scripts(case: Case, bases: Bases) -> None:
    _, files = case.build(
        f"FROM {bases.busybox()}\nRUN <<EOF\n#!/bin/sh\nprintf %s $0 >/with\nEOF\nRUN <<EOF\nprintf %s $0 >/without\nEOF\n"
    )
    assert files["with"]["size"] == len("/dev/pipes/EOF")
    assert files["without"]["size"] == len("/bin/sh")


@as_root
def test_copy_from_keeps_owners(case: Case, bases: Bases) -> None:
    _, files = case.build(
        f"FROM {bases.busybox()} AS a\nRUN mkdir /o && touch /o/f && chown 7:8 /o/f && setfattr 2>/dev/null; true\n"
        "FROM scratch\nCOPY --from=a /o /o\n"
    )
    assert modes(files) == {"o": "755 0:0", "o/f": "644 7:8"}


@pytest.mark.parametrize("source", ["scratch", "image"])
def test_the_config_s_json_has_no_empty_fields(source: str, case: Case, bases: Bases) -> None:
    base = "scratch" if source == "scratch" else bases.busybox()
    config, _ = case.build(f"FROM {base}\nCMD []\nENTRYPOINT []\nENV A=\n")
    run = config["config"]
    assert "Entrypoint" not in run and not run.get("Cmd") and run["Env"][-1] == "A="


def test_stage_scopes_of_arguments(case: Case) -> None:
    config, _ = case.build(
        "ARG V=global\nFROM scratch AS a\nARG V\nENV ONE=$V\nFROM a AS b\nENV TWO=$V\nFROM scratch\nENV THREE=$V\n", "--target=b"
    )
    assert config["config"]["Env"][1:] == ["ONE=global", "TWO=global"]


def test_add_checksum_of_a_local_file_is_refused(case: Case) -> None:
    assert case.run("FROM scratch\nADD --checksum=sha256:" + "0" * 64 + " f /\n").returncode == 1
