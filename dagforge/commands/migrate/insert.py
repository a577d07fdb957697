"""Settings put into a YAML file whose comments, order and spelling stay."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dagforge.conf import Document, parse_yaml
from dagforge.errors import LoadError

Sections = Mapping[str, Mapping[str, Any]]
# Words that no YAML reads as anything but text.
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NOT_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
# `5m` and `1h30m`, which YAML knows nothing of.
_DURATION = re.compile(r"(?:\d+[dhms])+")


def spelled(value: Any) -> str:
    """Return a value, or a key, in one line of YAML."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT
        return value if plain or _DURATION.fullmatch(value) else json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(spelled, value))}]"
    return json.dumps(value)


def snippet(sections: Sections, reasons: Mapping[tuple[str, str], str], indent: str = "  ") -> str:
    """Return settings as YAML, by section, each with its reason as a comment."""
    return "".join(
        f"{spelled(section)}:\n{_lines(section, settings, reasons, indent)}"
        for section, settings in sections.items()
    )


def inserted(
    document: Document | None,
    sections: Sections,
    reasons: Mapping[tuple[str, str], str],
    *,
    newline: str = "\n",
) -> str | None:
    """Return the text of a settings file with settings added to it, None where that cannot be done.

    What stands in the file stays, byte for byte. New settings go right below the name of their
    section, a new section to the end.

    Args:
        document: the file; None when there is none yet.
        sections: settings that none of the file's sections has.
        reasons: a comment for a setting, by section and name.
        newline: what ends the lines.
    """
    text = document.source.decode("utf-8") if document is not None else ""
    data = document.data if document is not None and document.data is not None else {}
    if not isinstance(data, dict):
        return None
    lines = re.split(r"(?<=\n)", text) if text else []
    additions: dict[int, str] = {}
    for section, settings in sections.items():
        if section in data:
            assert document is not None
            line = document.locate((section,), key=True).line or 1
            indent = _indent(document, section, lines)
            additions[line] = _lines(section, settings, reasons, indent)
        else:
            block = snippet({section: settings}, reasons)
            additions[len(lines)] = additions.get(len(lines), "") + block
    if len(lines) in additions and lines and not lines[-1].endswith("\n"):
        lines[-1] += newline if lines[-1] else ""
    parts = [additions.get(0, "").replace("\n", newline)]
    for number, old in enumerate(lines, 1):
        parts += [old, additions.get(number, "").replace("\n", newline)]
    added = "".join(parts)
    return added if _holds(added, data, sections) else None


def _indent(document: Document, section: str, lines: list[str]) -> str:
    """Return what stands before the settings of a section."""
    below = document.data[section]
    if not isinstance(below, dict) or not below:
        return "  "
    first = document.locate((section, next(iter(below))), key=True)
    line = lines[(first.line or 1) - 1]
    return line[: (first.column or 1) - 1]


def _lines(
    section: str,
    settings: Mapping[str, Any],
    reasons: Mapping[tuple[str, str], str],
    indent: str,
) -> str:
    lines = []
    for name, value in settings.items():
        why = reasons.get((section, name))
        comment = f"  # {why}" if why else ""
        if isinstance(value, Mapping):
            lines.append(f"{indent}{name}:{comment}\n")
            lines += [f"{indent}  {spelled(key)}: {spelled(each)}\n" for key, each in value.items()]
        else:
            lines.append(f"{indent}{name}: {spelled(value)}{comment}\n")
    return "".join(lines)


def _holds(text: str, before: Mapping[str, Any], sections: Sections) -> bool:
    """Say whether a text is YAML with the settings added, and everything else as it was."""
    try:
        now = parse_yaml(text.encode(), "").data or {}
    except LoadError:
        return False
    wanted = dict(before)
    for section, settings in sections.items():
        below = before.get(section)
        if not (below is None or isinstance(below, dict)):
            return False
        wanted[section] = {**settings, **(below or {})}
    return bool(now == wanted)
