"""The grammar of pflag: forms, kinds, and nothing but UsageError for what is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags, changed, parse, with_environment
from gazami.cli.flags.kinds import SecretSpec
from gazami.cli.flags.options import BUILD, ELSEWHERE
from gazami.errors import UsageError


def read(*argv: str) -> Flags:
    return parse(list(argv), BUILD, ELSEWHERE)


@pytest.mark.parametrize("word", ["1", "t", "T", "TRUE", "true", "True"])
def test_words_for_true(word: str) -> None:
    assert read(f"--cache={word}")[options.CACHE] is True


@pytest.mark.parametrize("word", ["0", "f", "F", "FALSE", "false", "False"])
def test_words_for_false(word: str) -> None:
    assert read(f"--compressed-caching={word}")[options.COMPRESSED_CACHING] is False


@pytest.mark.parametrize("word", ["yes", "no", "on", "tRUE", "", "2"])
def test_other_words_are_not_bools(word: str) -> None:
    with pytest.raises(UsageError, match="--cache"):
        read(f"--cache={word}")


def test_a_bare_bool_never_takes_the_next_word() -> None:
    flags = read("--cache", "false")
    assert flags[options.CACHE] is True and flags.positionals == ("false",)


@pytest.mark.parametrize("argv", [("--destination=a",), ("--destination", "a"), ("-d", "a"), ("-da",), ("-d=a",), ("-t", "a")])
def test_forms_of_a_value(argv: tuple[str, ...]) -> None:
    assert read(*argv)[options.DESTINATION] == ("a",)


def test_repeatable_flags_keep_their_order_and_commas() -> None:
    assert read("-d", "a", "--tag=b,c", "-t", "d")[options.DESTINATION] == ("a", "b,c", "d")


def test_the_last_of_a_scalar_counts() -> None:
    assert read("--dockerfile=a", "-f", "b")[options.DOCKERFILE] == "b"


def test_a_value_may_look_like_a_flag() -> None:
    assert read("--build-arg", "--no-push")[options.BUILD_ARG] == ("--no-push",)
    assert read("-f", "-")[options.DOCKERFILE] == "-"


def test_bundled_shorthands() -> None:
    flags = read("-qfDocker.file", "-qq")
    assert flags[options.QUIET] and flags[options.DOCKERFILE] == "Docker.file"


def test_double_dash_ends_the_flags() -> None:
    flags = read("--no-push", "--", "--odd", ".")
    assert flags.positionals == ("--odd", ".")


def test_help_ends_the_walk() -> None:
    assert read("-h", "--nonsense").help


@pytest.mark.parametrize(
    "argv, message, hint",
    [
        (("--cahce",), "unknown flag: --cahce", "--cache"),
        (("--snapshot",), "unknown flag", "--snapshot-mode"),
        (("--sbom=x",), "unknown flag", None),
        (("-x",), "unknown shorthand", None),
        (("--dockerfile",), "needs an argument: --dockerfile", "PATH"),
        (("-f",), "needs an argument: -f", None),
        (("--push-retry=many",), "--push-retry", "number"),
        (("--snapshot-mode=fast",), "'fast' is not a valid snapshot mode", "full, redo or time"),
        (("--compression=bzip2",), "not a valid compression", "gzip or zstd"),
        (("--annotation=key",), "--annotation", "expect key=value"),
        (("--cache-ttl=12",), "--cache-ttl", "unit"),
        (("--cache-ttl=99999999h",), "--cache-ttl", None),
        (("--timeout=0",), "--timeout", None),
        (("--secret=src=x",), "needs an id", None),
        (("--secret=id=x,src=y,env=z",), "both", None),
        (("--secret=id=x,type=file,env=z",), "type=file", None),
        (("--secret=id=x,mode=7",), "mode=7", "fields"),
        (("--secret=id=x", "--secret=id=x"), "twice", None),
    ],
)
def test_what_is_wrong_is_said(argv: tuple[str, ...], message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        read(*argv)
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


def test_kinds() -> None:
    flags = read(
        "--annotation=a=1=2", "--annotation=a=3", "--registry-map=h=a;h=b", "--registry-map=", "--registry-map=i=c",
        "--target=a,b", "--target=c", "--cache-ttl=1h30m", "--timeout=90", "--compression-level=9", "--compression=",
    )  # fmt: skip
    assert flags[options.ANNOTATION] == (("a", "3"),)
    assert flags[options.REGISTRY_MAP] == (("h", "a"), ("h", "b"), ("i", "c"))
    assert flags[options.TARGET] == ("a", "b", "c")
    assert flags[options.CACHE_TTL] == 5400.0 and flags[options.TIMEOUT] == 90.0
    assert flags[options.COMPRESSION_LEVEL] == 9 and flags[options.COMPRESSION] == ""


@pytest.mark.parametrize(
    "word, spec",
    [
        ("id=a", SecretSpec("a")),
        ("id=a,src=b", SecretSpec("a", "file", "b")),
        ("id=a,source=b", SecretSpec("a", "file", "b")),
        ('id=a,"src=b,c"', SecretSpec("a", "file", "b,c")),
        ("id=a,env=B", SecretSpec("a", "env", "", "B")),
        ("id=a,type=env,src=B", SecretSpec("a", "env", "", "B")),
        ("id=a,type=env", SecretSpec("a", "env", "", "a")),
        ("id=a,type=file", SecretSpec("a", "file", "a")),
    ],
)
def test_secrets(word: str, spec: SecretSpec) -> None:
    assert read(f"--secret={word}")[options.SECRET] == (spec,)


def test_deprecated_spellings_work_and_are_told() -> None:
    flags = read("--snapshotMode=redo", "--tarPath=x")
    assert flags[options.SNAPSHOT_MODE] == "redo" and flags[options.TAR_PATH] == "x"
    assert flags.notices == ("Flag --snapshotMode is deprecated. Use: --snapshot-mode",)


def test_variables() -> None:
    def settle(*argv: str, **environ: str) -> Flags:
        return with_environment(read(*argv), BUILD, environ)

    assert settle(KANIKO_NO_PUSH="true")[options.NO_PUSH]
    assert not settle("--no-push", KANIKO_NO_PUSH="0")[options.NO_PUSH]
    assert settle("--no-push", KANIKO_NO_PUSH="")[options.NO_PUSH]
    assert settle("--state-dir=a", GAZAMI_STATE_DIR="b")[options.STATE_DIR] == "a"
    assert settle("--registry-mirror=a", KANIKO_REGISTRY_MIRROR="b,c")[options.REGISTRY_MIRROR] == ("a", "b,c")
    with pytest.raises(UsageError, match="KANIKO_NO_PUSH"):
        settle(KANIKO_NO_PUSH="maybe")


def test_a_flag_can_be_written_anew() -> None:
    flags = read("--no-push", "--tag=a").having(options.NO_PUSH, "false").having(options.CACHE, "true")
    assert not flags[options.NO_PUSH] and flags[options.CACHE] and flags.given(options.CACHE)
    assert flags.words(options.DESTINATION) == ("a",) and flags.words(options.CACHE_REPO) == ()


@pytest.mark.parametrize(("word", "size"), [("1", 1), ("64m", 64 << 20), ("1GB", 1 << 30), ("2t", 2 << 40), ("5b", 5)])
def test_sizes(word: str, size: int) -> None:
    assert read(f"--shm-size={word}")[options.SHM_SIZE] == size


@pytest.mark.parametrize("word", ["", "0", "-1", "1.5g", "m", "1x", "１k"])
def test_what_is_no_size(word: str) -> None:
    with pytest.raises(UsageError, match="--shm-size"):
        read(f"--shm-size={word}")


def test_changed_knows_defaults() -> None:
    flags = read("--cache=false", "--cache-dir=/cache", "--materialize", "--cache-ttl=336h0m0s")
    assert [option.name for option in changed(flags, BUILD)] == ["materialize"]


_words = st.one_of(
    st.text(max_size=12),
    st.sampled_from([f"--{name}" for name in BUILD.names]),
    st.builds("--{}={}".format, st.sampled_from(BUILD.names), st.text(max_size=12)),
    st.builds("-{}{}".format, st.sampled_from("vfcbdtqh="), st.text(max_size=4)),
)


@given(st.lists(_words, max_size=6))
def test_nothing_but_usage_errors(argv: list[str]) -> None:
    try:
        parse(argv, BUILD, ELSEWHERE)
    except UsageError as error:
        assert error.message
