"""``gazami push``: an image that exists as files, to registries."""

from __future__ import annotations

import sys
from pathlib import Path

from gazami.cli.command import REGISTRY, TALKING, Command, Run, of_build, one_positional
from gazami.cli.flags.argv import Parsed
from gazami.cli.flags.option import Table
from gazami.errors import UsageError

_USAGE = """\
Push an image that exists as files.

Usage:
  gazami push PATH[:NAME] --destination REF [flags]

PATH is an OCI layout directory, its tar archive, or an archive of docker save. NAME, or a digest, chooses one of several
images in a layout. An index is pushed with all its images.

Examples:
  gazami build . --no-push --oci-layout-path out && gazami push out -t registry.example.com/app:1.0
  docker save app | gzip > app.tar.gz && gazami push app.tar.gz -t registry.example.com/app:1.0
"""


def _push(parsed: Parsed, run: Run) -> int:
    from gazami.builder.files.workspace import Workspace
    from gazami.builder.outputs.digest_files import digest_files, write_text
    from gazami.builder.outputs.publish import load, publish
    from gazami.builder.request import OutputWishes
    from gazami.cli.request import state_dir
    from gazami.image.manifest import Manifest
    from gazami.image.reference import parse_reference

    path, name = _split(one_positional(parsed, "the path of an image"))
    references = tuple(parse_reference(text) for text in parsed.texts("destination"))
    if not references:
        raise UsageError("you must provide --destination", hint="for example: -t registry.example.com/app:1.0")
    with Workspace(state_dir(parsed.text("state-dir"), run.around)) as workspace, run.registry(parsed) as client:
        stored = load(path, name, workspace)
        if not parsed.flag("skip-push-permission-check"):
            for reference in {each.context: each for each in references}.values():
                client.check_push(reference)
        digest = publish(stored, references, client, run.emit)
        output = OutputWishes(
            digest_file=parsed.text("digest-file"),
            image_name_with_digest_file=parsed.text("image-name-with-digest-file"),
            image_name_tag_with_digest_file=parsed.text("image-name-tag-with-digest-file"),
        )
        image_id = stored.top.config.digest if isinstance(stored.top, Manifest) else digest
        for place, text in digest_files(output, references, image_id, digest):
            write_text(place, text, client.transport)
    sys.stdout.write(f"{digest}\n")
    return 0


def _split(text: str) -> tuple[Path, str]:
    path = Path(text)
    if path.exists():
        return path, ""
    head, _, name = text.partition("@") if "@" in text else text.rpartition(":")
    return (Path(head), name) if head else (path, "")


COMMAND = Command(
    "push",
    _USAGE,
    Table(
        of_build(
            "destination", "digest-file", "image-name-with-digest-file", "image-name-tag-with-digest-file",
            "skip-push-permission-check", "state-dir", *REGISTRY, *TALKING,
        )
    ),
    _push,
)  # fmt: skip
