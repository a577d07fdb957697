"""Problems as text, JSON, GitHub annotations and SARIF."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from dagforge.errors import Problem, visible

# Nobody reads further, and one mistake can be in thousands of lines.
MOST_SHOWN = 50
FORMATS = ("text", "json", "github", "sarif")
SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_text(problems: Sequence[Problem], *, color: bool = False) -> str:
    """Return the problems one below the other, and a line that counts them."""
    import click

    lines = []
    for problem in problems[:MOST_SHOWN]:
        text = str(problem)
        if color:
            tone = "red" if problem.severity == "error" else "yellow"
            word = f"{problem.severity}:"
            text = text.replace(word, click.style(word, fg=tone, bold=True), 1)
            text = text.replace("\n  fix: ", "\n  " + click.style("fix:", fg="green") + " ")
        lines.append(text)
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    counts = [
        f"{count} {word}{'s' if count != 1 else ''}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    if len(problems) > MOST_SHOWN:
        hint = f"the first {MOST_SHOWN} are shown, --message-format json has all"
        lines.append(f"{' and '.join(counts)}; {hint}")
    elif len(problems) > 1:
        lines.append(" and ".join(counts))
    return "\n".join(lines)


def as_dict(problem: Problem) -> dict[str, Any]:
    """Return a problem with stable keys; what is not known is null."""
    at = problem.location
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "file": at.file if at else None,
        "line": at.line if at else None,
        "column": at.column if at else None,
        "fix": problem.fix,
    }


def as_json(problems: Iterable[Problem], **more: Any) -> str:
    """Return one JSON object: the problems, and what else the command has to say."""
    found = [as_dict(problem) for problem in problems]
    return json.dumps({**more, "problems": found}, indent=2, ensure_ascii=True)


def as_github(problems: Iterable[Problem]) -> str:
    """Return workflow commands that annotate the definition's lines.

    https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
    """
    lines = []
    for problem in problems:
        at = problem.location
        parts = [f"title={_property(problem.code)}"]
        if at is not None:
            parts.insert(0, f"file={_property(at.file)}")
            if at.line is not None:
                parts.insert(1, f"line={at.line}")
            if at.column is not None:
                parts.insert(2, f"col={at.column}")
        text = problem.message + (f"\nfix: {problem.fix}" if problem.fix else "")
        lines.append(f"::{problem.severity} {','.join(parts)}::{_data(text)}")
    return "\n".join(lines)


def _data(text: str) -> str:
    # A log is shown on a terminal too.
    return visible(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def as_sarif(problems: Iterable[Problem], version: str) -> str:
    """Return a SARIF 2.1.0 log, as code scanning services read it."""
    found = list(problems)
    codes = sorted({problem.code for problem in found})
    results = []
    for problem in found:
        result: dict[str, Any] = {
            "ruleId": problem.code,
            "ruleIndex": codes.index(problem.code),
            "level": problem.severity,
            "message": {"text": problem.message + (f"\nfix: {problem.fix}" if problem.fix else "")},
        }
        at = problem.location
        if at is not None:
            from urllib.parse import quote

            place: dict[str, Any] = {"artifactLocation": {"uri": quote(at.file)}}
            if at.line is not None:
                place["region"] = {"startLine": at.line}
                if at.column is not None:
                    place["region"]["startColumn"] = at.column
            result["locations"] = [{"physicalLocation": place}]
        results.append(result)
    log = {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "dagforge",
                        "version": version,
                        "rules": [{"id": code} for code in codes],
                    }
                },
                "results": results,
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=True)
