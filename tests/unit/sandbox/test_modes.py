"""The table of isolation modes."""

from __future__ import annotations

import importlib

import pytest

from gazami.sandbox.kernel.capabilities import DOCKER, Capability, has
from gazami.sandbox.modes import MODES, Mode, mode_of
from gazami.sandbox.spec import Choice


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_every_mode_has_a_probe(mode: Mode) -> None:
    module, _, name = mode.probe.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert mode_of(mode.name) is mode
    assert not mode.fallback or mode_of(mode.fallback)


def test_a_mode_that_is_not_in_the_table() -> None:
    with pytest.raises(KeyError):
        mode_of("magic")


def test_devices_are_guarded_by_mounts_or_by_the_container() -> None:
    assert Choice("userns", "", overlay=True).guards_devices
    assert not Choice("chroot", "", overlay=False).guards_devices
    assert Choice("chroot", "", overlay=False, device_cgroup=True).guards_devices


def test_capabilities() -> None:
    assert len(DOCKER) == 14
    assert has(1 << 21 | 1, Capability.SYS_ADMIN) and not has(1 << 21, Capability.CHOWN)
