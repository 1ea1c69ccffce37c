"""What people type who come from docker build: every documented flag of it and of buildx is known, and says what it does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gazami.cli.commands.build import COMMAND, EXECUTOR
from gazami.cli.environ import Surroundings
from gazami.cli.flags import docker, options
from gazami.cli.flags.argv import Flags, parse
from gazami.cli.request.build import Wanted, build_request
from gazami.cli.request.cache import wants_own_cache
from gazami.cli.request.docker import in_own_words, names_no_output, without_registry
from gazami.errors import UsageError

CLASSIC = """
add-host build-arg cache-from cgroup-parent compress cpu-period cpu-quota cpu-shares cpuset-cpus cpuset-mems
disable-content-trust file force-rm iidfile isolation label memory memory-swap network no-cache output platform progress pull
quiet rm secret security-opt shm-size squash ssh stream tag target ulimit
"""
BUILDX = """
add-host allow annotation attest build-arg build-context builder cache-from cache-to call cgroup-parent check debug detach file
iidfile invoke label load metadata-file network no-cache no-cache-filter on output platform policy print progress provenance
pull push quiet resource root sbom secret server-config shm-size ssh tag target ulimit
"""
PODMAN = """
annotation authfile build-arg build-context cache-from cache-to cache-ttl cap-add cert-dir cgroup-parent compress cpu-period creds
device env file force-rm format iidfile ignorefile isolation jobs label layers manifest memory network no-cache output platform pull
quiet rm secret security-opt shm-size squash squash-all ssh tag target timestamp tls-verify ulimit userns volume
"""
FLAGS = sorted({*CLASSIC.split(), *BUILDX.split(), *PODMAN.split()})


def read(*argv: str, has_workspace: bool = False) -> Flags:
    return in_own_words(parse(list(argv), COMMAND.table, COMMAND.elsewhere), has_workspace=has_workspace)


def wanted(*argv: str, own: str = "") -> Wanted:
    return build_request(read(*argv), Surroundings({}, "/src", "x86_64", 7), own_cache=own)


@pytest.mark.parametrize("name", FLAGS)
def test_every_flag_is_known(name: str) -> None:
    if COMMAND.table.long(name) is not None:
        assert name not in COMMAND.elsewhere
        return
    with pytest.raises(UsageError) as caught:
        parse([f"--{name}=x"], COMMAND.table, COMMAND.elsewhere)
    assert caught.value.hint == docker.ELSEWHERE[name]


def test_the_page_has_every_flag() -> None:
    page = (Path(__file__).parents[3] / "docs/how-to/from-docker-build.md").read_text()
    named = set(re.findall(r"--([a-z-]+)", page))
    short = ("cpu-", "cpuset-")  # the page has them as --cpu-… and --cpuset-…
    assert {*CLASSIC.split(), *BUILDX.split()} - named - {each for each in FLAGS if each.startswith(short)} == set()


@pytest.mark.parametrize(
    "letter, name", [("D", "debug"), ("f", "dockerfile"), ("m", "memory"), ("o", "output"), ("q", "quiet"), ("t", "destination")]
)
def test_shorthands(letter: str, name: str) -> None:
    option = COMMAND.table.short(letter)
    assert option is not None and option.name == name


def test_no_spelling_is_taken_twice() -> None:
    names = [name for option in COMMAND.table for name in option.spellings]
    letters = [letter for option in COMMAND.table for letter in option.shorthands]
    assert len(names) == len(set(names)) and len(letters) == len(set(letters))
    assert not set(docker.ELSEWHERE) & set(names)
    assert all(option.help.endswith(".") and not option.kaniko for option in docker.DOCKER)


@pytest.mark.parametrize(
    "word",
    [
        "--pull", "--pull=always", "--provenance=false", "--sbom=false", "--attest=type=sbom,disabled=true", "--builder=b",
        "--jobs=4", "--force-rm", "--rm=false", "--compress", "--memory=1g", "-m=1g", "--cpu-shares=2", "--allow=network.host",
        "--security-opt=x", "--resource=memory=1g", "--layers=false",
    ],
)  # fmt: skip
def test_what_has_no_effect_says_why_in_one_line(word: str) -> None:
    texts = [message.text for message in wanted(".", word).messages]
    assert len(texts) == 1 and " has no effect in gazami: " in texts[0] and "\n" not in texts[0]


@pytest.mark.parametrize(
    "argv, message, hint",
    [
        (("--push",), "--push needs a name", "--tag (-t) HOST/NAME:TAG"),
        (("--push", "-o", "out"), "--push needs a name", "--tag (-t) HOST/NAME:TAG"),
        (("--provenance=mode=max",), "--provenance=mode=max: gazami build attaches no attestations", "--provenance=false"),
        (("--sbom=true",), "--sbom=true: ", "--sbom=false"),
        (("--attest=type=sbom",), "--attest=type=sbom: ", "--attest=type=sbom,disabled=true".replace("sbom", "provenance")),
        (("--pull=never",), "--pull=never: every build asks", "--build-context"),
        (("--platform=linux/amd64,linux/arm64",), "--platform linux/amd64,linux/arm64: a build makes", "gazami submit"),
        (("--platform=nonsense/",), "--platform: ", ""),
        (("-t", "app@sha256:" + "0" * 64), "-t app@sha256:", ""),
        (("--progress=rawjson",), "'rawjson' is not a valid progress", "--log-format=json"),
        (("--isolation=hyperv",), "'hyperv' is not a valid isolation", "takes default"),
        (("-o", "type=magic"), "-o type=magic: unknown type", "type=local"),
        (("-o", "type=registry"), "the image has no name", "--tag (-t)"),
    ],
)
def test_what_cannot_be_done_says_what_to_write(argv: tuple[str, ...], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        wanted(".", *argv)
    assert message in caught.value.message and hint in (caught.value.hint or "")


def test_flags_that_do_something() -> None:
    assert wanted(".", "--squash").request.snapshot.single
    assert wanted(".", "--network=none").request.sandbox.network == "none"
    assert wanted(".", "--network=host").request.sandbox.network == "default"
    assert wanted(".", "--isolation=default").request.sandbox.isolation is None
    assert wanted(".", "--no-cache-filter=a,b", own="/c").request.cache.stages_without == ("a", "b")
    assert read(".", "-D")[options.VERBOSITY] == "debug"


@pytest.mark.parametrize(
    "argv, push, names, loads",
    [
        ((), False, (), False),
        (("-t", "r.example/a"), True, ("r.example/a",), False),
        (("-t", "r.example/a", "--push"), True, ("r.example/a",), False),
        (("-t", "r.example/a", "--push=false"), False, ("r.example/a",), False),
        (("-t", "a", "--load"), False, ("a",), True),
        (("-t", "r.example/a", "--load", "--push"), True, ("r.example/a",), True),
        (("-t", "a", "-o", "type=docker"), False, ("a",), True),
        (("-o", "type=docker,name=a"), False, ("a",), True),
        (("-o", "type=docker,name=a,dest=a.tar"), False, ("a",), False),
        (("-o", "type=cacheonly"), False, (), False),
        (("--push", "-o", "type=registry,name=r.example/a"), True, ("r.example/a",), False),
        (("-o", "type=image,name=a"), False, ("a",), False),
        (("-o", "type=image,name=r.example/a,push=true"), True, ("r.example/a",), False),
        (("-t", "r.example/a", "-o", "type=image,push=true"), True, ("r.example/a",), False),
        (("-t", "r.example/a", "-o", "type=registry"), True, ("r.example/a",), False),
        (("-t", "r.example/a", "-o", "type=image"), False, ("r.example/a",), False),
        (("-o", "out"), False, (), False),
        (("-t", "r.example/a", "-o", "out"), True, ("r.example/a",), False),
    ],
)
def test_where_the_image_goes(argv: tuple[str, ...], push: bool, names: tuple[str, ...], loads: bool) -> None:
    made = wanted(".", *argv)
    assert (made.request.output.push, made.request.output.destinations, made.loads) == (push, names, loads)


def test_a_context_is_the_working_directory_unless_there_is_a_workspace() -> None:
    assert read()[options.CONTEXT] == "."
    assert read(has_workspace=True)[options.CONTEXT] == "/workspace/"
    assert read("-c", "x")[options.CONTEXT] == "x" and not read("x").given(options.CONTEXT)


def test_an_image_of_which_nothing_stays() -> None:
    assert names_no_output(read(".")) and names_no_output(read())
    for word in ("-tx", "--no-push", "--push=false", "--tar-path=x", "--oci-layout-path=x", "-ox", "--load"):
        assert not names_no_output(read(".", word)), word


@pytest.mark.parametrize(
    "names, hint",
    [(("app:1",), "docker.io/library/app:1: write HOST/app:1"), (("a",), "library/a:latest"), (("h/a",), None), ((), None)],
)
def test_names_without_a_registry(names: tuple[str, ...], hint: str | None) -> None:
    said = without_registry(names)
    assert said is None if hint is None else hint in (said or "")


def test_the_executor_keeps_kanikos_habits() -> None:
    assert EXECUTOR.prepare is None and EXECUTOR.table.long("pull") is None and EXECUTOR.table.short("m") is None


@pytest.mark.parametrize(
    "argv, environ, in_container, wants",
    [
        ((), {}, False, True), ((), {"CI": "1"}, False, False), ((), {}, True, False), (("--cache",), {"CI": "1"}, True, True),
        (("--cache=false",), {}, False, False), (("--local-cache=on",), {"CI": "1"}, True, True),
        (("--local-cache=off",), {}, False, False),
        (("--local-cache=off", "--cache"), {}, False, False),
    ],
)  # fmt: skip
def test_where_a_cache_of_this_machine_lasts(
    argv: tuple[str, ...], environ: dict[str, str], in_container: bool, wants: bool
) -> None:
    assert wants_own_cache(read(*argv), environ, in_container=in_container) is wants


@pytest.mark.parametrize(
    "argv, own",
    [
        ((), True), (("--cache",), True), (("-t", "r.example/a"), True), (("-t", "r.example/a", "--cache"), False),
        (("--cache-repo=oci:x",), True), (("--cache", "--cache-repo=oci:x"), False),
        (("--cache-from=r.example/c",), False), (("--cache-to=type=inline",), False),
        (("--no-cache",), False),
    ],
)  # fmt: skip
def test_when_the_cache_is_this_machines_own(argv: tuple[str, ...], own: bool) -> None:
    cache = wanted(".", *argv, own="/state/cache").request.cache
    assert (cache.bound > 0) is own and (cache.repository == "oci:/state/cache") is own
    if own:
        assert cache.enabled and cache.layers.copies and cache.ttl == 0
