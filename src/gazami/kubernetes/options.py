"""How the pods of a build look, as far as flags say so: grouped values, read by :mod:`gazami.kubernetes.job`. Pure.

Quantities (``cpu``, ``memory``) are written as Kubernetes has them; times are seconds.
"""

from __future__ import annotations

from typing import Any

from gazami.values import fast_dataclass, field

Pairs = tuple[tuple[str, str], ...]

CPU, MEMORY, EPHEMERAL_STORAGE = "250m", "512Mi", "1Gi"
"""What a build reserves when nothing is said: so little that it finds a node, and enough not to be the first that is evicted."""

DEADLINE = 24 * 3600.0
"""After this a Job is ended whose client is gone, whatever it waits for."""

TTL = 3600.0
"""How long a finished Job stays, for who wants to look at it."""

UNDISTURBED = (("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"), ("karpenter.sh/do-not-disrupt", "true"))
"""Annotations that keep an autoscaler from moving a pod, which would begin again from the start."""


@fast_dataclass(frozen=True, slots=True)
class Toleration:
    """``key`` is empty for all taints, ``value`` None for any value of the key, ``effect`` empty for all effects."""

    key: str
    value: str | None = None
    effect: str = ""


@fast_dataclass(frozen=True, slots=True)
class Resources:
    """``cpu`` is reserved, ``memory`` and ``ephemeral_storage`` are reserved and are limits where somebody asked for them;
    an empty text leaves it out."""

    cpu: str = CPU
    memory: str = ""
    ephemeral_storage: str = ""
    cpu_limit: str = ""


@fast_dataclass(frozen=True, slots=True)
class Placement:
    """Where a pod runs, and in which order."""

    node_selector: Pairs = ()
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str = ""
    runtime_class: str = ""
    queue: str = ""
    """A queue of Kueue, which starts the Job."""


@fast_dataclass(frozen=True, slots=True)
class Access:
    """What a pod may: as whom it runs, and the credentials that it has from the cluster."""

    service_account: str = ""
    pull_secrets: tuple[str, ...] = ()
    docker_config_secret: str = ""
    """An existing Secret, ``NAME`` or ``NAME:KEY``."""
    environment_secrets: tuple[str, ...] = ()
    environment: Pairs = ()


@fast_dataclass(frozen=True, slots=True)
class Confinement:
    """``seccomp`` is ``RuntimeDefault``, ``Unconfined`` or ``localhost/PATH``; ``restricted`` fits the level of that name."""

    restricted: bool = False
    user_namespace: bool = False
    seccomp: str = ""


@fast_dataclass(frozen=True, slots=True)
class Lifetime:
    """``deadline`` and ``ttl`` are in seconds, None for no end."""

    deadline: float | None = DEADLINE
    ttl: float | None = TTL


@fast_dataclass(frozen=True, slots=True)
class PodOptions:
    """``patch`` is merged into the pod's template at the end."""

    image: str
    pull_policy: str = ""
    resources: Resources = field(default_factory=Resources)
    placement: Placement = field(default_factory=Placement)
    access: Access = field(default_factory=Access)
    confinement: Confinement = field(default_factory=Confinement)
    lifetime: Lifetime = field(default_factory=Lifetime)
    labels: Pairs = ()
    annotations: Pairs = ()
    patch: dict[str, Any] = field(default_factory=dict)
    keep: bool = False
