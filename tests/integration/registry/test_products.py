"""A build with the layer cache and each product that images are pushed to, by its manners (``tests.registries``)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.programs import gazami
from tests.registries import REGISTRIES
from tests.strict_registry import Quirks, strict_registry

pytestmark = pytest.mark.service

IMMUTABLE = [name for name, quirks in REGISTRIES.items() if quirks.manners.moved]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\nWORKDIR /a\n")
    return folder


@pytest.mark.parametrize("name", REGISTRIES)
def test_a_build_with_the_cache(name: str, folder: Path, tmp_path: Path) -> None:
    quirks = REGISTRIES[name]
    with strict_registry(quirks) as registry:
        reference = f"{registry.host}/{quirks.manners.below}team/app:1"
        runs = [
            gazami("build", str(folder), "--cache", "--cache-copy-layers", "-t", reference,
                   f"--digest-file={tmp_path / f'digest{number}'}",
                   f"--state-dir={tmp_path / str(number)}")
            for number in range(2)
        ]  # fmt: skip
        usable = not (quirks.manners.unsigned or quirks.manners.artifact)
        if usable:
            assert [run.returncode for run in runs] == [0, 0], runs[1].stderr
            assert "2 of 2 steps found" in runs[1].stderr and _read(tmp_path / "digest0") == _read(tmp_path / "digest1")
        else:
            for run in runs:
                assert run.returncode == 0, run.stderr
            assert "0 of 2 steps found" in runs[1].stderr
            warned = [line for line in runs[1].stderr.splitlines() if "WARN" in line]
            assert len(warned) == 1 and "cache" in warned[0], warned
        pulled = gazami("pull", reference, str(tmp_path / "out"), f"--state-dir={tmp_path / 'pull'}")
        assert pulled.returncode == 0, pulled.stderr


def _read(path: Path) -> str:
    return path.read_text()


def test_an_unsigned_cache_is_one_clear_warning(folder: Path, tmp_path: Path) -> None:
    with strict_registry(REGISTRIES["Harbor with signatures"]) as registry:
        words = ("build", str(folder), "--cache", "--cache-copy-layers", "-t", f"{registry.host}/team/app:1")
        assert gazami(*words, f"--state-dir={tmp_path / 'a'}").returncode == 0
        again = gazami(*words, f"--state-dir={tmp_path / 'b'}")
        assert "hands out no unsigned artifacts of the cache" in again.stderr and "--cache-repo" in again.stderr


@pytest.mark.parametrize("name", IMMUTABLE)
def test_a_tag_that_cannot_be_moved(name: str, folder: Path, tmp_path: Path) -> None:
    quirks = REGISTRIES[name]
    with strict_registry(quirks) as registry:
        words = ("build", str(folder), "-t", f"{registry.host}/team/app:1", f"--state-dir={tmp_path / 'state'}")
        assert gazami(*words).returncode == 0
        first = registry.manifests["team/app", "1"]
        (folder / "Dockerfile").write_text("FROM scratch\nLABEL changed=yes\n")
        refused = gazami(*words)
        assert refused.returncode == 1 and "--push-ignore-immutable-tag-errors" in refused.stderr, refused.stderr
        ignored = gazami(*words, "--push-ignore-immutable-tag-errors")
        assert ignored.returncode == 0 and "was not pushed: the tag exists and is immutable" in ignored.stderr
        early = gazami(*words, "--if-exists=fail")
        assert early.returncode == 1 and "exists already" in early.stderr and "nothing was built" in early.stderr
        skipped = gazami(*words, "--if-exists=skip", "--quiet")
        assert skipped.returncode == 0 and skipped.stdout.startswith("sha256:")
        assert registry.manifests["team/app", "1"] == first


def test_a_repository_called_immutable_is_no_immutable_tag(folder: Path, tmp_path: Path) -> None:
    with strict_registry(Quirks(denied="PUT .*/manifests/")) as registry:
        words = ("--push-ignore-immutable-tag-errors", f"--state-dir={tmp_path / 'state'}")
        done = gazami("build", str(folder), "-t", f"{registry.host}/immutable/app:1", *words)
        assert done.returncode == 1, done.stderr


def test_skip_builds_where_one_of_the_destinations_is_missing(folder: Path, tmp_path: Path) -> None:
    with strict_registry(Quirks()) as registry:
        words = ("build", str(folder), "-t", f"{registry.host}/a:1", f"--state-dir={tmp_path / 'state'}", "--if-exists=skip")
        files = ("--digest-file", str(tmp_path / "digest"), "--iidfile", str(tmp_path / "id"))
        assert gazami(*words, *files).returncode == 0
        made = ((tmp_path / "digest").read_text(), (tmp_path / "id").read_text())
        pushes = len(registry.seen)
        assert gazami(*words, *files).returncode == 0
        assert made == ((tmp_path / "digest").read_text(), (tmp_path / "id").read_text())
        assert not [each for each in registry.seen[pushes:] if each[0] != "GET" and each[0] != "HEAD"]
        more = gazami(*words, "-t", f"{registry.host}/b:2")
        assert more.returncode == 0 and "exists already, but" in more.stderr
        assert ("b", "2") in registry.manifests
