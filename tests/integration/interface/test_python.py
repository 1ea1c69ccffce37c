"""The Python interface: the page about it, run as it is written, and what it promises besides."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.services import docker_registry

import gazami
from gazami import api, events
from gazami.errors import Cancelled
from gazami.events import BuildFinished, Event

PAGE = Path(__file__).parents[3] / "docs/how-to/use-from-python.md"
DOCKERFILE = "FROM scratch AS files\nARG VERSION=0\nCOPY data /data-$VERSION\nFROM scratch\nCOPY --from=files / /\n"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "data").write_text("data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAZAMI_STATE_DIR", str(tmp_path / "state"))
    return folder


def test_the_examples_of_the_page_run(app: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 6
    with docker_registry(tmp_path / "registry") as registry:
        code = "\n".join(blocks).replace("registry.example.com", f"localhost:{registry.port}")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=app.parent)
        assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("sha256:")
    assert "files 3 COPY data /data-$VERSION" in lines


def test_it_is_imported_without_the_builder() -> None:
    code = "import sys, gazami; assert 'gazami.api' not in sys.modules; gazami.build; print('gazami.builder.build' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_name_is_there_and_no_other() -> None:
    stub = (Path(gazami.__file__).parent / "__init__.pyi").read_text()
    assert set(re.findall(r" as (\w+)", stub)) == {*api.__all__, "events"}
    assert all(getattr(gazami, name) is getattr(api, name) for name in api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'builds'"):
        gazami.builds  # noqa: B018


def test_an_image_is_what_the_layout_holds(app: Path) -> None:
    image = gazami.build(app, push=False, oci_layout="out", labels={"a": "b"})
    blobs = app.parent / "out/blobs/sha256"
    assert (blobs / image.digest.partition(":")[2]).read_bytes() == image.manifest
    assert (blobs / image.id.partition(":")[2]).read_bytes() == image.config
    assert all((blobs / layer.partition(":")[2]).exists() for layer in image.layers) and len(image.layers) == 1


def test_events_come_one_at_a_time_and_end_with_the_digest(app: Path) -> None:
    inside = threading.Lock()
    seen: list[Event] = []

    def on_event(event: Event) -> None:
        assert inside.acquire(blocking=False)
        seen.append(event)
        inside.release()

    image = gazami.build(app, push=False, on_event=on_event)
    assert isinstance(seen[-1], BuildFinished) and seen[-1].digest == image.digest


def test_the_environment_is_the_callers(app: Path, tmp_path: Path) -> None:
    gazami.build(app, push=False, environ={"GAZAMI_STATE_DIR": str(tmp_path / "elsewhere"), "HOME": str(tmp_path)})
    assert (tmp_path / "elsewhere").is_dir()
    assert not (tmp_path / "state").exists()
    assert os.environ["GAZAMI_STATE_DIR"] == str(tmp_path / "state")


def test_errors_have_their_place(app: Path) -> None:
    (app / "Dockerfile").write_text("FROM scratch\nCOPY nope /\n")
    with pytest.raises(gazami.GazamiError, match="not found") as caught:
        gazami.build(app, push=False)
    assert caught.value.span is not None and caught.value.span.start == 2
    assert [finding.level for finding in gazami.lint(app)] == ["error"]
    with pytest.raises(gazami.GazamiError, match="unknown flag"):
        gazami.build(app, push=False, flags=["--no-such-flag"])


@pytest.mark.parametrize(
    "word", ["--dryrun", "--check", "--call=outline", "--quiet", "--log-format=json", "--verbosity=debug", "--help", "x"]
)
def test_a_flag_that_would_say_nothing_is_refused(word: str, app: Path) -> None:
    for function in (gazami.build, gazami.dry_run):
        with pytest.raises(gazami.GazamiError, match="has no effect in flags"):
            function(app, flags=[word])


def test_what_there_is_to_say_of_flags_is_an_event(app: Path) -> None:
    for function in (gazami.build, gazami.dry_run):
        seen: list[Event] = []
        function(app, flags=["--no-push", "--cleanup"], on_event=seen.append)
        assert any(isinstance(each, events.Message) and "--cleanup has no effect" in each.text for each in seen)


def test_events_are_there_without_an_import_of_their_own() -> None:
    code = "import gazami; print(gazami.events.StepFinished.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "StepFinished"


def test_a_build_that_was_told_to_end_ends(app: Path) -> None:
    cancel = gazami.Cancel()
    cancel.set("told to")
    with pytest.raises(Cancelled, match="told to"):
        gazami.build(app, push=False, cancel=cancel)
