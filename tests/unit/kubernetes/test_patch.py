"""A strategic merge, as kubectl does it to a pod template."""

from __future__ import annotations

from typing import Any

import pytest

from gazami.errors import UsageError
from gazami.kubernetes.patch import merged

TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "containers": [{"name": "gazami", "args": ["x"], "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}],
        "volumes": [{"name": "state", "emptyDir": {}}],
        "tolerations": [{"key": "a"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
    },
}


def spec(patch: dict[str, Any]) -> dict[str, Any]:
    return dict(merged(TEMPLATE, {"spec": patch}, "gazami")["spec"])


def test_nothing_changes_nothing() -> None:
    assert merged(TEMPLATE, {}, "gazami") == TEMPLATE


def test_mappings_are_merged_and_null_removes() -> None:
    found = merged(TEMPLATE, {"kind": "Pod", "metadata": {"labels": {"c": "d"}, "annotations": {"x": "y"}}}, "gazami")
    assert found["metadata"] == {"labels": {"a": "b", "c": "d"}, "annotations": {"x": "y"}}
    assert "nodeSelector" not in spec({"nodeSelector": None})
    assert spec({"nodeSelector": {"$patch": "replace", "x": "y"}})["nodeSelector"] == {"x": "y"}
    assert spec({"nodeSelector": {"$patch": "delete"}})["nodeSelector"] == {}


def test_lists_with_a_key_are_merged_by_it_and_others_replaced() -> None:
    found = spec({
        "containers": [
            {"name": "gazami", "args": ["y"], "env": [{"name": "B", "value": "3"}, {"name": "A", "$patch": "delete"}]},
            {"name": "proxy", "image": "p"},
        ],
        "tolerations": [{"key": "b"}],
    })  # fmt: skip
    assert found["containers"] == [
        {"name": "gazami", "args": ["y"], "env": [{"name": "B", "value": "3"}]}, {"name": "proxy", "image": "p"},
    ]  # fmt: skip
    assert found["tolerations"] == [{"key": "b"}]
    assert spec({"volumes": [{"$patch": "replace"}, {"name": "z"}]})["volumes"] == [{"name": "z"}]


def test_a_volume_or_a_variable_has_one_source() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "state"}}
    assert spec({"volumes": [{"name": "state", **claim}]})["volumes"] == [{"name": "state", **claim}]
    assert spec({"volumes": [{"name": "state", "emptyDir": {"medium": "Memory"}}]})["volumes"] == [
        {"name": "state", "emptyDir": {"medium": "Memory"}}
    ]
    source = {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert spec({"containers": [{"name": "gazami", "env": [{"name": "A", **source}]}]})["containers"][0]["env"][0] == {
        "name": "A", **source,
    }  # fmt: skip


def test_the_template_given_is_not_changed() -> None:
    before = repr(TEMPLATE)
    spec({"containers": [{"name": "gazami", "env": [{"name": "A", "value": "9"}]}], "volumes": [{"name": "state", "x": 1}]})
    assert repr(TEMPLATE) == before


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"containers": []}, "containers is no member of a pod template"),
        ({"spec": {"containers": [{"image": "x"}]}}, "has no name"),
        ({"spec": {"containers": "x"}}, "has to be a list"),
        ({"spec": {"volumes": {"$patch": "sideways"}}}, "not 'sideways'"),
        ({"spec": {"containers": [{"name": "gazami", "$patch": "delete"}]}}, "has to stay"),
        ({"spec": None}, "has to"),
    ],
)
def test_what_cannot_be_merged_is_said(patch: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        merged(TEMPLATE, patch, "gazami")
