"""Findings of build checks → the forms that programs, GitHub, GitLab and code scanners read. Pure. Those for people are in
:mod:`gazami.report.findings_text`."""

from __future__ import annotations

import binascii
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gazami import __version__
from gazami.dockerfile.rules import OWN_RULES, PARSE_ERROR, RULES, Finding
from gazami.errors import Source, Span
from gazami.values import fast_dataclass

Render: TypeAlias = Callable[["Sequence[Checked]"], str]

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://docs.docker.com/reference/build-checks/"


@fast_dataclass(frozen=True, slots=True)
class Checked:
    """A Dockerfile, under the name to show, and what was found in it, by line."""

    source: Source
    findings: Sequence[Finding]


def as_json(files: Sequence[Checked]) -> str:
    """A list with one object a finding."""
    return _json(
        [
            {"rule": each.rule, "file": file.source.name, "line": each.span.start, "message": each.detail, "level": each.level}
            for file in files
            for each in file.findings
        ]
    )


def as_check_json(findings: Sequence[Finding], source: Source) -> str:
    """What BuildKit answers to ``--call=check,format=json``."""
    errors = [finding for finding in findings if finding.level == "error"]
    answer: dict[str, Any] = {
        "warnings": [
            without_empty(
                ruleName=each.rule, description=each.description, url=each.url, detail=each.detail, location=location(each.span)
            )
            for each in findings
            if each.level == "warning"
        ],
        "sources": [
            {
                "filename": source.name,
                "language": "Dockerfile",
                "data": binascii.b2a_base64(source.text.encode("utf-8", "surrogateescape"), newline=False).decode(),
            }
        ],
    }
    if errors:
        answer["buildError"] = {"message": errors[0].detail, "location": location(errors[0].span)}
    return _json(answer)


def location(span: Span) -> dict[str, Any]:
    """Lines as BuildKit writes them: a range for each."""
    return {"ranges": [{"start": {"line": line}, "end": {"line": line}} for line in range(span.start, span.end + 1)]}


def as_sarif(files: Sequence[Checked]) -> str:
    """SARIF 2.1.0, for code scanning: one run for all files."""
    used = {finding.rule for file in files for finding in file.findings}
    rules: list[dict[str, Any]] = [
        {"id": rule.name, "shortDescription": {"text": rule.description}, "helpUri": rule.url or _HOME}
        for rule in (*RULES, *OWN_RULES)
        if rule.name in used
    ]
    if PARSE_ERROR in used:
        rules.append({"id": PARSE_ERROR, "shortDescription": {"text": "The Dockerfile cannot be built"}})
    index = {rule["id"]: number for number, rule in enumerate(rules)}
    results = [
        {
            "ruleId": each.rule,
            "ruleIndex": index[each.rule],
            "level": each.level,
            "message": {"text": each.detail},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": file.source.name},
                        "region": {"startLine": each.span.start, "endLine": each.span.end},
                    }
                }
            ],
        }
        for file in files
        for each in file.findings
    ]
    driver = {"name": "gazami", "version": __version__, "informationUri": _HOME, "rules": rules}
    return _json({"$schema": _SARIF, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]})


def as_github(files: Sequence[Checked]) -> str:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    lines = [
        f"::{each.level} file={_property(file.source.name)},line={each.span.start},endLine={each.span.end},"
        f"title={_property(each.rule)}::{_data(each.detail + (f' ({each.url})' if each.url else ''))}"
        for file in files
        for each in file.findings
    ]
    return "".join(f"{line}\n" for line in lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_gitlab(files: Sequence[Checked]) -> str:
    """A Code Quality report. The fingerprint does not hold the line, so that a finding that moves stays the same one."""
    import hashlib

    seen: Counter[tuple[str, str, str]] = Counter()
    issues: list[dict[str, Any]] = []
    for name, each in ((file.source.name, each) for file in files for each in file.findings):
        number = seen[name, each.rule, each.detail]
        seen[name, each.rule, each.detail] += 1
        identity = "\0".join((name, each.rule, each.detail, str(number)))
        issues.append(
            {
                "description": each.detail,
                "check_name": each.rule,
                "fingerprint": hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest(),
                "severity": "minor" if each.level == "warning" else "critical",
                "location": {"path": name, "lines": {"begin": each.span.start, "end": each.span.end}},
            }
        )
    return _json(issues)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def without_empty(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value}


FORMATS: dict[str, Render] = {"json": as_json, "sarif": as_sarif, "github": as_github, "gitlab": as_gitlab}
