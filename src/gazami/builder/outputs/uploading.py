"""Layers of the target go to their registries while the build goes on: each as soon as it exists, large ones while written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gazami.builder.files.layer_files import open_layer
from gazami.image.model import Image, Layer, Origin, Remote
from gazami.values import fast_dataclass

if TYPE_CHECKING:
    from gazami.builder.outputs.export import Exporter
    from gazami.builder.stages.carry_out import LayerMade
    from gazami.builder.stages.work import StageWork
    from gazami.registry.stream import GrowingUpload
    from gazami.registry.transfer import Uploads


@fast_dataclass(frozen=True, slots=True)
class Uploading:
    """An observer of stages. ``joined``: a stage's layers become one when it ends (``--single-snapshot``), so none is uploaded
    before that."""

    exporter: Exporter
    uploads: Uploads
    joined: bool

    def follow(self, path: Path) -> GrowingUpload:
        """Begin to upload a blob to the first destination while its file grows."""
        return self.uploads.follow(self.exporter.first_of_each_registry()[0], path)

    @property
    def follows(self) -> bool:
        """Whether there is a destination to upload to, and a layer to upload before the stage has ended."""
        return bool(self.exporter.first_of_each_registry()) and not self.joined

    def layer_made(self, event: LayerMade) -> None:
        if not event.work.in_target or self.joined:
            return
        new = event.new
        if new is not None and new.layer is not None and new.growing is not None:
            first, open_file = self.exporter.first_of_each_registry()[0], open_layer(self.exporter.layers, new.layer)
            self.uploads.submit_followed(first, new.layer.descriptor, open_file, new.growing)
        self.exporter.upload_layers(event.image, self.uploads)  # before the cache asks whether the layer is on its way

    def step_ended(self, work: StageWork, image: Image) -> None:
        """The layers of the base too: not before a step went well, so that a build that fails at once leaves nothing behind."""
        if work.in_target and not self.joined:
            self.exporter.upload_layers(image, self.uploads)

    def stage_ended(self, work: StageWork, image: Image) -> None:
        if work.in_target:
            self.exporter.upload_layers(image, self.uploads)

    def wait_for(self, event: LayerMade, layer: Layer) -> Origin | None:
        """Wait until a layer is in a destination's repository; where, or None when no upload of it is under way or succeeds."""
        if not event.work.in_target or self.joined:
            return None
        for reference in self.exporter.first_of_each_registry():
            if self.uploads.wait_for(reference, layer.descriptor.digest):
                return Remote(reference)
        return None
