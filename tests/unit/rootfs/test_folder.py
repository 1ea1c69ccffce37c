"""A folder of this machine as a tree: kinds of files that a layer cannot hold."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from gazami.errors import ContextError
from gazami.layer.entry import BytesContent, Kind
from gazami.rootfs.folder import FolderTree


def test_a_socket_is_an_empty_file_of_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's name has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s")
        os.chmod("s", 0o640)
        os.link("s", "again")
        tree = FolderTree(str(tmp_path))
        node = tree.get("s")
        assert node is not None
        assert (node.kind, node.mode, node.size, node.content) == (Kind.FILE, 0o640, 0, BytesContent(b""))
        assert tree.get("again") is node


@pytest.mark.parametrize("number", [errno.ENODATA, errno.ERANGE])
def test_an_attribute_that_goes_while_it_is_read_is_an_error_and_not_missing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(os, "listxattr", lambda *_, **__: ["user.note"])

    def gone(*_: object, **__: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "getxattr", gone)
    with pytest.raises(ContextError, match="replaced while it was read"):
        FolderTree(str(tmp_path)).get("file")
