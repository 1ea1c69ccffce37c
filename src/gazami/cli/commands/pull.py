"""``gazami pull``: an image from a registry, into a layout or an archive."""

from __future__ import annotations

from pathlib import Path

from gazami.cli.command import Command, Execution, task
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.options import STATE_DIR
from gazami.cli.flags.registries import PLATFORM, QUIETLY, READING, table
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


def _pull(flags: Flags, run: Execution) -> int:
    from gazami.builder.files.blob_files import BlobFiles
    from gazami.builder.files.workspace import Workspace
    from gazami.cli.request.plan import platform_of
    from gazami.cli.request.sandbox import state_dir
    from gazami.events import Exported
    from gazami.image.model import Layer, Remote
    from gazami.image.reference import parse_reference
    from gazami.layer.docker_archive import write_docker_archive
    from gazami.layer.oci_layout import OciLayout, blob_file

    if len(flags.positionals) != 2:
        raise UsageError("a reference and a directory or file are needed", hint="gazami pull debian:12 debian/")
    reference, place = parse_reference(flags.positionals[0]), Path(flags.positionals[1].removeprefix("oci:"))
    if not place.name.endswith(".tar"):
        check_layout_place(place)
    platform = platform_of(flags, run.around)
    with Workspace(state_dir(flags[STATE_DIR], run.around)) as workspace, run.registry(flags) as client:
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
    run.say(f"{found.digest}\n")
    return 0


def check_layout_place(folder: Path) -> None:
    """Raises :class:`UsageError` for a directory that has files and is no layout: a layout's would lie among them."""
    try:
        if not folder.exists() or (folder / "index.json").exists() or not any(folder.iterdir()):
            return
    except NotADirectoryError:
        raise UsageError(f"{folder} is a file", hint="an archive's name ends with .tar; a layout is a directory") from None
    raise UsageError(f"{folder} has files and is not an OCI layout", hint="name a new or an empty directory, or FILE.tar")


COMMAND = Command("pull", _USAGE, table((PLATFORM, STATE_DIR), (*READING, *QUIETLY)), task(_pull))
