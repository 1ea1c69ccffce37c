"""What is lost when layers are unpacked for RUN steps, as one warning."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gazami.builder.stages.isolation import losses
from gazami.layer.entry import Entry, Kind
from gazami.rootfs.requests import UnpackReport, UnpackRequest
from gazami.rootfs.unpack import Unpacker


def test_losses_are_added_up() -> None:
    assert losses([UnpackReport(), UnpackReport()], "chroot") == ""
    text = losses([UnpackReport(2, 0), UnpackReport(1, 4)], "chroot")
    assert text.startswith("chroot mode cannot set 3 owners and 4 extended attributes of unpacked files")


@pytest.mark.parametrize("recorded", [False, True])
def test_owners_and_attributes_that_cannot_be_set_are_counted(tmp_path: Path, recorded: bool) -> None:
    """Nobody has such an id, and no file system such attributes. What is recorded is not lost."""
    if recorded:
        try:
            os.setxattr(tmp_path, "user.test", b"")
        except OSError:
            pytest.skip("no user attributes here")
    unpacker = Unpacker(UnpackRequest(str(tmp_path), records_owners=recorded), str(tmp_path))
    unpacker.add(Entry("f", Kind.FILE, 0o644, 1 << 40, 0, xattrs=(("nobody.knows", b"x"),)), iter(()))
    unpacker.add(Entry("g", Kind.FILE, 0o644, os.getuid(), os.getgid(), xattrs=(("security.selinux", b"x"),)), iter(()))
    assert unpacker.finish() == UnpackReport(owners=int(not recorded), attributes=1)
