"""Rules of the Dockerfile reference and of BuildKit's frontend that no builder here can be asked about: history texts,
``--parents``, ``--exclude``, ``--link``, and where BuildKit parts from buildah."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conformance.bases import Bases
from tests.conformance.case import Case
from tests.conformance.flatten import link_groups

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="RUN as root is what is described")
CONTEXT = "mkdir -p d/s; echo a >a.txt; echo b >b.log; echo c >d/c.txt; echo d >d/s/d.txt; echo e >d/s/e.log; chmod 711 d/s"


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path, CONTEXT)


# -- history ----------------------------------------------------------------------------------------------------------


def test_history_of_copies(case: Case) -> None:
    assert case.history(
        "FROM scratch AS one\nCOPY a.txt /\nFROM scratch\nARG U=3\n"
        "COPY --link --chown=$U:4 --chmod=0640 --exclude=x a.txt ./b.log /x/\nCOPY --from=one a.txt /y\n"
        'COPY ["a.txt", "/z z"]\nADD --checksum= d /w\nCOPY --parents d/c.txt /p/\nCOPY <<one <<-"two" a.txt /h/\n1\none\n2\ntwo\n'
    ) == [
        "ARG U=3",
        "- COPY --chown=3:4 --chmod=0640 a.txt ./b.log /x/ # buildkit",
        "- COPY a.txt /y # buildkit",
        "- COPY a.txt /z z # buildkit",
        "- ADD d /w # buildkit",
        "- COPY --parents d/c.txt /p/ # buildkit",
        "- COPY a.txt <<one <<two /h/ # buildkit",
    ]


def test_history_of_metadata(case: Case) -> None:
    assert case.history(
        'FROM scratch\nENV A=1 B="x y"\nENV C d  e\nLABEL $A=$B\nCMD ["a", "b\\"c"]\nENTRYPOINT x\nCMD []\nUSER 5:6\n'
        "STOPSIGNAL SIGTERM\nHEALTHCHECK NONE\nWORKDIR x/../y\nWORKDIR /z/\nARG N\nARG M=m\nEXPOSE 90 80/TCP\n"
    ) == [
        "ENV A=1 B=x y",
        "ENV C=d  e",
        "LABEL 1=x y",
        'CMD ["a" "b\\"c"]',
        'ENTRYPOINT ["/bin/sh" "-c" "x"]',
        "CMD []",
        "USER 5:6",
        "STOPSIGNAL SIGTERM",
        "HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}",
        "- WORKDIR /y",
        "- WORKDIR /z/",
        "ARG N",
        "ARG M=m",
        "EXPOSE [80/tcp 90/tcp]",
    ]


@as_root
def test_history_of_runs_lists_the_arguments_but_no_proxies(case: Case, bases: Bases) -> None:
    found = case.history(
        f'FROM {bases.busybox()}\nARG A=1\nARG B\nRUN true\nARG A=2\nRUN ["true", "x y"]\nRUN <<EOF\ntrue\nEOF\n',
        "--build-arg=HTTP_PROXY=http://127.0.0.1:9",
    )
    assert [each for each in found if "RUN" in each] == [
        "- RUN |2 A=1 B= /bin/sh -c true # buildkit",
        "- RUN |2 A=2 B= true x y # buildkit",
        "- RUN |2 A=2 B= /bin/sh -c true\n # buildkit",
    ]


@as_root
def test_history_of_runs_shows_what_the_command_sees(case: Case, bases: Bases) -> None:
    config, files = case.build(
        f"FROM {bases.busybox()}\nENV B=base\nARG A=1\nARG B\nARG BUILDKIT_SBOM_SCAN_STAGE=true\nENV A=2\n"
        "RUN printf $A$BUILDKIT_SBOM_SCAN_STAGE >/f\n"
    )
    assert config["history"][-1]["created_by"].startswith("RUN |3 A=2 B=base BUILDKIT_SBOM_SCAN_STAGE=true /bin/sh")
    assert files["f"]["size"] == 1


@as_root
def test_proxies_are_matched_in_any_case(case: Case, bases: Bases) -> None:
    done = case.run(f"FROM {bases.busybox()}\nRUN [ $no_proxy$NO_PROXY = xx ]\n", "--build-arg=No_Proxy=x")
    assert done.returncode == 0, done.stderr
    assert "not used" not in done.stderr


@as_root
def test_a_declared_proxy_is_an_argument_like_others(case: Case, bases: Bases) -> None:
    config, files = case.build(
        f"FROM {bases.busybox()}\nARG HTTP_PROXY\nRUN env | grep -i _proxy | sort >/f\n", "--build-arg=HTTP_PROXY=http://p"
    )
    assert config["history"][-1]["created_by"].startswith("RUN |1 HTTP_PROXY=http://p /bin/sh")
    assert files["f"]["size"] == len("HTTP_PROXY=http://p\nhttp_proxy=http://p\n")
    assert not any("proxy" in each.lower() for each in config["config"]["Env"])


# -- COPY flags -------------------------------------------------------------------------------------------------------


def test_parents(case: Case) -> None:
    files = case.build("FROM scratch\nCOPY --parents d/s/d.txt a.txt /x/\n")[1]
    assert set(files) == {"x", "x/d", "x/d/s", "x/d/s/d.txt", "x/a.txt"}
    assert files["x/d/s"]["mode"] == "0o711"
    assert files["x/d"]["mode"] == "0o755"


def test_parents_with_a_pivot(case: Case) -> None:
    assert case.files("FROM scratch\nCOPY --parents d/./s/d.txt ./d/./c.txt /x/\n") == {
        "x", "x/s", "x/s/d.txt", "x/c.txt",
    }  # fmt: skip


def test_parents_with_wildcards(case: Case) -> None:
    assert case.files("FROM scratch\nCOPY --parents **/*.log /x/\n") == {"x", "x/b.log", "x/d", "x/d/s", "x/d/s/e.log"}
    assert case.files("FROM scratch\nCOPY --parents d/*/d* /x/\n") == {"x", "x/d", "x/d/s", "x/d/s/d.txt"}
    assert case.files("FROM scratch\nCOPY --parents d/s /x/\n") == {
        "x", "x/d", "x/d/s", "x/d/s/d.txt", "x/d/s/e.log",
    }  # fmt: skip
    assert case.files("FROM scratch\nCOPY --parents no*/x /x/\n") == {"x"}
    assert case.run("FROM scratch\nCOPY --parents no/x /x/\n").returncode == 1


def test_parents_from_a_stage_keep_owners(case: Case) -> None:
    files = case.build("FROM scratch AS one\nCOPY --chown=7:8 d /d\nFROM scratch\nCOPY --from=one --parents /d/s/d.txt /x/\n")[1]
    assert {path: file["uid"] for path, file in files.items()} == {"x": 0, "x/d": 7, "x/d/s": 7, "x/d/s/d.txt": 7}


@pytest.mark.parametrize(
    ("flags", "left"),
    [
        ("--exclude=*.txt", {"s", "s/d.txt", "s/e.log"}),
        ("--exclude=**/*.txt", {"s", "s/e.log"}),
        ("--exclude=s", {"c.txt"}),
        ("--exclude=s/*.log --exclude=c*", {"s", "s/d.txt"}),
        ("--exclude=s --exclude=!s/d.txt", {"c.txt", "s", "s/d.txt"}),
        ("--exclude=d/c.txt", {"c.txt", "s", "s/d.txt", "s/e.log"}),
        ("--exclude=$NOPE", {"c.txt", "s", "s/d.txt", "s/e.log"}),
    ],
)
def test_exclude_is_relative_to_the_copied_directory(flags: str, left: set[str], case: Case) -> None:
    assert case.files(f"FROM scratch\nCOPY {flags} d /x\n") == {"x", *(f"x/{name}" for name in left)}


def test_link_does_not_follow_the_links_of_the_image(case: Case) -> None:
    case.sh("mkdir -p l/real; ln -s real l/link")
    files = case.build("FROM scratch\nCOPY l /\nCOPY --link a.txt /link/\n")[1]
    assert files["link"]["kind"] == "dir"
    assert "link/a.txt" in files and "real/a.txt" not in files
    files = case.build("FROM scratch\nCOPY l /\nCOPY --link --chmod=600 a.txt /link/\n")[1]
    assert files["link"]["kind"] == "link"
    assert files["real/a.txt"]["mode"] == "0o600"


@pytest.mark.parametrize(
    ("mode", "before", "after"),
    [
        ("u=rwX,go=rX", 0o600, 0o644),
        ("a+X", 0o640, 0o640),
        ("a+X", 0o740, 0o751),
        ("g=u,o-rwx", 0o644, 0o660),
        ("+x", 0o644, 0o755),
        ("a-w,u+s", 0o755, 0o4555),
        ("g+s,+t", 0o755, 0o3755),
        ("u+w,g-r+x", 0o444, 0o614),
        ("0", 0o755, 0),
        ("07777", 0o644, 0o7777),
    ],
)
def test_modes(mode: str, before: int, after: int, case: Case) -> None:
    (case.context / "a.txt").chmod(before)
    assert case.build(f"FROM scratch\nCOPY --chmod={mode} a.txt /\n")[1]["a.txt"]["mode"] == oct(after)


@pytest.mark.parametrize("mode", ["8", "10000", "u~x", "x", "u+y", "755,"])
def test_modes_that_are_none(mode: str, case: Case) -> None:
    assert case.run(f"FROM scratch\nCOPY --chmod={mode} a.txt /\n").returncode == 1


def test_hard_links_within_a_source_and_not_between_two(case: Case) -> None:
    case.sh("ln d/c.txt d/s/again; ln d/c.txt top")
    files = case.build("FROM scratch\nCOPY d top /x/\n")[1]
    assert link_groups(files) == {frozenset({"x/c.txt", "x/s/again"})}


def test_dots_in_sources_are_words_only(case: Case) -> None:
    case.sh("mkdir real; ln -s real/below link; mkdir real/below")
    assert case.files("FROM scratch\nCOPY d*/../*.txt link/../b.* ../../d/*/../c.* /x/\n") == {
        "x", "x/a.txt", "x/b.log", "x/c.txt",
    }  # fmt: skip


def test_what_stands_in_the_way(case: Case) -> None:
    case.sh("mkdir -p over/d; echo >over/d/s; mkdir dir2; mkdir dir2/a.txt")
    assert case.run("FROM scratch\nCOPY d /d\nCOPY over /\n").returncode == 1
    assert case.run("FROM scratch\nCOPY dir2 /\nCOPY a.txt /\n").returncode == 1
    assert case.run("FROM scratch\nCOPY a.txt /f\nCOPY d /f\n").returncode == 1
    assert case.run("FROM scratch\nCOPY a.txt /f\nCOPY b.log /f/g\n").returncode == 1
    assert case.run("FROM scratch\nCOPY nothing /f\n").returncode == 1


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "ENV A=${}", "ENV A=${X", "ENV A=${X:=w}", "ENV A=${X:x}", "ENV A=${X:#p}", "ENV A='x", 'ENV A="x',
        "ENV A=${X:?no}",
        "ENV A", "LABEL a b=c d=e\nLABEL x=y z", "EXPOSE 70000", "EXPOSE 9-8", "EXPOSE x", "STOPSIGNAL NOPE",
        "STOPSIGNAL 0",
        "CMD [1]", "COPY [null, \"x\"] /", "SHELL sh -c", "SHELL []", "VOLUME []", "VOLUME [\"\"]", "WORKDIR $NOPE",
        "USER",
        "COPY a.txt", "COPY --from=$X a /", "COPY --nope a.txt /", "COPY --chown a.txt /", "COPY --link= a.txt /",
        "COPY --chown=1 --chown=2 a.txt /", "RUN --mount=type=nope,target=/x true", "RUN --mount=type=bind true",
        "RUN --mount=type=bind,target=/ true", "RUN --mount=type=cache,target=/x,sharing=no true",
        "RUN --network=no true",
        "RUN --mount=type=bind,from=$X,target=/x true", "RUN --mount=target=/x,mode=0755 true", "ONBUILD FROM x",
        "ONBUILD ONBUILD RUN x", "ONBUILD MAINTAINER x", "HEALTHCHECK", "HEALTHCHECK X", "HEALTHCHECK NONE x",
        "HEALTHCHECK CMD",
        "HEALTHCHECK --interval=1us CMD x", "HEALTHCHECK --retries=-1 CMD x", "ARG =x", "ARG", "NOPE x", "RUN <<EOF\nx",
        "COPY a.txt <<EOF\nEOF", "FROM a b", "FROM scratch AS 1x", "FROM scratch AS a/b", "ADD --parents a.txt /",
        "ADD --from=x a /",
    ],
)  # fmt: skip
def test_what_is_refused(line: str, case: Case) -> None:
    done = case.run(f"FROM scratch\n{line}\n")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_where_variables_are_not_expanded(case: Case) -> None:
    run = case.build(
        'FROM scratch\nENV A=a\nCMD $A\nENTRYPOINT ["$A"]\nSHELL ["$A"]\nHEALTHCHECK CMD $A\nONBUILD RUN $A\nMAINTAINER $A\n'
    )[0]
    assert run["author"] == "$A"
    run = run["config"]
    assert (run["Cmd"], run["Entrypoint"], run["Shell"]) == (["/bin/sh", "-c", "$A"], ["$A"], ["$A"])
    assert (run["Healthcheck"]["Test"], run["OnBuild"]) == (["CMD-SHELL", "$A"], ["RUN $A"])


def test_scope_of_predefined_arguments(case: Case) -> None:
    config, _ = case.build(
        "ARG TARGETOS=mine\nFROM --platform=$BUILDPLATFORM scratch AS last\nARG TARGETARCH\nARG TARGETSTAGE\nARG TARGETOS\n"
        "ENV A=$TARGETARCH B=$TARGETSTAGE C=[$TARGETVARIANT] D=$TARGETOS\n",
        "--custom-platform=linux/arm64",
    )
    assert config["architecture"] == "arm64"
    assert config["config"]["Env"][1:] == ["A=arm64", "B=last", "C=[]", "D=mine"]


@as_root
def test_workdir_belongs_to_the_user_as_chown_would_say(case: Case, bases: Bases) -> None:
    files = case.build(
        f"FROM {bases.busybox()}\nUSER 5\nWORKDIR /one\nUSER daemon:9\nWORKDIR /two/x\nUSER www-data\nWORKDIR /one/three\n"
    )[1]
    owners = {path: (files[path]["uid"], files[path]["gid"]) for path in ("one", "two", "two/x", "one/three")}
    assert owners == {"one": (5, 5), "two": (1, 9), "two/x": (1, 9), "one/three": (33, 33)}
