"""``gazami pull``: an image from a registry, into a layout or an archive."""

from __future__ import annotations

import sys
from pathlib import Path

from gazami.cli.command import REGISTRY, TALKING, Command, Run, of_build
from gazami.cli.flags.argv import Parsed
from gazami.cli.flags.option import Table
from gazami.errors import UsageError

_USAGE = """\
Fetch an image, or an image for another platform, as files.

Usage:
  gazami pull REF DIR [flags]          an OCI layout
  gazami pull REF FILE.tar [flags]     an archive for docker load

Examples:
  gazami pull debian:12 debian/
  gazami pull debian:12 debian.tar --platform linux/arm64
"""


def _pull(parsed: Parsed, run: Run) -> int:
    from gazami.builder.files.blob_files import BlobFiles
    from gazami.builder.files.workspace import Workspace
    from gazami.cli.request import state_dir
    from gazami.events import Exported
    from gazami.image.model import Layer, Remote
    from gazami.image.platform import host_platform, parse_platform
    from gazami.image.reference import parse_reference
    from gazami.layer.docker_archive import write_docker_archive
    from gazami.layer.oci_layout import OciLayout, blob_file

    if len(parsed.positionals) != 2:
        raise UsageError("a reference and a place for it are needed", hint="gazami pull debian:12 debian/")
    reference, place = parse_reference(parsed.positionals[0]), Path(parsed.positionals[1])
    wanted = parsed.text("custom-platform")
    platform = parse_platform(wanted) if wanted else host_platform(run.around.machine)
    with Workspace(state_dir(parsed.text("state-dir"), run.around)) as workspace, run.registry(parsed) as client:
        found = client.resolve(reference, platform)
        files = BlobFiles(workspace.blobs, client, run.cancel)
        blobs = tuple(
            files.path(Layer(descriptor, diff_id, Remote(reference)))
            for descriptor, diff_id in zip(found.manifest.layers, found.config.diff_ids, strict=True)
        )
        if place.name.endswith(".tar"):
            names = (reference.familiar,) if reference.tag else ()
            write_docker_archive(place, found.config_raw, found.manifest, blobs, names)
            run.emit(Exported("docker-archive", str(place), found.digest))
        else:
            layers = tuple(map(blob_file, found.manifest.layers, blobs))
            OciLayout(place).write(found.manifest, found.config_raw, layers)
            run.emit(Exported("oci-layout", str(place), found.digest))
    sys.stdout.write(f"{found.digest}\n")
    return 0


COMMAND = Command("pull", _USAGE, Table(of_build("custom-platform", "state-dir", *REGISTRY, *TALKING)), _pull)
