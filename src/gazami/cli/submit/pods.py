"""The flags of ``gazami submit`` that say how the pods look, as the options of a pod."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gazami.cli.flags.argv import Flags
from gazami.cli.submit import flags as submit
from gazami.errors import UsageError
from gazami.kubernetes.job import Build, job_manifest
from gazami.kubernetes.options import Access, Confinement, Lifetime, Placement, PodOptions, Resources


def pod_options(flags: Flags) -> PodOptions:
    """Raises :class:`UsageError`."""
    image = flags[submit.EXECUTOR_IMAGE]
    if not image:
        raise UsageError(
            "submit needs --executor-image, the image that runs the build",
            hint="make images IMAGE_REPO=… builds and pushes it; GAZAMI_EXECUTOR_IMAGE names it once for all",
        )
    if flags[submit.RESTRICTED] and flags[submit.USER_NAMESPACE]:
        raise UsageError(
            "--restricted and --user-namespace exclude each other: the one has no capability, the other needs SYS_ADMIN",
            hint="in a restricted namespace, --seccomp-profile localhost/profiles/gazami.json isolates RUN",
        )
    options = PodOptions(
        image,
        flags[submit.IMAGE_PULL_POLICY],
        Resources(flags[submit.CPU], flags[submit.MEMORY], flags[submit.EPHEMERAL_STORAGE], flags[submit.CPU_LIMIT]),
        Placement(
            flags[submit.NODE_SELECTOR],
            flags[submit.TOLERATION],
            flags[submit.PRIORITY_CLASS],
            flags[submit.RUNTIME_CLASS],
            flags[submit.QUEUE],
        ),
        Access(
            flags[submit.SERVICE_ACCOUNT],
            flags[submit.IMAGE_PULL_SECRET],
            flags[submit.DOCKER_CONFIG_SECRET],
            flags[submit.ENV_FROM_SECRET],
            flags[submit.ENV],
        ),
        Confinement(flags[submit.RESTRICTED], flags[submit.USER_NAMESPACE], flags[submit.SECCOMP_PROFILE]),
        Lifetime(flags[submit.JOB_TIMEOUT], flags[submit.TTL]),
        flags[submit.POD_LABEL],
        flags[submit.POD_ANNOTATION],
        _patch(flags[submit.POD_PATCH]),
        flags[submit.KEEP],
    )
    job_manifest(Build("", "", ()), options)  # a patch that does not fit is refused before anything is sent
    return options


def _patch(path: str) -> dict[str, Any]:
    if not path:
        return {}
    import yaml

    try:
        found = yaml.safe_load(Path(path).read_bytes())
    except OSError as cause:
        raise UsageError(f"--pod-patch: cannot read {path}: {cause.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise UsageError(f"--pod-patch: {path} is neither YAML nor JSON: {' '.join(str(cause).split())}") from None
    if not isinstance(found, dict):
        raise UsageError(
            f"--pod-patch: {path} holds no object", hint="write the part of a pod template that is to change: metadata: and spec:"
        )
    return found
