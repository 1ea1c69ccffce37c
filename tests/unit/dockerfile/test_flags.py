"""Flags are read by their rows; so are the options of ``--mount``."""

from __future__ import annotations

import pytest

from gazami.dockerfile.flags import flags_of, read_flags
from gazami.dockerfile.instructions import CopyFlags
from gazami.dockerfile.mounts import OPTIONS, Mount, parse_mount
from gazami.errors import DockerfileError


def test_a_row_has_the_default_of_its_field() -> None:
    assert all(getattr(CopyFlags(), row.name) == row.default for row in flags_of(CopyFlags))
    assert all(getattr(Mount(), option.name) == option.default for option in OPTIONS)


def test_flags_become_a_value_of_their_table() -> None:
    words = ("--from=a", "--link", "--exclude=x", "--exclude=y", "--parents=false")
    assert read_flags(words, CopyFlags, "COPY") == CopyFlags(from_="a", link=True, exclude=("x", "y"))


@pytest.mark.parametrize(
    ("word", "keyword", "message"),
    [
        ("--parents", "ADD", "unknown flag: --parents"),
        ("--checksum=x", "COPY", "unknown flag: --checksum"),
        ("--chwon=x", "COPY", "did you mean chown"),
        ("--chown", "ADD", "missing a value"),
        ("--link=maybe", "COPY", "expecting boolean"),
    ],
)
def test_a_flag_that_its_instruction_does_not_have_is_refused(word: str, keyword: str, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        read_flags((word,), CopyFlags, keyword)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_is_refused_by_the_types_that_do_not_have_it(option: object) -> None:
    values = {"required": "true", "size": "5", "mode": "0700", "uid": "0", "gid": "0", "sharing": "locked", "readonly": "1"}
    spelling = option.spellings[0]  # type: ignore[attr-defined]
    for kind in {"bind", "cache", "tmpfs", "secret", "ssh"} - set(option.of):  # type: ignore[attr-defined]
        with pytest.raises(DockerfileError, match=spelling):
            parse_mount(f"type={kind},target=/t,{spelling}={values.get(spelling, 'x')}", str)


def test_opposites_are_one_option() -> None:
    texts = ("ro", "rw", "readonly=false", "readwrite=0")
    assert [parse_mount(f"target=/t,{text}", str).readonly for text in texts] == [True, False, False, True]
