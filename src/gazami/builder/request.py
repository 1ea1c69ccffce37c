"""The options of one build, frozen and grouped so that a function takes only its group. Made by ``cli``."""

from __future__ import annotations

from typing import Literal

from gazami.image.platform import Platform
from gazami.registry.options import RegistryOptions
from gazami.values import fast_dataclass, field

Pairs = tuple[tuple[str, str], ...]
Existing = Literal["push", "fail", "skip"]
"""What becomes of a build whose destinations exist already."""


@fast_dataclass(frozen=True, slots=True)
class ContextOptions:
    """``context`` is a path or a URI; ``dockerfile`` a path (relative to the working directory first, then to the
    context, as kaniko looks it up), a URL, or ``-`` for standard input."""

    context: str = "/workspace/"
    sub_path: str = ""
    dockerfile: str = "Dockerfile"
    dockerfile_given: bool = True
    ignore_paths: tuple[str, ...] = ()
    git: Pairs = ()
    named: Pairs = ()
    environment: Pairs = field(default=(), repr=False)
    """Variables that say how contexts are fetched: those of clouds and of git, with their secrets."""


@fast_dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the Dockerfile is compiled with. ``build_args`` are resolved: a bare name already has its value."""

    host: Platform
    platform: Platform
    build_args: Pairs = ()
    targets: tuple[str, ...] = ()
    labels: Pairs = ()


@fast_dataclass(frozen=True, slots=True)
class SnapshotOptions:
    mode: Literal["full", "redo", "time"] = "full"
    single: bool = False
    reproducible: bool = False


@fast_dataclass(frozen=True, slots=True)
class Volume:
    """A file or directory of this machine that every RUN sees at ``target``. Both are absolute paths."""

    source: str
    target: str
    readonly: bool = True


@fast_dataclass(frozen=True, slots=True)
class Volumes:
    """``exposed``: every mount of the container that is not the system's or the builder's too, read-only at its own path."""

    listed: tuple[Volume, ...] = ()
    exposed: bool = False


@fast_dataclass(frozen=True, slots=True)
class Limits:
    """Of a command: seconds, bytes of /dev/shm, and ``(name, soft, hard)``, where -1 is no limit."""

    timeout: float | None = None
    shm_size: int = 64 << 20
    ulimits: tuple[tuple[str, int, int], ...] = ()


@fast_dataclass(frozen=True, slots=True)
class SandboxOptions:
    """``isolation`` names a mode (:mod:`gazami.sandbox.modes`); None means: probe and choose. ``state_dir`` is where everything
    temporary lies."""

    state_dir: str
    memory: bool = True
    """Files of stages may lie on a tmpfs when they fit."""
    isolation: str | None = None
    force: bool = False
    in_container: bool = False
    secrets: tuple[tuple[str, str, str], ...] = ()
    """``(id, "file" | "env", value)``: a path, or the variable's value."""
    ssh: Pairs = ()
    """``(id, path of an agent's socket)``."""
    add_hosts: Pairs = ()
    """``(address, name)``."""
    limits: Limits = field(default_factory=Limits)
    network: Literal["default", "none"] = "default"
    """That of steps that name none."""
    volumes: Volumes = field(default_factory=Volumes)
    failed: FileExport | Literal["shell"] | None = None
    """Where the files of a RUN that fails go, or that somebody is to have a shell in them."""

    @property
    def failed_files(self) -> FileExport | None:
        return None if self.failed == "shell" else self.failed


@fast_dataclass(frozen=True, slots=True)
class CredentialOptions:
    """Where credentials for registries come from, and which files hold some."""

    helpers: tuple[str, ...] = ("env", "google", "ecr", "acr", "gitlab")
    """The built-in sources of credentials to ask, after docker's config."""
    environment: Pairs = field(default=(), repr=False)
    """The variables that those sources read."""
    named_hosts: tuple[str, ...] = ()
    """Registries that the command line or a CI system names, as opposed to a Dockerfile."""
    docker_config: str | None = field(default=None, repr=False)
    """Contents of docker's ``config.json`` found by the command line, as text."""
    docker_config_place: str | None = None
    """Where that text was found, for messages."""
    docker_config_files: tuple[str, ...] = ()
    """Files with registry credentials that are not read any more."""
    secret_files: tuple[str, ...] = ()
    """Files with credentials that may still be read: of clouds, of git, of the pod."""


@fast_dataclass(frozen=True, slots=True)
class FileExport:
    """The image as something else than an image in a registry: its files in a directory (``local``) or a tar (``tar``), or
    the archive of an OCI layout. ``dest`` ``-`` is standard output."""

    kind: Literal["local", "tar", "oci"]
    dest: str


@fast_dataclass(frozen=True, slots=True)
class IndexOptions:
    """The index that this build's image is to be part of. ``run`` and ``annotations`` are the same for the builds of all
    ``platforms``."""

    platforms: tuple[Platform, ...]
    run: str
    annotations: Pairs = ()


@fast_dataclass(frozen=True, slots=True)
class DigestFiles:
    """Files, or http and https URLs, that say what was built; empty ones are not written. ``builder_output`` is a directory that
    gets a file ``images`` after a push."""

    digest: str = ""
    names: str = ""
    tagged_names: str = ""
    image_id: str = ""
    metadata: str = ""
    builder_output: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.digest, self.names, self.tagged_names, self.image_id, self.metadata, self.builder_output)


@fast_dataclass(frozen=True, slots=True)
class FormatOptions:
    """How the image is encoded. ``media`` None means the base image's media types, ``level`` None the compressor's default.
    ``rewrite_timestamp``: files of new layers are not newer than SOURCE_DATE_EPOCH."""

    media: Literal["docker", "oci"] | None = None
    compression: Literal["gzip", "zstd"] = "gzip"
    level: int | None = None
    rewrite_timestamp: bool = False


@fast_dataclass(frozen=True, slots=True)
class OutputOptions:
    """``destinations`` are texts as typed."""

    destinations: tuple[str, ...] = ()
    push: bool = True
    check_push: bool = True
    tar_paths: tuple[str, ...] = ()
    oci_layout_paths: tuple[str, ...] = ()
    exports: tuple[FileExport, ...] = ()
    loader: str = ""
    """The program, docker or podman, whose ``load`` gets the image."""
    files: DigestFiles = field(default_factory=DigestFiles)
    format: FormatOptions = field(default_factory=FormatOptions)
    annotations: Pairs = ()
    index: IndexOptions | None = None
    existing: Existing = "push"

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file, directory and URL that is written to."""
        return (*self.tar_paths, *self.oci_layout_paths, *(export.dest for export in self.exports), *self.files.paths)

    @property
    def writes_layers(self) -> bool:
        """Whether layers' blobs are written to files of the user's, where nothing checks them any more."""
        return bool(self.tar_paths or self.oci_layout_paths or self.loader or any(each.kind == "oci" for each in self.exports))


@fast_dataclass(frozen=True, slots=True)
class CachedLayers:
    """Of which steps layers are cached."""

    runs: bool = True
    copies: bool = False


@fast_dataclass(frozen=True, slots=True)
class LeaseOptions:
    """Whether a step is left to another build that has it in hand, and for how many seconds at most. ``auto``: where it costs no
    request."""

    use: Literal["auto", "on", "off"] = "auto"
    bound: float = 600.0


@fast_dataclass(frozen=True, slots=True)
class CacheOptions:
    """``repositories`` are written and read, each has its part of the keys; ``sources`` are only read: repositories, images with an
    inline cache, or ``oci:DIR``. ``inline``: the image's manifest gets the keys of its layers."""

    enabled: bool = False
    repositories: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    inline: bool = False
    use: Literal["write", "read", "probe"] = "write"
    """``probe``: a step that is not in the cache is an error, and nothing is stored."""
    layers: CachedLayers = field(default_factory=lambda: CachedLayers())
    ttl: float = 336 * 3600.0
    directory: str = "/cache"
    mounts: int = 0
    """Bytes that a cache mount may hold to be stored in the cache; 0: none is."""
    stages_without: tuple[str, ...] = ()
    """Names or numbers of stages that are built without hits."""
    bound: int = 0
    """Bytes that the repository may have, where it is this machine's own cache, which keeps base layers too; else 0."""

    lease: LeaseOptions = field(default_factory=lambda: LeaseOptions())

    @property
    def repository(self) -> str:
        """The first one, empty where none is named."""
        return self.repositories[0] if self.repositories else ""

    @property
    def push(self) -> bool:
        return self.use == "write"

    @property
    def only(self) -> bool:
        return self.use == "probe"


@fast_dataclass(frozen=True, slots=True)
class BuildRequest:
    context: ContextOptions
    plan: PlanOptions
    sandbox: SandboxOptions
    output: OutputOptions = field(default_factory=OutputOptions)
    registry: RegistryOptions = field(default_factory=RegistryOptions)
    credentials: CredentialOptions = field(default_factory=CredentialOptions)
    create_repositories: bool = False
    """Amazon ECR's repositories of the destinations and the cache are made where they are missing."""
    snapshot: SnapshotOptions = field(default_factory=SnapshotOptions)
    cache: CacheOptions = field(default_factory=CacheOptions)
    dryrun: bool = False
    print_plan: bool = False
