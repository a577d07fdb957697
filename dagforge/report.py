"""Problems as text, JSON, GitHub annotations and SARIF."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from dagforge.errors import Problem, SourceLocation, visible

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


def as_github(problems: Iterable[Problem], folder: str = "") -> str:
    """Return workflow commands that annotate the definition's lines.

    https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions

    Args:
        problems: in the order in which they are told.
        folder: where the project lies in its repository, with a slash at its end.
    """
    lines = []
    for problem in problems:
        at = _in_repository(problem.location, folder)
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


def no_commands(text: str) -> str:
    """Return a text in a log of GitHub Actions in which no line is taken for a command.

    A line counts as one even when blanks stand before it. What ends the text is made of the text,
    so that it cannot stand in it.
    """
    import hashlib

    end = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    return f"::stop-commands::{end}\n{text}::{end}::\n"


def _data(text: str) -> str:
    # A log is shown on a terminal too.
    return visible(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _in_repository(at: SourceLocation | None, folder: str) -> SourceLocation | None:
    """Return a place with its path from the top of the repository."""
    if at is None or not folder or posixpath.isabs(at.file):
        return at
    return replace(at, file=posixpath.normpath(folder + at.file))


def as_sarif(problems: Iterable[Problem], version: str, folder: str = "") -> str:
    """Return a SARIF 2.1.0 log, as code scanning services read it.

    Args:
        problems: in the order in which they are told.
        version: of DagForge.
        folder: where the project lies in its repository, with a slash at its end.
    """
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
        at = _in_repository(problem.location, folder)
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
