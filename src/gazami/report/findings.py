"""Findings of build checks → text, and the forms that editors, GitHub, GitLab and code scanners read. Pure."""

from __future__ import annotations

import binascii
import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from gazami import __version__
from gazami.dockerfile.rules import OWN_RULES, PARSE_ERROR, RULES, Finding
from gazami.errors import Source, Span
from gazami.report.excerpt import excerpt

Findings: TypeAlias = Sequence[Finding]
Render: TypeAlias = Callable[[Findings, Source], str]

_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://docs.docker.com/reference/build-checks/"


def as_text(findings: Findings, source: Source) -> str:
    """Blocks as ``docker build --check`` prints them; the mistakes that end a build come last."""
    warnings = [finding for finding in findings if finding.level == "warning"]
    errors = [finding for finding in findings if finding.level == "error"]
    blocks = [_block(finding, source) for finding in (*warnings, *errors)]
    return "\n".join([_head(len(warnings), failed=bool(errors)), *(f"\n{block}" for block in blocks)]) + "\n"


def _head(count: int, *, failed: bool) -> str:
    if count == 0:
        return "Check failed." if failed else "Check complete, no warnings found."
    found = "1 warning has been found" if count == 1 else f"{count} warnings have been found"
    return f"Check {'failed' if failed else 'complete'}, {found}!"


def _block(finding: Finding, source: Source) -> str:
    title = f"WARNING: {finding.rule}" if finding.level == "warning" else "ERROR"
    url = f" - {finding.url}" if finding.url else ""
    return f"{title}{url}\n{finding.detail}\n{excerpt(source, finding.span)}"


def as_json(findings: Findings, source: Source) -> str:
    """A list with one object a finding."""
    return _json([{"rule": each.rule, "line": each.span.start, "message": each.detail, "level": each.level} for each in findings])


def as_check_json(findings: Findings, source: Source) -> str:
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


def as_sarif(findings: Findings, source: Source) -> str:
    """SARIF 2.1.0, for code scanning."""
    used = {finding.rule for finding in findings}
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
                        "artifactLocation": {"uri": source.name},
                        "region": {"startLine": each.span.start, "endLine": each.span.end},
                    }
                }
            ],
        }
        for each in findings
    ]
    driver = {"name": "gazami", "version": __version__, "informationUri": _HOME, "rules": rules}
    return _json({"$schema": _SARIF, "version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]})


def as_github(findings: Findings, source: Source) -> str:
    """Workflow commands, which GitHub shows beside the lines of a pull request."""
    lines = [
        f"::{each.level} file={_property(source.name)},line={each.span.start},endLine={each.span.end},"
        f"title={_property(each.rule)}::{_data(each.detail + (f' ({each.url})' if each.url else ''))}"
        for each in findings
    ]
    return "".join(f"{line}\n" for line in lines)


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_gitlab(findings: Findings, source: Source) -> str:
    """A Code Quality report. The fingerprint does not hold the line, so that a finding that moves stays the same one."""
    import hashlib

    seen: Counter[tuple[str, str]] = Counter()
    issues: list[dict[str, Any]] = []
    for each in findings:
        number = seen[each.rule, each.detail]
        seen[each.rule, each.detail] += 1
        identity = "\0".join((source.name, each.rule, each.detail, str(number)))
        issues.append(
            {
                "description": each.detail,
                "check_name": each.rule,
                "fingerprint": hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest(),
                "severity": "minor" if each.level == "warning" else "critical",
                "location": {"path": source.name, "lines": {"begin": each.span.start, "end": each.span.end}},
            }
        )
    return _json(issues)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def without_empty(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value}


FORMATS: dict[str, Render] = {"text": as_text, "json": as_json, "sarif": as_sarif, "github": as_github, "gitlab": as_gitlab}
