from __future__ import annotations

from pathlib import Path

from gazami.builder.stages.hidden import Exposed, exposed
from gazami.sandbox.inside.hidden import HiddenFiles


def test_files_on_mounts_and_files_that_are_read_again_cannot_be_hidden(tmp_path: Path) -> None:
    for name in ("own/config.json", "secret/..data/config.json", "token"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").symlink_to("../secret/..data/config.json")
    read = [f"{tmp_path}/own//config.json", f"{tmp_path}/own/config.json", f"{tmp_path}/docker/config.json", f"{tmp_path}/none"]
    found = exposed(read, [f"{tmp_path}/token", f"{tmp_path}/absent"], ["/", "/proc", f"{tmp_path}/secret"])
    assert found == Exposed((f"{tmp_path}/own/config.json",), (f"{tmp_path}/docker/config.json", f"{tmp_path}/token"))


def test_hidden_files_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("secret")
    path.chmod(0o640)
    before = path.stat()
    hidden = HiddenFiles([str(path), str(tmp_path / "absent")])
    hidden.unlink()
    assert not path.exists()
    hidden.restore()
    after = path.stat()
    assert path.read_text() == "secret"
    assert (after.st_mode, after.st_uid, after.st_mtime_ns) == (before.st_mode, before.st_uid, before.st_mtime_ns)
    path.write_text("new")
    hidden.restore()
    assert path.read_text() == "new", "what is there is not overwritten"
