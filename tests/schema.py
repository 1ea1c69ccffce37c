"""The part of JSON Schema that gazami's own schemas use, without a library. An unknown keyword is an error, not passed over."""

from __future__ import annotations

import re
from typing import Any

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int, "number": int | float}
NOTES = {"$schema", "$defs", "title", "description"}


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, path: str = "$") -> list[str]:
    """What of a document is not as the schema says, with the path to it."""
    root = root or schema
    found: list[str] = []
    for keyword, wanted in schema.items():
        match keyword:
            case "$ref":
                found += problems(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, path)
            case "type":
                kinds = [wanted] if isinstance(wanted, str) else wanted
                fits = any(isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds)
                found += [] if fits else [f"{path}: {value!r} is not {wanted}"]
            case "const" | "enum":
                allowed = wanted if keyword == "enum" else [wanted]
                found += [] if value in allowed else [f"{path}: {value!r} is not one of {allowed}"]
            case "pattern":
                found += (
                    [] if not isinstance(value, str) or re.search(wanted, value) else [f"{path}: {value!r} is not like {wanted}"]
                )
            case "minimum" | "maximum":
                bad = isinstance(value, int | float) and (value < wanted if keyword == "minimum" else value > wanted)
                found += [f"{path}: {value} is beyond the {keyword} {wanted}"] if bad else []
            case "anyOf":
                found += [] if any(not problems(value, each, root, path) for each in wanted) else [f"{path}: fits none of anyOf"]
            case "items" if isinstance(value, list):
                found += [each for place, item in enumerate(value) for each in problems(item, wanted, root, f"{path}[{place}]")]
            case "properties" if isinstance(value, dict):
                known = [(name, value[name], each) for name, each in wanted.items() if name in value]
                found += [each for name, item, rule in known for each in problems(item, rule, root, f"{path}.{name}")]
            case "required" if isinstance(value, dict):
                found += [f"{path}.{name} is missing" for name in wanted if name not in value]
            case "additionalProperties" if isinstance(value, dict):
                found += [f"{path}.{name} is not known" for name in value if name not in schema.get("properties", {})]
            case "items" | "properties" | "required" | "additionalProperties":
                pass
            case _ if keyword not in NOTES:
                raise ValueError(f"keyword {keyword} at {path}")
    return found
