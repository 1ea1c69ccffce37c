"""What ``docker build`` and ``docker buildx build`` have besides the flags of :mod:`gazami.cli.flags.options`.

A row here is a flag that ``gazami build`` takes: one that does something, or one that has nothing to do, with the reason.
:data:`ELSEWHERE` has the others, of podman too, with what to use here. kaniko's executor takes none of them.
"""

from __future__ import annotations

from typing import Literal

from gazami.cli.flags.kinds import BOOL, COMMA_LIST, LIST, NUMBER, STRING, choice, each, one
from gazami.cli.flags.option import FlagKind, Group, Option, Table
from gazami.errors import UsageError
from gazami.values import replace

_OFF = frozenset({"", "false", "0", "f", "disabled=true"})
_PULLS = frozenset({"true", "false", "1", "0", "always", "missing", "newer", "ifnewer", "ifmissing"})


def _attestation(word: str, spelling: str) -> str:
    """Only that there is none is true here, and a build must not go on as if there were one."""
    fields = frozenset(word.lower().split(","))
    if fields <= _OFF | {"type=provenance", "type=sbom"} and fields & _OFF:
        return word
    hint = f"leave it out, or write {spelling}={'type=provenance,disabled=true' if spelling == '--attest' else 'false'}"
    raise UsageError(f"{spelling}={word}: gazami build attaches no attestations", hint=hint)


def _pull(word: str, spelling: str) -> bool:
    if word.lower() not in _PULLS:
        hint = "for a base image without a registry: FROM NAME with --build-context NAME=oci-layout://DIR"
        raise UsageError(f"{spelling}={word}: every build asks the registry for its base images", hint=hint)
    return word.lower() not in ("false", "0")


_ATTESTATION: FlagKind[str] = one(_attestation)
_LIMIT = "limit the container or the service that gazami runs in"
_DAEMON = "there is no daemon"
_CLEAN = "gazami has no intermediate containers"

# fmt: off

PUSH = Option("push", BOOL, Group.DOCKER, "Push the image to its names (-t): what happens anyway, but for --load. With =false, "
    "do not push.", default="true", kaniko=False)
LOAD = Option("load", BOOL, Group.DOCKER, "Give the image to docker load, or to podman load, instead of pushing it.",
    default="false", kaniko=False)
NO_CACHE_FILTER = Option("no-cache-filter", COMMA_LIST, Group.DOCKER, "Build these stages without cache hits.",
    metavar="STAGE,…", kaniko=False)
NETWORK: Option[Literal["", "default", "host", "none"]] = Option("network", choice("", "default", "host", "none"), Group.DOCKER,
    "Network of RUN steps that name none. default and host are the network that gazami itself has.", kaniko=False)
SQUASH = Option("squash", BOOL, Group.DOCKER, "The same as --single-snapshot.", default="false", kaniko=False)
DEBUG = Option("debug", BOOL, Group.DOCKER, "The same as --verbosity=debug.", default="false", shorthands="D", kaniko=False)
PULL = Option("pull", replace(one(_pull), bare=True), Group.DOCKER, "Look for newer base images.", default="false", kaniko=False,
    unused="every build asks the registry for its base images, and fetches only layers that it lacks")
PROVENANCE = Option("provenance", _ATTESTATION, Group.DOCKER, "Attach a provenance attestation.", metavar="false", kaniko=False,
    unused="gazami build attaches no attestations")
SBOM = Option("sbom", _ATTESTATION, Group.DOCKER, "Attach an SBOM.", metavar="false", kaniko=False,
    unused="gazami build attaches no attestations")
ATTEST = Option("attest", each(_attestation), Group.DOCKER, "Attach an attestation.", metavar="type=TYPE,disabled=true",
    kaniko=False, unused="gazami build attaches no attestations")
ALLOW = Option("allow", LIST, Group.DOCKER, "Entitlements of RUN steps.", metavar="NAME", kaniko=False,
    unused="what a RUN may do is decided by --isolation")
BUILDER = Option("builder", STRING, Group.DOCKER, "Name of a builder.", metavar="NAME", kaniko=False, unused=_DAEMON)
JOBS = Option("jobs", NUMBER, Group.DOCKER, "Stages at the same time.", metavar="N", default="0", kaniko=False,
    unused="independent stages run at the same time anyway")
LAYERS = Option("layers", BOOL, Group.DOCKER, "Cache steps.", default="true", kaniko=False,
    unused="steps are cached unless --no-cache is given")
RM = Option("rm", BOOL, Group.DOCKER, "Remove intermediate containers.", default="true", kaniko=False, unused=_CLEAN)
FORCE_RM = Option("force-rm", BOOL, Group.DOCKER, "Remove intermediate containers after a failure too.", default="false",
    kaniko=False, unused=_CLEAN)
COMPRESS = Option("compress", BOOL, Group.DOCKER, "Compress the context.", default="false", kaniko=False,
    unused="the context is read where it is")
STREAM = Option("stream", BOOL, Group.DOCKER, "Stream the context.", default="false", kaniko=False,
    unused="the context is read where it is")
SECURITY_OPT = Option("security-opt", LIST, Group.DOCKER, "Security options of RUN.", metavar="OPTION", kaniko=False,
    unused="what a RUN may do is decided by --isolation")
DISABLE_CONTENT_TRUST = Option("disable-content-trust", BOOL, Group.DOCKER, "Skip image verification.", default="true",
    kaniko=False, unused="gazami knows no Docker Content Trust; pin base images by digest")
CGROUP_PARENT = Option("cgroup-parent", STRING, Group.DOCKER, "Parent cgroup of RUN.", metavar="NAME", kaniko=False, unused=_LIMIT)
MEMORY = Option("memory", STRING, Group.DOCKER, "Memory limit.", metavar="SIZE", shorthands="m", kaniko=False, unused=_LIMIT)
MEMORY_SWAP = Option("memory-swap", STRING, Group.DOCKER, "Limit of memory and swap.", metavar="SIZE", kaniko=False, unused=_LIMIT)
CPU_SHARES = Option("cpu-shares", STRING, Group.DOCKER, "Weight of the processors.", metavar="N", kaniko=False, unused=_LIMIT)
CPU_PERIOD = Option("cpu-period", STRING, Group.DOCKER, "Period of the scheduler.", metavar="N", kaniko=False, unused=_LIMIT)
CPU_QUOTA = Option("cpu-quota", STRING, Group.DOCKER, "Quota of the scheduler.", metavar="N", kaniko=False, unused=_LIMIT)
CPUSET_CPUS = Option("cpuset-cpus", STRING, Group.DOCKER, "Processors of RUN.", metavar="LIST", kaniko=False, unused=_LIMIT)
CPUSET_MEMS = Option("cpuset-mems", STRING, Group.DOCKER, "Memory nodes of RUN.", metavar="LIST", kaniko=False, unused=_LIMIT)
RESOURCE = Option("resource", LIST, Group.DOCKER, "Limits of RUN.", metavar="KEY=VALUE", kaniko=False, unused=_LIMIT)

# fmt: on

DOCKER = Table([row for row in tuple(vars().values()) if isinstance(row, Option)])

_LOGIN = "run gazami login HOST, or point DOCKER_CONFIG to a directory with a config.json"
_IN_ROOT = "gazami gives RUN steps nothing of this machine; see --isolation and gazami doctor"

ELSEWHERE = {
    "policy": "gazami has no source policies; pin base images by digest",
    "source-policy-file": "gazami has no source policies; pin base images by digest",
    "detach": "run gazami in the background, or build in a cluster with gazami submit --detach",
    "root": _DAEMON,
    "server-config": _DAEMON,
    "invoke": "see docs/how-to/debug-a-failed-build.md",
    "on": "see docs/how-to/debug-a-failed-build.md",
    "print": "write --dryrun, or --call=outline",
    "format": "write --image-format=oci or --image-format=docker",
    "authfile": _LOGIN,
    "creds": _LOGIN,
    "tls-verify": "write --skip-tls-verify for unknown certificates, --insecure for plain HTTP",
    "cert-dir": "write --registry-certificate HOST=FILE",
    "timestamp": "set SOURCE_DATE_EPOCH, or write --reproducible",
    "squash-all": "write --single-snapshot, and FROM scratch with COPY --from for the base",
    "manifest": "write --index and --index-run",
    "ignorefile": "name the file like the Dockerfile, with .dockerignore at its end",
    "device": _IN_ROOT,
    "cap-add": _IN_ROOT,
    "userns": _IN_ROOT,
    "env": "write ENV into the Dockerfile, or ARG and --build-arg",
}
"""Flags of docker buildx and podman that there are not here, and what to write."""
