"""Flags of a build in the words of an executor elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import Flags, parse, with_environment
from gazami.cli.flags.options import BUILD
from gazami.cli.request.build import build_request
from gazami.cli.submit.submission import Sent, check_no_credentials, check_possible, sent
from gazami.errors import UsageError

PUSH = "--destination=r.example/app:1"


def read(*words: str, **environ: str) -> Flags:
    return with_environment(parse([PUSH, *words], BUILD), BUILD, environ)


def arguments(*words: str, **environ: str) -> Sent:
    flags = read(*words, **environ)
    return sent(flags, build_request(flags, Surroundings(environ, "/", "x86_64", 0)).request)


def test_what_was_written_is_handed_on_and_reads_the_same() -> None:
    words = ["--cache", "--cache-ttl", "6h", "--target=a,b", "--label", "a=b c", "--label=d=e", "--registry-mirror=m.example",
             "--cache=false", "--annotation=k=v"]  # fmt: skip
    there = parse(list(arguments(*words).arguments), BUILD)
    here = parse([PUSH, *words], BUILD)
    given = [option for option in BUILD if here.given(option)]
    assert len(given) == 7 and all(there[option] == here[option] for option in given)


def test_variables_count_as_flags() -> None:
    found = arguments(KANIKO_REGISTRY_MIRROR="m.example", GAZAMI_STATE_DIR="/here")
    assert "--registry-mirror=m.example" in found.arguments
    assert not [word for word in found.arguments if "state-dir" in word]


def test_a_build_argument_takes_its_value_along() -> None:
    found = arguments("--build-arg=V", "--build-arg=W=1", "--build-arg=MISSING", V="2", SOURCE_DATE_EPOCH="0")
    assert [word for word in found.arguments if word.startswith("--build-arg")] == [
        "--build-arg=V=2",
        "--build-arg=W=1",
        "--build-arg=SOURCE_DATE_EPOCH=0",
    ]


def test_secrets_and_certificates_are_files(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"\xff1")
    (tmp_path / "ca.pem").write_text("ca")
    pem, other = tmp_path / "ca.pem", tmp_path / "s"
    found = arguments(f"--secret=id=a,src={other}", "--secret=id=b,env=B", f"--registry-certificate=r={pem}",
                      f"--registry-client-cert=r={pem},{other}", B="hidden")  # fmt: skip
    assert found.files == {"secret-0": b"\xff1", "secret-1": b"hidden", "authority-0.pem": b"ca", "client-0.crt": b"ca",
                           "client-0.key": b"\xff1"}  # fmt: skip
    assert "--secret=id=b,src=/kaniko/input/secret-1" in found.arguments
    assert "--registry-client-cert=r=/kaniko/input/client-0.crt,/kaniko/input/client-0.key" in found.arguments
    assert "hidden" not in " ".join(found.arguments) and str(tmp_path) not in " ".join(found.arguments)


def test_what_is_written_here_is_not_handed_on() -> None:
    found = arguments("--digest-file=d", "--metadata-file=m", "--iidfile=i", "--log-format=json", "-v=debug", "--progress=plain")
    assert found.arguments == (PUSH,)


@pytest.mark.parametrize(
    ("word", "part"),
    [
        ("--tar-path=x.tar", "gazami pull"),
        ("--report=x", "log-format=json"),
        ("--oci-layout-path=x", "gazami pull"),
        ("--output=type=local,dest=x", "gazami pull"),
        ("--ssh=default", "secret"),
        ("--dryrun", "gazami build --dryrun"),
        ("--cache-repo=oci:here", "repository"),
        ("--cache-from=type=local,src=here", "repository"),
        ("--build-context=a=../lib", "Git repository"),
    ],
)
def test_what_a_job_cannot_do_is_refused_with_another_way(word: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_possible(read(word))
    assert part in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("git://git.example/a.git#refs/heads/main", True), ("ssh://git@git.example/a.git", True), ("git@git.example:a.git", True),
        (".", True), ("https://h.example/a.tgz?x=1", True), ("git://t0k3n@git.example/a.git", False),
        ("https://u:p4ss@h.example/a.tgz", False), ("https://a.blob.core.windows.net/c/a.tgz?sv=1&sig=t0k3n", False),
        ("https://s3.example/a?X-Amz-Signature=t0k3n", False),
    ],
)  # fmt: skip
def test_a_url_with_credentials_is_not_for_a_job(url: str, good: bool) -> None:
    if good:
        check_no_credentials("--context", url)
        return
    with pytest.raises(UsageError) as caught:
        check_no_credentials("--context", url)
    assert "t0k3n" not in str(caught.value) and "p4ss" not in str(caught.value)


def test_what_looks_the_same_and_works_is_not_refused() -> None:
    check_possible(
        read("--build-context=a=docker-image://r.example/a", "--dryrun=false", "--cache-to=type=registry,ref=r.example/c")
    )
