"""Names and types that every front-end checks alike."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from dagforge.errors import Origin, Problems, did_you_mean
from dagforge.reading.scalars import kind_of

MAX_NAME = 250
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:][A-Za-z0-9_.:-]{0,249}").fullmatch


def are_plain(names: list[Any]) -> bool:
    """Say whether a list holds nothing but good names, told quickly for what nearly all are."""
    return all(type(name) is str and _PLAIN_NAME(name) for name in names)


def fault_of_name(name: str) -> str | None:
    """Return what keeps a text from being the name of a pipeline, a node, a tag or a dataset."""
    if _PLAIN_NAME(name):
        return None
    if not name:
        return "is empty"
    if name.strip() != name:
        return "begins or ends with a blank"
    if name.startswith("-"):
        return "begins with '-', like an option of a command"
    if "," in name:
        return "holds a comma, which separates names on the command line"
    for character in name:
        if not character.isprintable():
            return f"holds the unprintable character U+{ord(character):04X}"
    if len(name) > MAX_NAME:
        return f"is {len(name)} characters long, {MAX_NAME} are allowed"
    return None


def shown(name: str) -> str:
    """Return a name between quotes, shortened and printable."""
    text = name if len(name) <= 60 else name[:57] + "..."
    return f"'{text}'" if text.isprintable() else ascii(text)


def check_name(
    name: str, what: str, code: str, at: Origin, problems: Problems, *, at_key: bool = False
) -> bool:
    """Report a name that is none and say whether it is good."""
    fault = fault_of_name(name)
    if fault is not None:
        problems.error(code, f"the {what} {shown(name)} {fault}", at, at_key=at_key)
    return fault is None


def wrong_type(
    what: str, value: Any, expected: str, at: Origin, problems: Problems, fix: str | None = None
) -> None:
    """Report a value of the wrong type."""
    if fix is None and isinstance(value, (bool, int, float)) and "text" in expected:
        fix = "quote it"
    if fix is None and isinstance(value, dict) and expected.startswith("text"):
        fix = _without_blank(value)
    problems.error("wrong-type", f"{what} is {kind_of(value)}, not {expected}", at, fix=fix)


def _without_blank(mapping: Mapping[str, Any]) -> str | None:
    """Return the text that was meant where YAML made a mapping of it, as of `airflow: train`."""
    if len(mapping) != 1:
        return None
    [(key, value)] = mapping.items()
    if value is not None and not isinstance(value, (str, int, float)):
        return None
    text = f"{key}:{'NAME' if value is None else value}"
    return f'write "{text}", without a blank after the colon' if len(text) <= 60 else None


def check_keys(
    mapping: Mapping[str, Any],
    known: Iterable[str],
    what: str,
    at: Origin,
    problems: Problems,
    hints: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Report the keys that are not among those known; `hints` say what others are called here."""
    names = list(known)
    for key in mapping:
        if key not in names:
            problems.error(
                "unknown-key",
                f"{what} has no key {shown(key)}",
                at / key,
                fix=hints.get(key) or did_you_mean(key, names),
                at_key=True,
            )
