"""``gazami push``: an image that exists as files, to registries."""

from __future__ import annotations

from gazami.cli.command import Command, Execution, one_positional, task
from gazami.cli.commands.places import place_of, split
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.flags.registries import QUIETLY, WRITING, table
from gazami.errors import UsageError

_USAGE = """\
Push an image that exists as files.

Usage:
  gazami push PATH[:NAME] --destination REF [flags]

PATH is an OCI layout directory, its tar archive, or an archive of docker save. NAME, or a digest, chooses one of several
images in a layout. An index is pushed with all its images.

Examples:
  gazami build . --no-push --oci-layout-path out
  gazami push out -t registry.example.com/app:1.0

  docker save app | gzip > app.tar.gz
  gazami push app.tar.gz -t registry.example.com/app:1.0
"""


def _push(flags: Flags, run: Execution) -> int:
    from gazami.builder.files.workspace import Workspace
    from gazami.builder.outputs.digest_files import digest_files, write_text
    from gazami.builder.outputs.publish import load, publish
    from gazami.builder.request import DigestFiles
    from gazami.cli.request.sandbox import state_dir
    from gazami.image.manifest import Manifest
    from gazami.image.reference import parse_reference

    text = one_positional(flags, "the path of an image")
    place = place_of(text) or split(text)
    path, name = place.path, place.name
    references = tuple(parse_reference(text) for text in flags[options.DESTINATION])
    if not references:
        raise UsageError("you must provide --destination", hint="for example: -t registry.example.com/app:1.0")
    with Workspace(state_dir(flags[options.STATE_DIR], run.around)) as workspace, run.registry(flags) as client:
        stored = load(path, name, workspace)
        if not flags[options.SKIP_PUSH_PERMISSION_CHECK]:
            for reference in {each.context: each for each in references}.values():
                client.checks.check(reference)
        digest = publish(stored, references, client, run.emit)
        files = DigestFiles(
            digest=flags[options.DIGEST_FILE],
            names=flags[options.IMAGE_NAME_WITH_DIGEST_FILE],
            tagged_names=flags[options.IMAGE_NAME_TAG_WITH_DIGEST_FILE],
        )
        image_id = stored.top.config.digest if isinstance(stored.top, Manifest) else digest
        for file, said in digest_files(files, references, image_id, digest, pushed=True):
            write_text(file, said, client.transport)
    run.say(f"{digest}\n")
    return 0


COMMAND = Command(
    "push",
    _USAGE,
    table(
        (
            options.DESTINATION, options.DIGEST_FILE, options.IMAGE_NAME_WITH_DIGEST_FILE, options.IMAGE_NAME_TAG_WITH_DIGEST_FILE,
            options.SKIP_PUSH_PERMISSION_CHECK, options.STATE_DIR,
        ),
        (*WRITING, *QUIETLY),
    ),
    task(_push),
)  # fmt: skip
