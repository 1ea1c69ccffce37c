"""The flags of ``gazami build``: every flag of kaniko's executor, and gazami's own.

Parsing, help, the reference page, the warnings about flags without effect and the request all read these rows. A row of this
module is a flag; its place here is its place in the help.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gazami.cli.flags.kinds import (
    BOOL,
    COMMA_LIST,
    DURATION,
    LABELS,
    LIST,
    NUMBER,
    PAIR_LISTS,
    PAIRS,
    PLACES,
    SECONDS,
    SECRETS,
    SOME_SIZE,
    STRING,
    choice,
    optional,
)
from gazami.cli.flags.option import Group, Option, Table
from gazami.sandbox.modes import MODES

if TYPE_CHECKING:
    from gazami.report.line import Format, Severity

Progress = Literal["auto", "plain", "raw", "tty", "quiet", "none"]

_OWN_ROOT = "gazami unpacks into a directory of its own that it removes itself, never over its own file system"

# fmt: off

CONTEXT = Option("context", STRING, Group.BUILD, "Where the files that COPY and ADD see are: a directory or dir://, "
    "tar://FILE, tar://stdin or -, git:// or another Git URL, s3://, gs://, https:// (Azure Blob, or any archive). The "
    "positional argument means the same.", default="/workspace/", metavar="PATH|URI", shorthands="c")
CONTEXT_SUB_PATH = Option("context-sub-path", STRING, Group.BUILD, "Use this subdirectory of the context as the context.",
    metavar="PATH")
DOCKERFILE = Option("dockerfile", STRING, Group.BUILD, "The Dockerfile: a path, looked up in the working directory first and "
    "then in the context, a URL, or - for standard input. Default: the context's own.", default="Dockerfile",
    metavar="PATH|URL|-", shorthands="f", aliases=("file",))
BUILD_ARG = Option("build-arg", LIST, Group.BUILD, "Set an ARG of the Dockerfile. A bare NAME takes its value from the "
    "environment.", metavar="NAME[=VALUE]")
TARGET = Option("target", COMMA_LIST, Group.BUILD, "Build this stage instead of the last one. Of several, "
    "only the first is built.", metavar="STAGE,…")
LABEL = Option("label", LABELS, Group.BUILD, "Add a label to the image's config; wins over LABEL.", metavar="KEY=VALUE")
CUSTOM_PLATFORM = Option("custom-platform", STRING, Group.BUILD, "Platform to build for; default: this machine's.",
    metavar="OS/ARCH[/VARIANT]", aliases=("platform",), deprecated=("customPlatform",))
SECRET = Option("secret", SECRETS, Group.BUILD, "A secret for RUN --mount=type=secret, from a file (src=PATH) or from a "
    "variable (env=NAME). It never enters a layer.", metavar="id=ID[,src=PATH|,env=NAME]")
SSH = Option("ssh", LIST, Group.BUILD, "An ssh agent for RUN --mount=type=ssh: default (the one of SSH_AUTH_SOCK), or "
    "ID=SOCKET.", metavar="default|ID[=SOCKET]", kaniko=False)
BUILD_CONTEXT = Option("build-context", PAIRS, Group.BUILD, "An additional build context for COPY --from=NAME and FROM NAME.",
    metavar="NAME=PATH|docker-image://REF|oci-layout://PATH|URL", kaniko=False)
GIT = Option("git", PAIRS, Group.BUILD, "Set an option of the clone of a Git context: branch, single-branch, depth, "
    "recurse-submodules or insecure-skip-tls.", metavar="KEY=VALUE")
BUCKET = Option("bucket", STRING, Group.BUILD, "Bucket of the context; --context takes it too.", metavar="BUCKET",
    shorthands="b", hidden=True)
DRYRUN = Option("dryrun", BOOL, Group.BUILD, "Print the plan of the build and exit with status 0.", default="false",
    aliases=("dry-run",))
CHECK = Option("check", BOOL, Group.BUILD, "Check the Dockerfile and print the findings instead of building it; with findings, "
    "exit with status 1. See also gazami lint.", default="false", kaniko=False)
CALL = Option("call", STRING, Group.BUILD, "Print something about the Dockerfile instead of building it: check, outline (the "
    "inputs of a target), targets.", metavar="METHOD[,format=json]", kaniko=False)

DESTINATION = Option("destination", LIST, Group.OUTPUT, "Push the image to this name; without one, gazami build does "
    "not push. The executor needs one, or --no-push.",
    metavar="NAME[:TAG]", shorthands="td", aliases=("tag",))
NO_PUSH = Option("no-push", BOOL, Group.OUTPUT, "Do not push the image.", default="false", env="KANIKO_NO_PUSH", env_wins=True)
TAR_PATH = Option("tar-path", STRING, Group.OUTPUT, "Write the image as an archive for docker load.", metavar="FILE",
    aliases=("tarPath",))
OCI_LAYOUT_PATH = Option("oci-layout-path", STRING, Group.OUTPUT, "Write the image as an OCI layout directory.", metavar="DIR")
OUTPUT = Option("output", LIST, Group.OUTPUT, "Export the image as docker buildx does: type=local,dest=DIR and type=tar,dest=FILE "
    "write its files, type=oci and type=docker an archive of the image; type=registry,name=REF pushes it. A bare DIR is local, "
    "- is a tar on standard output.", metavar="type=TYPE,dest=PATH", shorthands="o", kaniko=False)
DIGEST_FILE = Option("digest-file", STRING, Group.OUTPUT, "Write the digest of the manifest (sha256:…) to this file, or PUT it "
    "to this URL, once everything is pushed.", metavar="FILE|URL")
IMAGE_NAME_WITH_DIGEST_FILE = Option("image-name-with-digest-file", STRING, Group.OUTPUT, "Write one line NAME@DIGEST for each "
    "destination.", metavar="FILE|URL")
IMAGE_NAME_TAG_WITH_DIGEST_FILE = Option("image-name-tag-with-digest-file", STRING, Group.OUTPUT, "Write one line "
    "NAME:TAG@DIGEST for each destination.", metavar="FILE|URL")
IIDFILE = Option("iidfile", STRING, Group.OUTPUT, "Write the image's ID (the digest of its config) to this file.",
    metavar="FILE", kaniko=False)
METADATA_FILE = Option("metadata-file", STRING, Group.OUTPUT, "Write digests and names as JSON, with buildx's keys.",
    metavar="FILE", kaniko=False)
REPORT = Option("report", STRING, Group.OUTPUT, "Write a report of the build into this directory, also when it fails: report.html, "
    "summary.md and summary.json.", metavar="DIR", kaniko=False)
INDEX = Option("index", COMMA_LIST, Group.OUTPUT, "Make an image index of these platforms, of which this build makes one: each "
    "build pushes its image under its own tag, and the build that finishes last pushes the index to the destinations.",
    metavar="OS/ARCH,…", kaniko=False)
INDEX_RUN = Option("index-run", STRING, Group.OUTPUT, "An ID that all builds of one --index share and no others: the number "
    "of the pipeline's run and attempt.", metavar="ID", kaniko=False)
IMAGE_FORMAT: Option[Literal["", "docker", "oci"]] = Option("image-format", choice("", "docker", "oci"), Group.OUTPUT,
    "Media types of the manifest; default: those of the base image, and OCI's for FROM scratch.")
COMPRESSION: Option[Literal["", "gzip", "zstd"]] = Option("compression", choice("", "gzip", "zstd"), Group.OUTPUT,
    "Compression of new layers; zstd needs an OCI image. Default: gzip.")
COMPRESSION_LEVEL = Option("compression-level", NUMBER, Group.OUTPUT, "Level of the compressor; 0 or less is its fast "
    "default.", default="-1", metavar="N")
ANNOTATION = Option("annotation", PAIRS, Group.OUTPUT, "Add an annotation to the manifest, or with index:KEY to the index; "
    "manifest[PLATFORM]:KEY is for that platform only.", metavar="[TYPE:]KEY=VALUE")
PUSH_RETRY = Option("push-retry", NUMBER, Group.OUTPUT, "Retry a failed push N times.", default="0", metavar="N")
PUSH_IGNORE_IMMUTABLE_TAG_ERRORS = Option("push-ignore-immutable-tag-errors", BOOL, Group.OUTPUT, "Succeed when a tag "
    "exists and is immutable.", default="false")
IF_EXISTS: Option[Literal["push", "fail", "skip"]] = Option("if-exists", choice("push", "fail", "skip"), Group.OUTPUT, "When a "
    "destination exists already: push over it; fail before anything is built; or skip the build if all of them are the same image, "
    "and write its digest.", default="push", kaniko=False)
CREATE_REPOSITORY = Option("create-repository", BOOL, Group.OUTPUT, "Create the repositories of the destinations and the cache in "
    "Amazon ECR where they are missing.", default="false", kaniko=False)
SKIP_PUSH_PERMISSION_CHECK = Option("skip-push-permission-check", BOOL, Group.OUTPUT, "Do not check before the build "
    "that a push is allowed.", default="false")

INSECURE = Option("insecure", BOOL, Group.REGISTRY, "Push over plain HTTP.", default="false")
INSECURE_PULL = Option("insecure-pull", BOOL, Group.REGISTRY, "Pull over plain HTTP.", default="false")
INSECURE_REGISTRY = Option("insecure-registry", LIST, Group.REGISTRY, "Use plain HTTP for this registry.",
    metavar="HOST[:PORT]")
SKIP_TLS_VERIFY = Option("skip-tls-verify", BOOL, Group.REGISTRY, "Accept any TLS certificate, on push and pull.",
    default="false")
SKIP_TLS_VERIFY_PULL = Option("skip-tls-verify-pull", BOOL, Group.REGISTRY, "Accept any TLS certificate on pull.",
    default="false")
SKIP_TLS_VERIFY_REGISTRY = Option("skip-tls-verify-registry", LIST, Group.REGISTRY, "Accept any TLS certificate of this "
    "registry.", metavar="HOST[:PORT]")
REGISTRY_CERTIFICATE = Option("registry-certificate", PAIRS, Group.REGISTRY, "Trust this CA file (PEM) for a registry, in "
    "addition to the system's.", metavar="HOST[:PORT]=FILE")
REGISTRY_CLIENT_CERT = Option("registry-client-cert", PAIRS, Group.REGISTRY, "Client certificate and key (PEM) for a "
    "registry.", metavar="HOST[:PORT]=CERT,KEY")
REGISTRY_MAP = Option("registry-map", PAIR_LISTS, Group.REGISTRY, "Pull images of one registry from another first.",
    metavar="HOST=OTHER[/PREFIX]", env="KANIKO_REGISTRY_MAP")
REGISTRY_MIRROR = Option("registry-mirror", LIST, Group.REGISTRY, "Pull Docker Hub's images from here first.",
    metavar="HOST[/PREFIX]", env="KANIKO_REGISTRY_MIRROR")
SKIP_DEFAULT_REGISTRY_FALLBACK = Option("skip-default-registry-fallback", BOOL, Group.REGISTRY, "Fail when no mirror has an "
    "image.", default="false")
IMAGE_DOWNLOAD_RETRY = Option("image-download-retry", NUMBER, Group.REGISTRY, "Retry a failed pull N times.",
    default="0", metavar="N")
IMAGE_FS_EXTRACT_RETRY = Option("image-fs-extract-retry", NUMBER, Group.REGISTRY, "Retry a failed pull of a base image's layer N "
    "times.", default="0", metavar="N")
CREDENTIAL_HELPERS = Option("credential-helpers", LIST, Group.REGISTRY, "Use only these sources of credentials: env, google, "
    "ecr, acr, gitlab. An empty value: none of them.", metavar="NAME")

CACHE = Option("cache", BOOL, Group.CACHE, "Reuse the layers of earlier builds.", default="false")
CACHE_REPO = Option("cache-repo", PLACES, Group.CACHE, "Repository of cached layers, or oci:DIR; default: DESTINATION/cache. Of "
    "several repositories (a,b,c) each has its part of the layers.", metavar="NAME|oci:DIR")
CACHE_FROM = Option("cache-from", LIST, Group.CACHE, "Also read this cache, as in docker buildx: type=registry,ref=REF (or an "
    "image built with --cache-to type=inline), type=local,src=DIR.", metavar="REF|type=…", kaniko=False)
CACHE_TO = Option("cache-to", LIST, Group.CACHE, "Write this cache, as in docker buildx: type=registry,ref=REF, "
    "type=local,dest=DIR, type=inline (the keys go into the image).", metavar="type=…", kaniko=False)
CACHE_LEASE: Option[Literal["auto", "on", "off"]] = Option("cache-lease", choice("auto", "on", "off"), Group.CACHE,
    "Wait for another build that is running the same step, and take its layer. auto: in caches that are directories. on: in a "
    "repository too, which takes some requests for each step that runs.", default="auto", kaniko=False)
CACHE_LEASE_TIMEOUT = Option("cache-lease-timeout", SECONDS, Group.CACHE, "Run a step here if another build has not made its layer "
    "after this time.", default="10m", metavar="DURATION", kaniko=False)
CACHED_ONLY = Option("cached-only", BOOL, Group.CACHE, "Do no step: print the digest that the build would have if the cache has "
    "every step that it would look up, else end with status 3 and name the step. Nothing is pushed.", default="false", kaniko=False)
NO_CACHE = Option("no-cache", BOOL, Group.CACHE, "Reuse nothing, whatever the other flags say.", default="false", kaniko=False)
CACHE_MOUNTS = Option("cache-mounts", BOOL, Group.CACHE, "Store cache mounts (RUN --mount=type=cache) in the layer cache, for "
    "runners that start empty.", default="false", kaniko=False)
CACHE_MOUNTS_MAX = Option("cache-mounts-max", SOME_SIZE, Group.CACHE, "Do not store a cache mount that is larger than "
    "this.", default="1g", metavar="SIZE", kaniko=False)
CACHE_DIR = Option("cache-dir", STRING, Group.CACHE, "Directory of base images that the warmer has filled.", default="/cache",
    metavar="DIR")
LOCAL_CACHE: Option[Literal["auto", "on", "off"]] = Option("local-cache", choice("auto", "on", "off"), Group.CACHE,
    "Keep layers of steps and of base images in the state directory, for the next build. auto: where no other cache is named, "
    "outside of containers and of CI. The executor has none.", default="auto", kaniko=False)
LOCAL_CACHE_MAX = Option("local-cache-max", SOME_SIZE, Group.CACHE, "Size of that cache; what was used longest ago is removed.",
    default="10g", metavar="SIZE", kaniko=False)
CACHE_TTL = Option("cache-ttl", DURATION, Group.CACHE, "Do not use cached layers older than this.", default="336h",
    metavar="DURATION")
CACHE_COPY_LAYERS = Option("cache-copy-layers", BOOL, Group.CACHE, "Cache the layers of COPY and ADD too.", default="false")
CACHE_RUN_LAYERS = Option("cache-run-layers", BOOL, Group.CACHE, "Cache the layers of RUN.", default="true")
NO_PUSH_CACHE = Option("no-push-cache", BOOL, Group.CACHE, "Do not push layers to the cache.", default="false")
COMPRESSED_CACHING = Option("compressed-caching", BOOL, Group.CACHE, "Keep compressed layers in memory.", default="true",
    unused="layers are compressed once and kept in a file, memory is bounded either way")

SNAPSHOT_MODE: Option[Literal["full", "redo", "time"]] = Option("snapshot-mode", choice("full", "redo", "time"), Group.SNAPSHOT,
    "What counts as a change where roots are plain directories: full (any stat, ctime too), redo (size, mtime, mode, owner), "
    "time (mtime). Overlay roots know their changes.", default="full", deprecated=("snapshotMode",))
SINGLE_SNAPSHOT = Option("single-snapshot", BOOL, Group.SNAPSHOT, "Make one layer per stage, after its last step.",
    default="false")
REPRODUCIBLE = Option("reproducible", BOOL, Group.SNAPSHOT, "Leave times out of the image: equal inputs give equal digests. "
    "New layers and the history get the time 0; layers of the base stay as they are.", default="false")
IGNORE_PATH = Option("ignore-path", LIST, Group.SNAPSHOT, "Never take what a RUN does to this path, and below it, into a "
    "layer.", metavar="PATH")
IGNORE_VAR_RUN = Option("ignore-var-run", BOOL, Group.SNAPSHOT, "Never take /var/run into a layer.", default="true",
    deprecated=("whitelist-var-run",),
    unused="a RUN sees the image's own /var/run, which is part of the image as with docker build")
USE_NEW_RUN = Option("use-new-run", BOOL, Group.SNAPSHOT, "Another way to find changed files.", default="false",
    unused="the fastest way that works here is always chosen")

ISOLATION = Option("isolation", choice("", "default", *(mode.name for mode in MODES)), Group.SANDBOX, "How to isolate RUN; "
    "default: the best mode that works here. inplace lends commands the root of gazami's own container.", kaniko=False)
STATE_DIR = Option("state-dir", STRING, Group.SANDBOX, "Directory of all temporary files; default: $GAZAMI_STATE_DIR, else a "
    "folder in $XDG_CACHE_HOME, $TMPDIR, ~/.cache or /tmp.", metavar="DIR", env="GAZAMI_STATE_DIR", kaniko=False)
ADD_HOST = Option("add-host", LIST, Group.SANDBOX, "Add a line to /etc/hosts of RUN.", metavar="NAME:ADDRESS", kaniko=False)
SHM_SIZE = Option("shm-size", SOME_SIZE, Group.SANDBOX, "Size of /dev/shm in RUN: bytes, or with k, m, g.", default="64m",
    metavar="SIZE", kaniko=False)
ULIMIT = Option("ulimit", LIST, Group.SANDBOX, "Set a resource limit for the processes of RUN: nofile=1024:2048.",
    metavar="NAME=SOFT[:HARD]", kaniko=False)
VOLUME = Option("volume", LIST, Group.SANDBOX, "Let every RUN see this file or directory of the machine: a package cache, a pod's "
    "volume. It is in no layer and no cache key. ro: read-only.", metavar="SRC:DST[:ro]", kaniko=False)
EXPOSE_MOUNTS = Option("expose-mounts", BOOL, Group.SANDBOX, "Let every RUN see the container's volumes at their own paths, "
    "read-only, as under kaniko; not credentials, the context, and what is below /kaniko.", default="false",
    kaniko=False)
TIMEOUT = Option("timeout", optional(SECONDS), Group.SANDBOX, "Stop a RUN that takes longer (600, 10m); default: no limit.",
    metavar="SECONDS", kaniko=False)
ON_FAILURE = Option("on-failure", STRING, Group.SANDBOX, "Write the files of a RUN that fails, as a tar or into an empty folder, "
    "and print how to look at them and how to repeat the step; or open a shell in them, on a terminal.",
    metavar="tar:FILE|dir:FOLDER|shell", kaniko=False)
FORCE = Option("force", BOOL, Group.SANDBOX, "Allow --isolation=inplace outside of gazami's image in a container.",
    default="false")

VERBOSITY: Option[Severity] = Option("verbosity", choice("trace", "debug", "info", "warn", "error", "fatal", "panic"),
    Group.LOGGING, "How much to write to standard error.", default="info", shorthands="v")
QUIET = Option("quiet", BOOL, Group.LOGGING, "Write only errors, and print the image's digest at the end.", default="false",
    shorthands="q", kaniko=False)
PROGRESS: Option[Progress] = Option("progress", choice("auto", "plain", "raw", "tty", "quiet", "none",
    rawjson="write --log-format=json, or --log-format=events for everything"), Group.LOGGING,
    "Show a live view (tty), or lines in which what RUN prints has its step's name before it (plain) or is as it is (raw), or "
    "nothing but errors (quiet, none); auto: tty on a terminal, else plain, and raw for the executor.", default="auto",
    kaniko=False)
LOG_FORMAT: Option[Literal[""] | Format] = Option("log-format", choice("", "text", "color", "json", "events"), Group.LOGGING,
    "Format of the lines; default: color on a terminal, into a pipe in CI and with FORCE_COLOR, unless NO_COLOR is set; else text. "
    "events: each event as a JSON object, for gazami submit.")
LOG_TIMESTAMP = Option("log-timestamp", BOOL, Group.LOGGING, "Write full timestamps instead of seconds since the start.",
    default="false")

KANIKO_DIR = Option("kaniko-dir", STRING, Group.COMPATIBILITY, "kaniko's working directory.", metavar="DIR",
    unused="use --state-dir")
PRE_CLEANUP = Option("pre-cleanup", BOOL, Group.COMPATIBILITY, "Empty the container before the build.", default="false",
    env="KANIKO_PRE_CLEANUP", unused=_OWN_ROOT)
CLEANUP = Option("cleanup", BOOL, Group.COMPATIBILITY, "Empty the container after the build.", default="false",
    env="KANIKO_CLEANUP", unused=_OWN_ROOT)
PRESERVE_CONTEXT = Option("preserve-context", BOOL, Group.COMPATIBILITY, "Keep the context over a cleanup.", default="false",
    env="KANIKO_PRESERVE_CONTEXT", unused=_OWN_ROOT)
MATERIALIZE = Option("materialize", BOOL, Group.COMPATIBILITY, "Unpack the final stage though no step needs it.",
    default="false", unused="the image is the same without it")
FORCE_BUILD_METADATA = Option("force-build-metadata", BOOL, Group.COMPATIBILITY, "Record metadata steps.", default="false",
    unused="this is always done")
SKIP_UNUSED_STAGES = Option("skip-unused-stages", BOOL, Group.COMPATIBILITY, "Leave out stages that nothing needs.",
    default="false", unused="this is always done")
AZURE_CONTAINER_REGISTRY_CONFIG = Option("azure-container-registry-config", STRING, Group.COMPATIBILITY,
    "File of a library that kaniko uses.", metavar="FILE", hidden=True, unused="that library is not used")

# fmt: on

# -- tables -----------------------------------------------------------------------------------------------------------

BUILD = Table([row for row in tuple(vars().values()) if isinstance(row, Option)])

LOGGING = tuple(row for row in BUILD if row.group is Group.LOGGING)
REGISTRY = (*(row for row in BUILD if row.group is Group.REGISTRY), PUSH_RETRY, PUSH_IGNORE_IMMUTABLE_TAG_ERRORS)
"""What every command that talks to a registry takes."""

ELSEWHERE = {
    "push": "the image is pushed unless --no-push is given",
    "load": "write an archive with --tar-path and give it to docker load",
}
"""Flags of other builders, and what to write here."""
