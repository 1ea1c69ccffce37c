"""What a build lacks is found before anything runs, all at once, by ``build``, ``--dryrun``, ``--check`` and ``lint``.

The control: what only other stages need, what may be made meanwhile or match nothing, is no error.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tests.programs import gazami

STATE = {"GAZAMI_STATE_DIR": "../state"}
WAYS = {
    "build": ("build", ".", "--no-push"),
    "dryrun": ("build", ".", "--no-push", "--dryrun"),
    "check": ("build", ".", "--no-push", "--check"),
    "lint": ("lint", "--error=false"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "context"
    (folder / "dir/sub").mkdir(parents=True)
    (folder / "file.txt").write_text("x")
    (folder / "hidden").write_text("x")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "dir/sub/f").write_text("x")
    (folder / ".dockerignore").write_text("hidden\n")
    monkeypatch.chdir(folder)
    return folder


def tried(way: str, dockerfile: str, *flags: str) -> tuple[int, str]:
    Path("Dockerfile").write_text(dockerfile)
    done = gazami(*WAYS[way], *(flags if way != "lint" else ()), env=STATE)
    return done.returncode, done.stdout + done.stderr


LACKING = [
    ("COPY fil.txt /x", '"/fil.txt": not found', "did you mean file.txt?"),
    ("COPY hidden /x", '"/hidden": not found', ".dockerignore excludes it"),
    ("COPY dangling /x", '"/dangling": not found', "symlink"),
    ("COPY ../outside /x", '"/outside": not found', "cannot leave the build context"),
    ("ARG N=nope\nCOPY $N /x", '"/nope": not found', ""),
    ("COPY file.txt dir nope /x/", '"/nope": not found', ""),
    ("COPY --parents dir/./sub/nope /x/", '"/dir/sub/nope": not found', ""),
    ('ADD ["with blank", "/x"]', '"/with blank": not found', ""),
    ("COPY <<A nope /x/\n1\nA", '"/nope": not found', ""),
    ("COPY --link nope /x", '"/nope": not found', ""),
    ("RUN --mount=source=nope,target=/m true", '"/nope": not found', ""),
    ("RUN --mount=type=bind,target=/m,source=hidden true", '"/hidden": not found', ".dockerignore"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("instruction, message, hint", LACKING)
def test_a_missing_file_is_an_error(way: str, instruction: str, message: str, hint: str) -> None:
    status, text = tried(way, f"FROM scratch\nENV A=1\n{instruction}\n")
    assert status == 1
    assert message in text
    assert hint in text


@pytest.mark.parametrize("way", WAYS)
def test_all_is_told_at_once_with_its_lines(way: str) -> None:
    dockerfile = "FROM scratch AS one\nCOPY nope1 /\nFROM scratch\nCOPY --from=one / /\nADD nope2 /\nCOPY nope3 /\n"
    status, text = tried(way, dockerfile)
    assert status == 1
    for line, name in ((2, "nope1"), (5, "nope2"), (6, "nope3")):
        assert f'"/{name}": not found' in text
        assert f"Dockerfile:{line}\n" in text


@pytest.mark.parametrize(
    "instruction",
    [
        "COPY *.none /x/",
        "COPY no?e /x/",
        "COPY file.tx[a-t] /x/",
        "ADD https://localhost:1/nope /x",
        "COPY --from=other /nope /x",
        "COPY <<nope /x\nnope",
        "COPY . /",
        "COPY / /",
        "COPY ./dir/../file.txt /",
        "COPY --parents **/nope /x/",
        "RUN --mount=type=cache,target=/c true",
        "RUN --mount=type=bind,target=/m true",
    ],
)
def test_what_may_be_there_is_no_error(instruction: str) -> None:
    status, text = tried("lint", f"FROM scratch AS other\nFROM scratch\n{instruction}\n")
    assert (status, "not found" in text) == (0, False), text


def test_a_variable_that_the_base_may_define_is_no_error_in_lint() -> None:
    assert tried("lint", "FROM some/base:1\nCOPY $WHO/nope /x\n")[0] == 0
    assert tried("lint", "FROM some/base:1\nARG WHO=me\nCOPY $WHO/nope /x\n")[0] == 1


def test_what_only_an_unneeded_stage_lacks_is_a_warning_in_lint() -> None:
    dockerfile = "FROM scratch AS unused\nCOPY nope /\nFROM scratch\nCOPY file.txt /\n"
    assert tried("build", dockerfile)[0] == 0
    assert tried("dryrun", dockerfile)[0] == 0
    status, text = tried("lint", dockerfile)
    assert status == 0
    assert "WARNING: InputMissing" in text
    status, text = tried("lint", "# check=skip=InputMissing\n" + dockerfile)
    assert "InputMissing" not in text
    assert tried("build", dockerfile, "--target=unused")[0] == 1


@pytest.mark.parametrize("way", WAYS)
def test_triggers_of_a_stage_are_looked_into(way: str) -> None:
    status, text = tried(way, "FROM scratch AS one\nONBUILD COPY nope /\nFROM one\n")
    assert (status, '"/nope": not found' in text) == (1, True)


def test_a_further_context_that_is_a_folder_is_looked_into(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/there").write_text("x")
    flag = f"--build-context=more={tmp_path / 'more'}"
    for way in ("build", "dryrun", "check"):
        assert tried(way, "FROM scratch\nCOPY --from=more there /\n", flag)[0] == 0
        status, text = tried(way, "FROM scratch\nCOPY --from=more nope /\n", flag)
        assert (status, '"/nope": not found' in text) == (1, True)


@pytest.mark.parametrize("way", ["build", "dryrun", "check"])
def test_required_secrets_and_agents(way: str) -> None:
    run = "RUN --mount=type=secret,id=token,required=true --mount=type=ssh,id=key,required=true true"
    status, text = tried(way, f"FROM scratch\n{run}\n", "--secret=id=tokens,src=file.txt")
    assert status == 1
    assert "the secret token is required" in text
    assert "one was given as tokens" in text
    assert "the ssh agent key is required" in text
    status, text = tried(way, "FROM scratch\nRUN --mount=type=ssh true\n", "--ssh=default=/no/socket")
    assert (status, "has no socket at /no/socket" in text) == (1, True)
    given = ("--secret=id=token,src=file.txt", f"--ssh=key={Path('file.txt').absolute()}")
    if way != "build":
        assert tried(way, f"FROM scratch\n{run}\n", *given)[0] == 0
        assert tried(way, "FROM scratch\nRUN --mount=type=secret,id=token true\n")[0] == 0  # optional


def test_lint_knows_no_secrets() -> None:
    assert tried("lint", "FROM scratch\nRUN --mount=type=secret,id=token,required=true true\n")[0] == 0


@pytest.mark.parametrize(
    "flag",
    ["--tar-path=", "--digest-file=", "--iidfile=", "--metadata-file=", "--oci-layout-path=", "--output=type=local,dest=",
     "--output=type=tar,dest=", "--output=type=oci,dest="],
)  # fmt: skip
@pytest.mark.parametrize("place", ["/proc/nope", "/proc/deep/nope", "file.txt/x"])
def test_an_output_that_cannot_be_written_is_found_first(flag: str, place: str, tmp_path: Path) -> None:
    status, text = tried("build", "FROM scratch\nCOPY nope /\n", flag + place)
    assert status == 1
    assert "cannot write" in text
    assert '"/nope": not found' in text  # with everything else


def test_trying_outputs_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    os.mkfifo(tmp_path / "pipe")  # not opened: nobody reads it yet
    Path("Dockerfile").write_text("FROM scratch\nCOPY nope /\n")
    before = os.stat(folder).st_mtime_ns, sorted(os.listdir(tmp_path))
    done = gazami(
        "build", ".", "--no-push", f"--tar-path={folder / 'a.tar'}", f"--iidfile={tmp_path / 'new/deep/id'}",
        f"--digest-file={tmp_path / 'old'}", f"--metadata-file={tmp_path / 'pipe'}", env=STATE,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write" not in done.stderr
    after = sorted(name for name in os.listdir(tmp_path) if name != "state")
    assert (os.stat(folder).st_mtime_ns, after) == before
    assert (tmp_path / "old").read_text() == "old"


def test_json_has_every_error() -> None:
    Path("Dockerfile").write_text("FROM scratch\nCOPY nope1 /\nCOPY nope2 /\n")
    done = gazami("build", ".", "--no-push", "--log-format=json", env=STATE)
    last = json.loads(done.stderr.splitlines()[-1] if done.stderr.strip() else done.stdout.splitlines()[-1])
    assert [(each["line"], each["message"]) for each in last["errors"]] == [(2, '"/nope1": not found'), (3, '"/nope2": not found')]
