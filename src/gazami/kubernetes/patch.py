"""A strategic merge patch of a pod's template: what no flag says, said in Kubernetes' own words. Pure.

Mappings are merged, lists are replaced, and the lists that have a merge key in the API are merged by it; null removes a member;
``$patch: replace`` and ``$patch: delete`` do what they do in kubectl. Source: Kubernetes, Update API Objects in Place Using kubectl
patch; the patchMergeKey markers of PodSpec v1 core and its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gazami.errors import UsageError

_KEYS = {
    "containers": "name", "initContainers": "name", "ephemeralContainers": "name", "volumes": "name", "env": "name",
    "imagePullSecrets": "name", "resourceClaims": "name", "hostAliases": "ip", "volumeMounts": "mountPath",
    "volumeDevices": "devicePath", "ports": "containerPort", "topologySpreadConstraints": "topologyKey",
}  # fmt: skip
"""The merge key of each list of a pod's template that has one."""

_PRIMITIVES = frozenset({"finalizers"})
"""Lists of texts that are merged as sets."""

_EXCLUSIVE = {"volumes": frozenset({"name"}), "env": frozenset({"name"})}
"""Lists whose elements have one source beside these members: another one takes the place of the first."""

_DIRECTIVE = "$patch"


def merged(template: Mapping[str, Any], patch: Mapping[str, Any], container: str) -> dict[str, Any]:
    """The template with the patch. ``container`` has to be left in it. Raises :class:`UsageError`."""
    checked = {key: value for key, value in patch.items() if key not in ("apiVersion", "kind")}
    if unknown := [key for key in checked if key not in ("metadata", "spec", _DIRECTIVE)]:
        raise UsageError(
            f"--pod-patch: {unknown[0]} is no member of a pod template",
            hint="write metadata: (labels, annotations) and spec: (a PodSpec), as in kubectl explain job.spec.template",
        )
    found = _mapping(dict(template), checked, "")
    names = [each.get("name") for each in _list((found.get("spec") or {}).get("containers"), "spec.containers")]
    if container not in names:
        raise UsageError(f"--pod-patch: the container {container} has to stay in spec.containers")
    return found


def _mapping(before: dict[str, Any], patch: Mapping[str, Any], where: str) -> dict[str, Any]:
    directive = patch.get(_DIRECTIVE)
    rest = {key: value for key, value in patch.items() if not key.startswith("$")}
    if directive == "replace":
        return rest
    if directive == "delete":
        return {}
    _check_directive(directive, where)
    found = dict(before)
    for key, value in rest.items():
        place = f"{where}.{key}".lstrip(".")
        if value is None:
            found.pop(key, None)
        elif isinstance(value, dict):
            now = found.get(key)
            found[key] = _mapping(now if isinstance(now, dict) else {}, value, place)
        elif isinstance(value, list) and key in _KEYS:
            found[key] = _elements(_list(found.get(key) or [], place), _list(value, place), key, place)
        elif isinstance(value, list) and key in _PRIMITIVES:
            found[key] = list(dict.fromkeys([*found.get(key, []), *value]))
        else:
            found[key] = value
    return found


def _elements(before: list[dict[str, Any]], patch: list[dict[str, Any]], name: str, where: str) -> list[dict[str, Any]]:
    key = _KEYS[name]
    if any(each.get(_DIRECTIVE) == "replace" and key not in each for each in patch):
        return [each for each in patch if _DIRECTIVE not in each]
    found = {each.get(key): each for each in before}
    for each in patch:
        if key not in each:
            raise UsageError(f"--pod-patch: an element of {where} has no {key}, by which it would be found")
        if each.get(_DIRECTIVE) == "delete":
            found.pop(each[key], None)
        else:
            found[each[key]] = _mapping(_kept(found.get(each[key], {}), each, name), each, f"{where}[{each[key]}]")
    return list(found.values())


def _kept(before: dict[str, Any], patch: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What stays of an element of which the patch has another source."""
    common = _EXCLUSIVE.get(name)
    given = [key for key, value in patch.items() if common and key not in common and value is not None]
    if common is None or not given:
        return before
    return {key: value for key, value in before.items() if key in common or key in given}


def _list(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise UsageError(f"--pod-patch: {where} has to be a list of objects")
    return value


def _check_directive(directive: object, where: str) -> None:
    if directive not in (None, "merge"):
        raise UsageError(f"--pod-patch: {where or 'the template'}: $patch is merge, replace or delete, not {directive!r}")
