from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazami.errors import DockerfileError
from gazami.rootfs.modes import parse_chmod

clause = st.builds(
    lambda who, op, perms: f"{who}{op}{perms}",
    st.text("ugoa", max_size=3),
    st.sampled_from("+-="),
    st.one_of(st.text("rwxX", max_size=3), st.sampled_from("ugo")),
)


@given(st.integers(0, 0o777), st.lists(clause, min_size=1, max_size=3).map(",".join), st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_symbolic_modes_are_chmod_s(tmp_path: Path, mode: int, text: str, is_directory: bool) -> None:
    path = tmp_path / f"f{len(list(tmp_path.iterdir()))}"
    path.mkdir() if is_directory else path.touch()
    path.chmod(mode)
    subprocess.run(["sh", "-c", 'umask 0; chmod -- "$1" "$2"', "sh", text, str(path)], check=True)
    assert parse_chmod(text)[0](mode, is_directory) == path.stat().st_mode & 0o7777


@pytest.mark.parametrize("text", ["8", "10000", "0999", "u+", "+q", "rwx", "u+r,", "-1"])
def test_nonsense_is_refused(text: str) -> None:
    if text == "u+":  # chmod(1) accepts an empty list of permissions
        assert parse_chmod(text)[0](0o640, False) == 0o640
        return
    with pytest.raises(DockerfileError):
        parse_chmod(text)
