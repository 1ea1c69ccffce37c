"""A short form of ``make chaos``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.chaos import prepared

pytestmark = [
    pytest.mark.root, pytest.mark.service, pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="mounts small disks"),
]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_every_end_is_the_right_image_or_a_clear_error(tmp_path: Path, seed: int) -> None:
    with prepared(tmp_path, seed, most=4) as (chaos, steady):
        assert steady
        chaos.run(steady, 30)
        assert sum(chaos.ends.values()) > 5
