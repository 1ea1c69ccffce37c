"""The kinds of values that only ``gazami submit``'s flags have, checked here and not by the cluster after minutes."""

from __future__ import annotations

from gazami.cli.flags.kinds import SECONDS, each, one
from gazami.cli.flags.option import FlagKind, Written
from gazami.errors import UsageError
from gazami.kubernetes.options import Toleration
from gazami.kubernetes.quota import quantity

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def _quantity(text: str, spelling: str) -> str:
    if text and quantity(text) is None:
        raise UsageError(f"invalid value {text!r} for {spelling}", hint="write a quantity of Kubernetes: 500m, 2, 512Mi, 10Gi")
    return text


def _limit(written: Written) -> float | None:
    return SECONDS.read(written) if written.words and written.last != "0" else None


def _toleration(text: str, spelling: str) -> Toleration:
    rest, colon, effect = text.rpartition(":")
    rest, effect = (rest, effect) if colon else (text, "")
    if colon and effect not in _EFFECTS:
        raise UsageError(
            f"invalid value {text!r} for {spelling}", hint=f"the effect is {', '.join(_EFFECTS[:-1])} or {_EFFECTS[-1]}"
        )
    key, equals, value = rest.partition("=")
    if equals and not key:
        raise UsageError(
            f"invalid value {text!r} for {spelling}", hint="write KEY=VALUE:EFFECT, such as dedicated=builds:NoSchedule"
        )
    return Toleration(key, value if equals else None, effect)


def _seccomp(text: str, spelling: str) -> str:
    if text in ("", "RuntimeDefault", "Unconfined") or (text.startswith("localhost/") and text != "localhost/"):
        return text
    raise UsageError(
        f"invalid value {text!r} for {spelling}",
        hint="write RuntimeDefault, Unconfined or localhost/PATH, the path below the kubelet's folder seccomp",
    )


QUANTITY: FlagKind[str] = one(_quantity)
LIMIT: FlagKind[float | None] = FlagKind(_limit)
TOLERATIONS: FlagKind[tuple[Toleration, ...]] = each(_toleration)
SECCOMP: FlagKind[str] = one(_seccomp)
