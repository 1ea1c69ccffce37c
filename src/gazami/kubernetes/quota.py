"""Quotas of a namespace in what the cluster says of them: which can never be met, and the flags that would. Pure.

Sources: Kubernetes, Resource Quotas and Limit Ranges; the messages of the admission plug-ins ResourceQuota and LimitRanger;
apimachinery, resource.Quantity.
"""

from __future__ import annotations

import re

_FLAGS = (
    ("ephemeral-storage", "--ephemeral-storage"),
    ("limits.cpu", "--cpu-limit"),
    ("maximum cpu", "--cpu-limit"),
    ("cpu", "--cpu"),
    ("memory", "--memory"),
)
"""What a message names, and the flag that sets it; the first that fits counts."""

_MUST = re.compile(r"must specify ([^\n]*)")
_LISTED = re.compile(r"(requested|limited): ([^:]*?)(?=, (?:used|limited): |$)")
_RANGE = re.compile(r"(minimum|maximum) (cpu|memory|ephemeral-storage) usage per (?:Container|Pod)|\b(cpu|memory) max limit to")
_QUANTITY = re.compile(r"([0-9.]+)(?:e([0-9]+)|([KMGTPE]i|[munkMGTPE]))?\Z")
_UNITS = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18} | {
    unit: 1024.0**power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)
}


def quantity(text: str) -> float | None:
    """The number of a Kubernetes quantity (``500m``, ``2Gi``, ``1e3``), None for text that is none."""
    found = _QUANTITY.match(text)
    if found is None or found[1].count(".") > 1 or found[1] == ".":
        return None
    return float(found[1]) * (10.0 ** int(found[2]) if found[2] else _UNITS[found[3] or ""])


def never_met(message: str) -> str:
    """A hint where a pod like this one is refused for ever, however empty the namespace is; else nothing."""
    if must := _MUST.search(message):
        return f"set {_flags(re.split(r'[;,]', must[1]))}: the namespace's quota counts them"
    if found := _RANGE.findall(message):
        return f"change {_flags([' '.join(each) for each in found])}: a LimitRange of the namespace allows no such value"
    if "exceeded quota" in message:
        asked, allowed = (_amounts(message, key) for key in ("requested", "limited"))
        over = [name for name, value in asked.items() if value > allowed.get(name, value)]
        if over:
            return f"the quota itself is smaller than one build: lower {_flags(over)}, or raise the quota"
    return ""


def _amounts(message: str, key: str) -> dict[str, float]:
    listed = next((text for name, text in _LISTED.findall(message) if name == key), "")
    found = {name.strip(): quantity(value.strip()) for name, _, value in (each.partition("=") for each in listed.split(","))}
    return {name: value for name, value in found.items() if value is not None}


def _flags(names: list[str]) -> str:
    """Each flag once, in order; what no flag sets by its own name."""
    found: dict[str, None] = {}
    for name in names:
        resource = name.partition(" for:")[0].strip()
        found[next((flag for part, flag in _FLAGS if part in resource), f"{resource} (--pod-patch)")] = None
    *rest, last = found
    return f"{', '.join(rest)} and {last}" if rest else last
