"""Layers leave while the build goes on, and whoever observes after the upload finds it under way: the layer cache then has a layer
without sending it a second time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.services import docker_registry
from tests.unit.builder.plans import HOST, plan_of
from tests.unit.builder.test_carry_out import TEXT, Observing, stages

from gazami.builder.outputs.export import Exporter
from gazami.builder.outputs.uploading import Uploading
from gazami.builder.request import OutputOptions
from gazami.builder.stages.carry_out import LayerMade
from gazami.builder.stages.work import plan_work
from gazami.events import Event
from gazami.image.model import Remote
from gazami.image.reference import parse_reference
from gazami.registry.transfer import Uploads
from gazami.values import replace

pytestmark = pytest.mark.service


class Asking(Observing):
    """Asks for the upload of each new layer at the moment at which a cache would store it."""

    def __init__(self, uploading: Uploading) -> None:
        super().__init__()
        self.uploading = uploading
        self.found: dict[str, object] = {}

    def layer_made(self, event: LayerMade) -> None:
        assert event.new is not None and event.new.layer is not None
        self.found[f"{event.work.stage.name} {event.position}"] = self.uploading.wait_for(event, event.new.layer)


@pytest.mark.parametrize("single", [False, True])
def test_the_upload_of_a_layer_is_under_way_when_others_hear_of_it(tmp_path: Path, single: bool) -> None:
    events: list[Event] = []
    with docker_registry(tmp_path / "registry") as registry, stages(tmp_path, events, Observing(), single=single) as ready:
        files = ready.copying.packer.files
        name = f"{registry.host}/up/load:1"
        with Uploads(files.blobs.registry) as uploads:
            exporter = Exporter(OutputOptions((name,)), files.blobs.registry, files, events.append, HOST)
            uploading = Uploading(exporter, uploads, single)
            asking = Asking(uploading)
            replace(ready, observers=(uploading, asking)).build(plan_work(plan_of(TEXT), ()))
            uploads.wait()
    there = None if single else Remote(parse_reference(name))
    assert asking.found == {"a 0": None, "1 1": there, "1 2": there}  # the first stage's layers are not the target's


@pytest.mark.parametrize(("command", "status"), [("true", 0), ("exit 7", 7)])
def test_no_upload_is_left_open(command: str, status: int, busybox: str, context: Path, tmp_path: Path) -> None:
    """The check whether a destination takes pushes opens one: the config goes into it, or the build that fails closes it."""
    (context / "Dockerfile").write_text(f"FROM {busybox}\nRUN {command}\n")
    with docker_registry(tmp_path / "registry") as registry:
        names = [f"{registry.host}/{each}" for each in ("one", "one:2", "other/two")]
        words = [f"--destination={name}" for name in names]
        done = subprocess.run(
            [sys.executable, "-m", "gazami", "build", str(context), "--insecure", f"--state-dir={tmp_path / 'state'}", *words],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == status, done.stderr
        repositories = registry.root / "docker/registry/v2/repositories"
        assert {each.parent.name for each in repositories.glob("**/_uploads")} == {"one", "two"}
        assert not list(repositories.glob("**/_uploads/*/startedat"))
