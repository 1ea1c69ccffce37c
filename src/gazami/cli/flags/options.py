"""The table of flags of ``gazami build``: every flag of kaniko's executor, and gazami's own.

Parsing, help, the reference page and the warnings about flags without effect all read this table. To make a flag
effective, delete its ``effect=`` and ``note=``.
"""

from __future__ import annotations

from gazami.cli.flags.option import Effect, Group, Kind, Option, Table
from gazami.sandbox.modes import MODES

_OWN_ROOT = "gazami unpacks into a directory of its own that it removes itself, never over its own file system"

_BUILD = (
    Option("context", Kind.STRING, Group.BUILD, "Where the files that COPY and ADD see are: a directory or dir://, "
           "tar://FILE, tar://stdin or -, git:// or another Git URL, s3://, gs://, https:// (Azure Blob, or any "
           "archive). The positional argument means the same.", default="/workspace/",
           metavar="PATH|URI", shorthands="c"),
    Option("context-sub-path", Kind.STRING, Group.BUILD, "Use this directory inside of the context as the context.",
           metavar="PATH"),
    Option("dockerfile", Kind.STRING, Group.BUILD, "The Dockerfile: a path, looked up in the working directory first and "
           "then in the context, a URL, or - for standard input. Default: the context's own.", default="Dockerfile",
           metavar="PATH|URL|-", shorthands="f", aliases=("file",)),
    Option("build-arg", Kind.MULTI, Group.BUILD, "Set an ARG of the Dockerfile. A bare NAME takes its value from the "
           "environment.", metavar="NAME[=VALUE]"),
    Option("target", Kind.SLICE, Group.BUILD, "Build this stage instead of the last one. Several: the first is the image, "
           "the others are left out.", metavar="STAGE,…"),
    Option("label", Kind.MULTI, Group.BUILD, "Add a label to the image's config; wins over LABEL.", metavar="KEY=VALUE"),
    Option("custom-platform", Kind.STRING, Group.BUILD, "Platform to build for; default: the one of this machine.",
           metavar="OS/ARCH[/VARIANT]", aliases=("platform",), deprecated=("customPlatform",)),
    Option("secret", Kind.SECRET, Group.BUILD, "A secret for RUN --mount=type=secret, from a file (src=PATH) or from a "
           "variable (env=NAME). It never enters a layer.", metavar="id=ID[,src=PATH|,env=NAME]"),
    Option("ssh", Kind.MULTI, Group.BUILD, "An ssh agent for RUN --mount=type=ssh: default (the one of SSH_AUTH_SOCK), or "
           "ID=SOCKET.", metavar="default|ID[=SOCKET]", kaniko=False),
    Option("build-context", Kind.KEY_VALUE, Group.BUILD, "A further context for COPY --from=NAME and FROM NAME.",
           metavar="NAME=PATH|docker-image://REF|oci-layout://PATH|URL", kaniko=False),
    Option("git", Kind.KEY_VALUE, Group.BUILD, "How to clone a git context, one key at a time: branch, single-branch, "
           "depth, recurse-submodules, insecure-skip-tls.", metavar="KEY=VALUE"),
    Option("bucket", Kind.STRING, Group.BUILD, "Bucket of the context; write it into --context instead.", metavar="BUCKET",
           shorthands="b", hidden=True),
    Option("dryrun", Kind.BOOL, Group.BUILD, "Print what would be done, do nothing, end with status 0.", default="false",
           aliases=("dry-run",)),
    Option("check", Kind.BOOL, Group.BUILD, "Check the Dockerfile, print what is found, build nothing; findings end with "
           "status 1. See also gazami lint.", default="false", kaniko=False),
    Option("call", Kind.STRING, Group.BUILD, "Print something about the Dockerfile instead of building it: check, outline (what "
           "a target can be given), targets.", metavar="METHOD[,format=json]", kaniko=False),
)  # fmt: skip

_OUTPUT = (
    Option("destination", Kind.MULTI, Group.OUTPUT, "Push the image to this name. Needed unless --no-push is given.",
           metavar="NAME[:TAG]", shorthands="td", aliases=("tag",)),
    Option("no-push", Kind.BOOL, Group.OUTPUT, "Do not push the image.", default="false", env="KANIKO_NO_PUSH",
           env_wins=True),
    Option("tar-path", Kind.STRING, Group.OUTPUT, "Write the image as an archive for docker load.", metavar="FILE",
           aliases=("tarPath",)),
    Option("oci-layout-path", Kind.STRING, Group.OUTPUT, "Write the image as an OCI layout directory.", metavar="DIR"),
    Option("output", Kind.MULTI, Group.OUTPUT, "As docker buildx has it: type=local,dest=DIR and type=tar,dest=FILE write the "
           "image's files, type=oci and type=docker archives of the image; type=registry,name=REF pushes. A bare DIR is local, "
           "- is a tar on standard output.", metavar="type=TYPE,dest=PLACE", shorthands="o", kaniko=False),
    Option("digest-file", Kind.STRING, Group.OUTPUT, "Write the digest of the manifest (sha256:…) to this file, or PUT it to "
           "this URL, once everything is pushed.", metavar="FILE|URL"),
    Option("image-name-with-digest-file", Kind.STRING, Group.OUTPUT, "Write one line NAME@DIGEST for each destination.",
           metavar="FILE|URL"),
    Option("image-name-tag-with-digest-file", Kind.STRING, Group.OUTPUT, "Write one line NAME:TAG@DIGEST for each "
           "destination.", metavar="FILE|URL"),
    Option("iidfile", Kind.STRING, Group.OUTPUT, "Write the image's ID (the digest of its config) to this file.",
           metavar="FILE", kaniko=False),
    Option("metadata-file", Kind.STRING, Group.OUTPUT, "Write digests and names as JSON, with buildx's keys.", metavar="FILE",
           kaniko=False),
    Option("index", Kind.SLICE, Group.OUTPUT, "This build's image is one of an index of these platforms, which other builds "
           "make: it is pushed under a tag of its own, and the last of them pushes the index to the destinations.",
           metavar="OS/ARCH,…", kaniko=False),
    Option("index-run", Kind.STRING, Group.OUTPUT, "What the builds of one --index have in common and no others have: the "
           "number of a pipeline's run and attempt.", metavar="ID", kaniko=False),
    Option("image-format", Kind.CHOICE, Group.OUTPUT, "Media types of the manifest; default: those of the base image, "
           "and OCI's for FROM scratch.",
           choices=("docker", "oci")),
    Option("compression", Kind.CHOICE, Group.OUTPUT, "Compression of new layers; zstd needs an OCI image. Default: gzip.",
           choices=("gzip", "zstd")),
    Option("compression-level", Kind.INT, Group.OUTPUT, "Level of the compressor; 0 and less mean its fast default.",
           default="-1", metavar="N"),
    Option("annotation", Kind.KEY_VALUE, Group.OUTPUT, "Add an annotation to the manifest, or with index:KEY to the index; "
           "manifest[PLATFORM]:KEY counts for that platform only.", metavar="[TYPE:]KEY=VALUE"),
    Option("push-retry", Kind.INT, Group.OUTPUT, "Try a failed push so many times again.", default="0", metavar="N"),
    Option("push-ignore-immutable-tag-errors", Kind.BOOL, Group.OUTPUT, "A tag that exists and may not change is no error.",
           default="false"),
    Option("skip-push-permission-check", Kind.BOOL, Group.OUTPUT, "Do not check before the build that a push is allowed.",
           default="false"),
)  # fmt: skip

_REGISTRY = (
    Option("insecure", Kind.BOOL, Group.REGISTRY, "Push over plain HTTP.", default="false"),
    Option("insecure-pull", Kind.BOOL, Group.REGISTRY, "Pull over plain HTTP.", default="false"),
    Option("insecure-registry", Kind.MULTI, Group.REGISTRY, "Speak plain HTTP with this registry.", metavar="HOST[:PORT]"),
    Option("skip-tls-verify", Kind.BOOL, Group.REGISTRY, "Accept any TLS certificate, on push and pull.", default="false"),
    Option("skip-tls-verify-pull", Kind.BOOL, Group.REGISTRY, "Accept any TLS certificate on pull.", default="false"),
    Option("skip-tls-verify-registry", Kind.MULTI, Group.REGISTRY, "Accept any TLS certificate of this registry.",
           metavar="HOST[:PORT]"),
    Option("registry-certificate", Kind.KEY_VALUE, Group.REGISTRY, "Trust this CA file (PEM) for a registry, besides the "
           "system's.", metavar="HOST[:PORT]=FILE"),
    Option("registry-client-cert", Kind.KEY_VALUE, Group.REGISTRY, "Client certificate and key (PEM) for a registry.",
           metavar="HOST[:PORT]=CERT,KEY"),
    Option("registry-map", Kind.MULTI_VALUE, Group.REGISTRY, "Pull images of one registry from another first.",
           metavar="HOST=OTHER[/PREFIX]", env="KANIKO_REGISTRY_MAP"),
    Option("registry-mirror", Kind.MULTI, Group.REGISTRY, "Pull Docker Hub's images from here first.",
           metavar="HOST[/PREFIX]", env="KANIKO_REGISTRY_MIRROR"),
    Option("skip-default-registry-fallback", Kind.BOOL, Group.REGISTRY, "An image that no mirror has is an error.",
           default="false"),
    Option("image-download-retry", Kind.INT, Group.REGISTRY, "Try a failed pull so many times again.", default="0",
           metavar="N"),
    Option("image-fs-extract-retry", Kind.INT, Group.REGISTRY, "Try a failed pull of a base's layer so many times again.",
           default="0", metavar="N"),
    Option("credential-helpers", Kind.MULTI, Group.REGISTRY, "Ask only these for credentials: env, google, ecr, acr, "
           "gitlab. An empty value: none of them.", metavar="NAME"),
)  # fmt: skip

_CACHE = (
    Option("cache", Kind.BOOL, Group.CACHE, "Reuse the layers of earlier builds.", default="false"),
    Option("cache-repo", Kind.STRING, Group.CACHE, "Repository of cached layers, or oci:DIR; default: DESTINATION/cache.",
           metavar="NAME|oci:DIR"),
    Option("cache-from", Kind.MULTI, Group.CACHE, "As docker buildx has it: read this cache too. type=registry,ref=REF (also an "
           "image built with --cache-to type=inline), type=local,src=DIR.", metavar="REF|type=…", kaniko=False),
    Option("cache-to", Kind.MULTI, Group.CACHE, "As docker buildx has it: write this cache. type=registry,ref=REF, "
           "type=local,dest=DIR, type=inline (the keys go into the image).", metavar="type=…", kaniko=False),
    Option("no-cache", Kind.BOOL, Group.CACHE, "Reuse nothing, whatever else is said.", default="false", kaniko=False),
    Option("cache-mounts", Kind.BOOL, Group.CACHE, "Keep what RUN --mount=type=cache holds in the layer cache too, for runners "
           "that start empty.", default="false", kaniko=False),
    Option("cache-mounts-max", Kind.STRING, Group.CACHE, "A cache mount that holds more than this is not kept there.", default="1g",
           metavar="SIZE", kaniko=False),
    Option("cache-dir", Kind.STRING, Group.CACHE, "Directory of base images that the warmer filled.", default="/cache",
           metavar="DIR"),
    Option("cache-ttl", Kind.DURATION, Group.CACHE, "Cached layers older than this are not used.", default="336h",
           metavar="DURATION"),
    Option("cache-copy-layers", Kind.BOOL, Group.CACHE, "Cache the layers of COPY and ADD too.", default="false"),
    Option("cache-run-layers", Kind.BOOL, Group.CACHE, "Cache the layers of RUN.", default="true"),
    Option("no-push-cache", Kind.BOOL, Group.CACHE, "Do not push layers to the cache.", default="false"),
    Option("compressed-caching", Kind.BOOL, Group.CACHE, "Keep compressed layers in memory.", default="true",
           effect=Effect.NOTHING, note="layers are compressed once and kept in a file, memory is bounded either way"),
)  # fmt: skip

_SNAPSHOT = (
    Option("snapshot-mode", Kind.CHOICE, Group.SNAPSHOT, "What counts as a change where roots are plain directories: full "
           "(any stat, ctime too), redo (size, mtime, mode, owner), time (mtime). Overlay roots know their changes.",
           default="full", choices=("full", "redo", "time"),
           deprecated=("snapshotMode",)),
    Option("single-snapshot", Kind.BOOL, Group.SNAPSHOT, "Make one layer of each stage, after its last step.",
           default="false"),
    Option("reproducible", Kind.BOOL, Group.SNAPSHOT, "Leave times out of the image: equal inputs give equal digests. New layers "
           "and the history get the time 0; layers of the base stay as they are.", default="false"),
    Option("ignore-path", Kind.MULTI, Group.SNAPSHOT, "Never take what a RUN does to this path, and below it, into a layer.",
           metavar="PATH"),
    Option("ignore-var-run", Kind.BOOL, Group.SNAPSHOT, "Never take /var/run into a layer.", default="true",
           deprecated=("whitelist-var-run",), effect=Effect.NOTHING,
           note="a RUN sees the image's own /var/run, which is part of the image as with docker build"),
    Option("use-new-run", Kind.BOOL, Group.SNAPSHOT, "Another way to find changed files.", default="false",
           effect=Effect.NOTHING, note="the fastest way that works here is always chosen"),
)  # fmt: skip

_SANDBOX = (
    Option("isolation", Kind.CHOICE, Group.SANDBOX, "How RUN is kept apart; default: the best that works here. inplace "
           "lends commands the root of gazami's own container.",
           choices=tuple(mode.name for mode in MODES), kaniko=False),
    Option("state-dir", Kind.STRING, Group.SANDBOX, "Where everything temporary lies; default: $GAZAMI_STATE_DIR, else a "
           "folder in $XDG_CACHE_HOME, $TMPDIR, ~/.cache or /tmp.", metavar="DIR", env="GAZAMI_STATE_DIR", kaniko=False),
    Option("add-host", Kind.MULTI, Group.SANDBOX, "Add a line to /etc/hosts of RUN.", metavar="NAME:ADDRESS", kaniko=False),
    Option("shm-size", Kind.STRING, Group.SANDBOX, "Size of /dev/shm in RUN: bytes, or with k, m, g.", default="64m",
           metavar="SIZE", kaniko=False),
    Option("ulimit", Kind.MULTI, Group.SANDBOX, "A limit of the processes of RUN: nofile=1024:2048.",
           metavar="NAME=SOFT[:HARD]", kaniko=False),
    Option("timeout", Kind.SECONDS, Group.SANDBOX, "End a RUN that takes longer (600, 10m); default: no limit.",
           metavar="SECONDS", kaniko=False),
    Option("force", Kind.BOOL, Group.SANDBOX, "Allow --isolation=inplace outside of gazami's image in a container.",
           default="false"),
)  # fmt: skip

_LOGGING = (
    Option("verbosity", Kind.CHOICE, Group.LOGGING, "How much to say on standard error.", default="info", shorthands="v",
           choices=("trace", "debug", "info", "warn", "error", "fatal", "panic")),
    Option("quiet", Kind.BOOL, Group.LOGGING, "Say nothing but errors; print the image's digest at the end.",
           default="false", shorthands="q", kaniko=False),
    Option("progress", Kind.CHOICE, Group.LOGGING, "A live view (tty) or lines (plain); auto: tty on a terminal.",
           default="auto", choices=("auto", "plain", "tty"), kaniko=False),
    Option("log-format", Kind.CHOICE, Group.LOGGING, "Form of the lines; default: color on a terminal and in CI unless "
           "NO_COLOR is set, else text. events: every event as a JSON object, as gazami submit reads it.",
           choices=("text", "color", "json", "events")),
    Option("log-timestamp", Kind.BOOL, Group.LOGGING, "Full time stamps instead of seconds since the start.",
           default="false"),
)  # fmt: skip

_COMPATIBILITY = (
    Option("kaniko-dir", Kind.STRING, Group.COMPATIBILITY, "kaniko's working directory.", metavar="DIR",
           effect=Effect.NOTHING, note="use --state-dir"),
    Option("pre-cleanup", Kind.BOOL, Group.COMPATIBILITY, "Empty the container before the build.", default="false",
           env="KANIKO_PRE_CLEANUP", effect=Effect.NOTHING, note=_OWN_ROOT),
    Option("cleanup", Kind.BOOL, Group.COMPATIBILITY, "Empty the container after the build.", default="false",
           env="KANIKO_CLEANUP", effect=Effect.NOTHING, note=_OWN_ROOT),
    Option("preserve-context", Kind.BOOL, Group.COMPATIBILITY, "Keep the context over a cleanup.", default="false",
           env="KANIKO_PRESERVE_CONTEXT", effect=Effect.NOTHING, note=_OWN_ROOT),
    Option("materialize", Kind.BOOL, Group.COMPATIBILITY, "Unpack the final stage though no step needs it.",
           default="false", effect=Effect.NOTHING, note="the image is the same without it"),
    Option("force-build-metadata", Kind.BOOL, Group.COMPATIBILITY, "Record metadata steps.", default="false",
           effect=Effect.NOTHING, note="this is always done"),
    Option("skip-unused-stages", Kind.BOOL, Group.COMPATIBILITY, "Leave out stages that nothing needs.", default="false",
           effect=Effect.NOTHING, note="this is always done"),
    Option("azure-container-registry-config", Kind.STRING, Group.COMPATIBILITY, "File of a library that kaniko uses.",
           metavar="FILE", hidden=True, effect=Effect.NOTHING, note="that library is not used"),
)  # fmt: skip

BUILD = Table((*_BUILD, *_OUTPUT, *_REGISTRY, *_CACHE, *_SNAPSHOT, *_SANDBOX, *_LOGGING, *_COMPATIBILITY))

ELSEWHERE = {
    "push": "the image is pushed unless --no-push is given",
    "load": "write an archive with --tar-path and give it to docker load",
}
"""Flags of other builders, and what to write here."""
