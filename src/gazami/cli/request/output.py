"""Where the image goes: registries, files, and what they say about it. Pure."""

from __future__ import annotations

import re

from gazami.builder.request import DigestFiles, Existing, FormatOptions, IndexOptions, OutputOptions
from gazami.cli.environ import Surroundings
from gazami.cli.flags import options
from gazami.cli.flags.argv import Flags
from gazami.cli.paths import absolute, absolute_or_url
from gazami.cli.request.annotations import Annotations, read_annotations
from gazami.cli.request.exports import Outputs, read_outputs
from gazami.errors import UsageError
from gazami.events import Message
from gazami.image.platform import Platform, parse_platform
from gazami.image.reference import parse_reference


def output_options(flags: Flags, around: Surroundings, platform: Platform) -> OutputOptions:
    """Raises :class:`UsageError` for outputs that do not go together, and when there is none."""
    cwd = around.cwd
    outputs = read_outputs(flags[options.OUTPUT], cwd, flags.spelling(options.OUTPUT))
    destinations, push = _destinations(flags, outputs)
    tars = (*_given(absolute(flags[options.TAR_PATH], cwd)), *outputs.archives)
    _check_formats(flags, tars)
    for option in (options.IMAGE_NAME_WITH_DIGEST_FILE, options.IMAGE_NAME_TAG_WITH_DIGEST_FILE):
        if flags[option] and not destinations:
            raise UsageError(f"you must provide --destination if setting --{option.name}")
    annotations = _annotations(flags, platform)
    media, compression = flags[options.IMAGE_FORMAT], flags[options.COMPRESSION]
    return OutputOptions(
        destinations=destinations,
        push=push,
        check_push=not flags[options.SKIP_PUSH_PERMISSION_CHECK],
        tar_paths=tars,
        oci_layout_paths=(*_given(absolute(flags[options.OCI_LAYOUT_PATH], cwd)), *outputs.layouts),
        exports=outputs.exports,
        files=digest_files(flags, cwd, around.environ.get("BUILDER_OUTPUT", "")),
        format=FormatOptions(
            media or None,
            compression or "gzip",
            flags[options.COMPRESSION_LEVEL] if flags[options.COMPRESSION_LEVEL] > 0 else None,
            outputs.rewrite_timestamp,
        ),
        annotations=annotations.manifest,
        index=_index(flags, platform, annotations, push=push),
        existing=_existing(flags, outputs, tars, push=push),
    )


def digest_files(flags: Flags, cwd: str, builder_output: str = "") -> DigestFiles:
    """Relative paths are those of ``cwd``."""
    return DigestFiles(
        digest=absolute_or_url(flags[options.DIGEST_FILE], cwd),
        names=absolute_or_url(flags[options.IMAGE_NAME_WITH_DIGEST_FILE], cwd),
        tagged_names=absolute_or_url(flags[options.IMAGE_NAME_TAG_WITH_DIGEST_FILE], cwd),
        image_id=absolute_or_url(flags[options.IIDFILE], cwd),
        metadata=absolute_or_url(flags[options.METADATA_FILE], cwd),
        builder_output=absolute(builder_output, cwd),
    )


def unused_annotations(flags: Flags, platform: Platform) -> tuple[Message, ...]:
    return tuple(Message("warning", text) for text in _annotations(flags, platform).unused)


def _annotations(flags: Flags, platform: Platform) -> Annotations:
    return read_annotations(flags[options.ANNOTATION], platform, has_index=bool(flags[options.INDEX]))


def _destinations(flags: Flags, outputs: Outputs) -> tuple[tuple[str, ...], bool]:
    """The names of the image, and whether it is pushed to them."""
    destinations = tuple(dict.fromkeys((*flags[options.DESTINATION], *outputs.destinations)))
    here = outputs.keeps or outputs.loads
    push = not flags[options.NO_PUSH] and (outputs.pushes or (not here and bool(flags[options.DESTINATION] or not outputs)))
    if outputs.pushes and push and not destinations:
        raise UsageError("--output: the image has no name to be pushed to", hint="add name=REF to it, or --tag (-t)")
    if push and not destinations:
        hint = "for example: --destination registry.example.com/app:1.0"
        raise UsageError("you must provide --destination, or use --no-push", hint=hint)
    for destination in destinations:
        if parse_reference(destination).digest:
            raise UsageError(f"{flags.spelling(options.DESTINATION)} {destination}: an image is pushed by tag, not by digest")
    return destinations, push


def _existing(flags: Flags, outputs: Outputs, tars: tuple[str, ...], *, push: bool) -> Existing:
    wanted = flags[options.IF_EXISTS]
    if wanted == "push":
        return wanted
    if not push:
        raise UsageError(f"--if-exists={wanted} asks about destinations, and this build pushes to none")
    if wanted == "skip" and (tars or flags[options.OCI_LAYOUT_PATH] or outputs.layouts or outputs.exports):
        raise UsageError(
            "--if-exists=skip writes no image to files", hint="pull what exists: gazami pull REF FILE, or use --if-exists=fail"
        )
    return wanted


def _index(flags: Flags, platform: Platform, annotations: Annotations, *, push: bool) -> IndexOptions | None:
    texts, run = flags[options.INDEX], flags[options.INDEX_RUN]
    if not texts and not run:
        return None
    if not texts or not re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", run):
        hint = "for example: --index linux/amd64,linux/arm64 --index-run $CI_PIPELINE_ID"
        raise UsageError("--index and --index-run go together, and the run is up to 80 letters, digits, _ . -", hint=hint)
    if not push:
        raise UsageError("--index needs a push: the builds meet in the registry of --destination")
    platforms = tuple(dict.fromkeys(parse_platform(text) for text in texts))
    if platform not in platforms:
        raise UsageError(f"--index does not name {platform}, the platform of this build", hint="add it, or --platform")
    return IndexOptions(platforms, run, annotations.index)


def _given(text: str) -> tuple[str, ...]:
    return (text,) if text else ()


def _check_formats(flags: Flags, tar_paths: tuple[str, ...]) -> None:
    oci, zstd = flags[options.IMAGE_FORMAT] == "oci", flags[options.COMPRESSION] == "zstd"
    if zstd and flags[options.IMAGE_FORMAT] == "docker":
        hint = "use --image-format=oci, or --compression=gzip"
        raise UsageError("--compression=zstd cannot be used with --image-format=docker", hint=hint)
    if tar_paths and (oci or zstd):
        other = "--image-format=oci" if oci else "--compression=zstd"
        hint = "the archive is for docker load; --oci-layout-path writes an OCI image"
        raise UsageError(f"--tar-path cannot be used with {other}", hint=hint)
