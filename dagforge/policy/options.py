"""What a rule may demand, read from its table."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from dagforge.planning.machines import quantity
from dagforge.policy.schedules import Window, parse_window
from dagforge.reading.scalars import kind_of
from dagforge.settings.convert import check_timezone, parse_duration

# The beginning of an image's name: no URL, tag, or pattern.
_NO_REGISTRY = re.compile(r"://|[\s*@]|^/|:(?!\d+(?:/|$))")
Scalar = (str, int, float, bool)


class WrongOption(Exception):
    """An option of a rule is not what it should be; its text is the message."""


Read = Callable[[Any], Any]
"""Takes an option as TOML gives it; returns it as the check wants it, or raises `WrongOption`."""


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WrongOption(f"is {kind_of(value)}, not true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise WrongOption(f"is {'empty' if value == '' else kind_of(value)}, not text")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise WrongOption("must be a list of texts")
    return tuple(_text(item) for item in value)


def _values(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, Scalar) for v in value):
        raise WrongOption("must be a list of values")
    return tuple(value)


def _flags(value: Any) -> tuple[Any, ...]:
    return tuple(_flag(item) for item in _values(value))


def _numbers(value: Any) -> tuple[Any, ...]:
    return tuple(_number(item) for item in _values(value))


def _severity(value: Any) -> str:
    if value not in ("error", "warning"):
        raise WrongOption('must be "error" or "warning"')
    return str(value)


def _pattern(value: Any) -> re.Pattern[str]:
    try:
        return re.compile(_text(value))
    except re.error as error:
        raise WrongOption(f"is no regular expression: {error}") from error


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise WrongOption(f"is {kind_of(value)}, not a number")
    if not math.isfinite(value):
        raise WrongOption("is no bound: leave it out")
    return value


def _length(value: Any) -> float:
    if _number(value) < 1:
        raise WrongOption("must be at least 1")
    return float(value)


def _duration(value: Any) -> datetime.timedelta:
    length = parse_duration(value) if isinstance(value, str) else None
    if length is None:
        raise WrongOption('must be a duration such as "30m" or "6h"')
    return length


def _quantities(value: Any) -> Mapping[str, tuple[Fraction, str]]:
    if not isinstance(value, dict) or not value:
        raise WrongOption('must map resources to sizes, such as {limits.memory = "64Gi"}')
    found = {}
    for path, text in _leaves(value):
        _check_resource(path)
        size = quantity(text)
        if size is None:
            raise WrongOption(f"says '{text}', which is no Kubernetes quantity")
        found[path] = size, str(text)
    return found


def _resources(value: Any) -> tuple[str, ...]:
    for path in _texts(value):
        _check_resource(path)
    return _texts(value)


def _check_resource(path: str) -> None:
    if not path.startswith(("requests.", "limits.")):
        raise WrongOption(f"says '{path}', which must begin with 'requests.' or 'limits.'")


def _registries(value: Any) -> tuple[str, ...]:
    for text in _texts(value):
        if _NO_REGISTRY.search(text):
            raise WrongOption(f"says '{text}', which is no registry such as \"ghcr.io/acme\"")
    return _texts(value)


def _leaves(value: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            found += _leaves(inner, f"{above}{key}.")
        else:
            found.append((f"{above}{key}", inner))
    return found


def _windows(value: Any) -> tuple[Window, ...]:
    texts = (value,) if isinstance(value, str) else _texts(value)
    windows = []
    for text in texts:
        window = parse_window(text)
        if window is None:
            raise WrongOption(f"says '{text}', which is no part of a day such as \"22:00-06:00\"")
        windows.append(window)
    return tuple(windows)


def _zone(value: Any) -> str:
    if not check_timezone(_text(value)):
        raise WrongOption(f"says '{value}', which is no time zone")
    return str(value)


def _flag_or_texts(value: Any) -> bool | tuple[str, ...]:
    return value if isinstance(value, bool) else _texts(value)


QUALIFIERS = ("timezone",)
"""Options that only say how another one is meant."""
COMMON: Mapping[str, Read] = {"severity": _severity, "fix": _text}
_GIVEN: Mapping[str, Read] = {"required": _flag, "forbidden": _flag}
_CHOICE: Mapping[str, Read] = {"one-of": _values, "none-of": _values}
_TEXT: Mapping[str, Read] = {**_CHOICE, "pattern": _pattern}
NAME: Mapping[str, Read] = {**_TEXT, "max-length": _length}
TEXT: Mapping[str, Read] = {**_GIVEN, **_TEXT, "max-length": _length}
IMAGE: Mapping[str, Read] = {**TEXT, "registries": _registries, "latest": _flag, "digest": _flag}
FLAG: Mapping[str, Read] = {**_GIVEN, "one-of": _flags, "none-of": _flags}
NUMBER: Mapping[str, Read] = {
    **_GIVEN,
    "one-of": _numbers,
    "none-of": _numbers,
    "min": _number,
    "max": _number,
}
DURATION: Mapping[str, Read] = {**_GIVEN, "min": _duration, "max": _duration}
LIST: Mapping[str, Read] = {**_GIVEN, **_TEXT, "contains": _pattern}
MAPPING: Mapping[str, Read] = {"required": _flag_or_texts, "forbidden": _flag}
RESOURCES: Mapping[str, Read] = {"required": _resources, "min": _quantities, "max": _quantities}
SCHEDULE: Mapping[str, Read] = {
    **_GIVEN,
    **_TEXT,
    "between": _windows,
    "timezone": _zone,
    "at-most-every": _duration,
}
