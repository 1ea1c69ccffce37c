"""Flags and surroundings → request: what is checked, what is taken from where."""

from __future__ import annotations

import pytest

from gazami.builder.request import BuildRequest, FileExport
from gazami.cli.environ import Surroundings
from gazami.cli.flags.argv import parse, with_environment
from gazami.cli.flags.options import BUILD
from gazami.cli.request.build import Wanted, build_request
from gazami.cli.request.registry import proxies
from gazami.cli.request.sandbox import state_dir
from gazami.errors import UsageError
from gazami.image.platform import Platform


def wanted(*argv: str, home: str = "", **environ: str) -> Wanted:
    parsed = with_environment(parse(list(argv), BUILD), BUILD, environ)
    return build_request(parsed, Surroundings(environ, cwd="/src", machine="x86_64", uid=7, home=home))


def request(*argv: str, **environ: str) -> BuildRequest:
    return wanted("--no-push", *argv, **environ).request


def test_where_a_failed_step_goes() -> None:
    assert request("--on-failure=tar:x/y.tar").sandbox.failed == FileExport("tar", "/src/x/y.tar")
    made = request("--on-failure=dir:/f").sandbox
    assert made.failed == FileExport("local", "/f")
    assert request().sandbox.failed is None


def test_a_whole_command_line() -> None:
    made = wanted(
        ".", "-t", "registry.example.com/app:1", "-f", "x.Dockerfile", "--build-arg", "A=1", "--build-arg=B",
        "--label=k=v=w", "--platform=linux/arm64", "--compression=zstd", "--image-format=oci", "--add-host=db:10.0.0.7",
        "--timeout=10m",
        "--insecure-registry=r:5000", "--registry-client-cert=r=/c.pem,/k.pem", "--ignore-path=/x", "--isolation=userns",
        B="two",
    ).request  # fmt: skip
    assert made.context.context == "/src" and made.context.dockerfile == "x.Dockerfile" and made.context.ignore_paths == ("/x",)
    assert made.plan.build_args == (("A", "1"), ("B", "two")) and made.plan.labels == (("k", "v=w"),)
    assert made.plan.host == Platform("linux", "amd64") and made.plan.platform == Platform("linux", "arm64")
    assert made.output.destinations == ("registry.example.com/app:1",) and made.output.push
    assert (made.output.format.compression, made.output.format.media, made.output.format.level) == ("zstd", "oci", None)
    assert made.sandbox.add_hosts == (("10.0.0.7", "db"),) and made.sandbox.limits.timeout == 600.0
    assert made.sandbox.isolation == "userns" and made.registry.trust.insecure_registries == ("r:5000",)
    assert made.registry.trust.client_certificates == (("r", "/c.pem", "/k.pem"),)


@pytest.mark.parametrize(
    "argv, message",
    [
        ((), "you must provide --destination, or use --no-push"),
        (("-d", "app@sha256:" + "0" * 64), "by tag, not by digest"),
        (("-d", "UPPER/Case//x"), "invalid reference"),
        (("--no-push", "--compression=zstd", "--image-format=docker"), "--compression=zstd cannot be used"),
        (("--no-push", "--on-failure=keep"), "--on-failure=keep is not tar:FILE, dir:FOLDER or shell"),
        (("--no-push", "--on-failure=tar:"), "--on-failure=tar: is not tar:FILE, dir:FOLDER or shell"),
        (("--no-push", "--on-failure=tar:-"), "--on-failure=tar:- is not tar:FILE, dir:FOLDER or shell"),
        (("--no-push", "--tar-path=x", "--image-format=oci"), "--tar-path cannot be used with --image-format=oci"),
        (("--no-push", "--tar-path=x", "--compression=zstd"), "--tar-path cannot be used with --compression=zstd"),
        (("--no-push", "--image-name-with-digest-file=x"), "if setting --image-name-with-digest-file"),
        (("--no-push", "--image-name-tag-with-digest-file=x"), "if setting --image-name-tag-with-digest-file"),
        (("--no-push", "--cache"), "specify cache repo with --cache-repo"),
        (("--no-push", "--label=x"), "labels must be of the form key=value"),
        (("--no-push", "--custom-platform=linux/"), "--custom-platform"),
        (("--no-push", "--build-arg==x"), "--build-arg"),
        (("--no-push", "--registry-client-cert=h=a"), "--registry-client-cert"),
        (("--no-push", "--add-host=db"), "--add-host"),
        (("--no-push", "--add-host=:1.2.3.4"), "no host name"),
        (("--no-push", "--secret=id=x,env=NOT_THERE"), "no variable NOT_THERE"),
        (("--no-push", "a", "b"), "only one context"),
        (("--no-push", "a", "--context=b"), "given twice"),
    ],
)
def test_checks(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        wanted(*argv)
    assert message in caught.value.message


def test_relative_paths_are_absolute_in_the_request() -> None:
    made = wanted(
        "app", "--build-context=a=./x", "--build-context=b=oci-layout://l:tag", "--build-context=c=docker-image://x/y",
        "--secret=id=s,src=s.txt", "--ssh=default=./agent", "--tar-path=o.tar", "--oci-layout-path=./l", "--digest-file=d",
        "--iidfile=i", "--metadata-file=m", "--output=type=local,dest=out", "--output=type=tar", "--cache-dir=c",
        "--cache-to=type=local,dest=k", "--cache-from=type=local,src=../k", "--cache-from=registry.example.com/x",
        "--state-dir=st", "--registry-certificate=r=ca.pem", "--registry-client-cert=r=c.pem,k.pem", "--no-push",
        BUILDER_OUTPUT="b",
    ).request  # fmt: skip
    assert made.context.context == "/src/app"
    assert made.context.named == (("a", "/src/x"), ("b", "oci-layout:///src/l:tag"), ("c", "docker-image://x/y"))
    assert made.sandbox.secrets == (("s", "file", "/src/s.txt"),) and made.sandbox.ssh == (("default", "/src/agent"),)
    output = made.output
    assert (output.tar_paths, output.oci_layout_paths) == (("/src/o.tar",), ("/src/l",))
    assert (output.files.digest, output.files.image_id, output.files.metadata) == ("/src/d", "/src/i", "/src/m")
    assert [export.dest for export in output.exports] == ["/src/out", "-"] and output.files.builder_output == "/src/b"
    assert made.cache.sources == ("oci:/src/../k", "registry.example.com/x") and made.cache.repository == "oci:/src/k"
    assert made.cache.directory == "/src/c" and made.sandbox.state_dir == "/src/st"
    assert made.registry.trust.certificates == (("r", "/src/ca.pem"),)
    assert made.registry.trust.client_certificates == (("r", "/src/c.pem", "/src/k.pem"),)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (".", "/src"), ("./app/", "/src/app"), ("dir://app", "dir:///src/app"), ("tar://a.tgz", "tar:///src/a.tgz"),
        ("/abs", "/abs"), ("tar://stdin", "tar://stdin"), ("-", "-"), ("git://h/r", "git://h/r"), ("s3://b/k", "s3://b/k"),
        ("https://h/a.tgz", "https://h/a.tgz"), ("git@h:r.git", "git@h:r.git"), ("../up", "/src/../up"),
    ],
)  # fmt: skip
def test_a_context_that_is_a_path_is_absolute(written: str, expected: str) -> None:
    assert request(written).context.context == expected


def test_no_push_alone_is_enough() -> None:
    assert wanted("--no-push", "--tar-path=x.tar").request.output.push is False


def test_secrets_without_a_type_look_at_the_environment_first() -> None:
    assert request("--secret=id=TOKEN", TOKEN="s").sandbox.secrets == (("TOKEN", "env", "s"),)
    assert request("--secret=id=TOKEN").sandbox.secrets == (("TOKEN", "file", "/src/TOKEN"),)
    assert request("--secret=id=t,env=E", E="").sandbox.secrets == (("t", "env", ""),)


def test_a_build_arg_that_is_nowhere_is_left_out_and_told() -> None:
    made = wanted("--no-push", "--build-arg=A")
    assert made.request.plan.build_args == ()
    assert [message.level for message in made.messages] == ["warning"]


def test_the_old_bucket_flag() -> None:
    assert request("--bucket=b").context.context == "/workspace/"
    assert request("--bucket=b", "--context=").context.context == "gs://b"
    assert request("-b", "s3://b/c.tar.gz", "--context=gs://x").context.context == "s3://b/c.tar.gz"


def test_flags_without_effect_are_told_only_when_they_would_change_something() -> None:
    texts = [(m.level, m.text) for m in wanted("--no-push", "--cache", "--cache-repo=r", "--cleanup", "--materialize=0").messages]
    assert [level for level, _ in texts] == ["info"]
    assert texts[0][1].startswith("--cleanup has no effect in gazami: ")


def test_variables_of_kaniko_without_effect_are_told() -> None:
    said = " ".join(message.text for message in wanted("--no-push", STACKLOG_PATH="/o", FF_KANIKO_X="1").messages)
    assert "STACKLOG_PATH" in said and "FF_KANIKO_X" in said


def test_proxies() -> None:
    assert proxies({"http_proxy": "a", "HTTP_PROXY": "b", "no_proxy": "c", "HTTPS_PROXY": ""}) == (
        ("HTTP_PROXY", "b"),
        ("NO_PROXY", "c"),
    )


@pytest.mark.parametrize(
    "given, environ, home, expected",
    [
        ("s", {"XDG_CACHE_HOME": "/x"}, "/h", "/src/s"),
        ("", {"XDG_CACHE_HOME": "/x/", "TMPDIR": "/t"}, "/h", "/x/gazami"),
        ("", {"XDG_CACHE_HOME": "relative", "TMPDIR": "/t"}, "/h", "/t/gazami-7"),
        ("", {}, "/h", "/h/.cache/gazami"),
        ("", {}, "", "/tmp/gazami-7"),
    ],
)
def test_state_dir(given: str, environ: dict[str, str], home: str, expected: str) -> None:
    assert state_dir(given, Surroundings(environ, "/src", "x86_64", 7, home)) == expected


def test_user_agent() -> None:
    assert request(UPSTREAM_CLIENT_TYPE="ci").registry.user_agent.endswith(",ci")
