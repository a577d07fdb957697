"""What is known better than the defaults: `[tool.dagforge.advise]`, a file of durations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from typing import Any

from dagforge.advice.assumptions import Assumptions
from dagforge.conf import Project
from dagforge.errors import LoadError, Origin, Problems, did_you_mean
from dagforge.frozen import frozen
from dagforge.planning.machines import quantity
from dagforge.reading.scalars import kind_of
from dagforge.settings.convert import parse_duration

CODE = "bad-assumption"


@frozen
class Fact:
    """Something known of a node or a dataset.

    Attributes:
        value: seconds of a node, bytes of a dataset.
        source: `option`, `file`, `project` or `runs`.
    """

    value: float
    source: str


@frozen
class Facts:
    """What is known of single nodes and datasets, by name."""

    durations: Mapping[str, Fact] = field(default_factory=dict)
    sizes: Mapping[str, Fact] = field(default_factory=dict)

    def over(self, lower: Facts) -> Facts:
        """Return these facts, and those of `lower` about everything else."""
        return Facts({**lower.durations, **self.durations}, {**lower.sizes, **self.sizes})


@frozen
class Form:
    """How a value is written.

    Attributes:
        read: returns the value, None for what is none.
        example: of a value, for who wrote something else.
    """

    read: Callable[[Any], Any]
    example: str


def _duration(value: Any) -> float | None:
    length = parse_duration(value) if isinstance(value, str) else None
    return None if length is None or length.total_seconds() < 0 else length.total_seconds()


def _size(value: Any) -> float | None:
    found = quantity(value.removesuffix("B")) if isinstance(value, str) else None
    return None if found is None or found < 0 else float(found)


def _speed(value: Any) -> float | None:
    return _size(value) or None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e12 else None


def _minutes(value: Any) -> float | None:
    return _number(value) or None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


DURATION = Form(_duration, "30s, 5m or 1h30m")
SIZE = Form(_size, "250k, 10M or 2Gi")
_PRICE = Form(_number, "0.1")
FORMS: Mapping[str, Form] = {
    "pod_startup": DURATION,
    "image_pull": DURATION,
    "task_delay": DURATION,
    "slots": Form(_count, "16"),
    "latency": DURATION,
    "throughput": Form(_speed, "85M"),
    "dataset_size": SIZE,
    "node_duration": DURATION,
    "max_task_minutes": Form(_minutes, "60"),
    "task_price": _PRICE,
    "cpu_price": _PRICE,
    "mix_machines": Form(_flag, "true"),
}
"""How each of the assumptions is written, by its Python name."""
_TABLES = {"durations": DURATION, "sizes": SIZE}
assert FORMS.keys() == {each.name for each in fields(Assumptions)}


def key_of(name: str) -> str:
    """Return the key of an assumption, which is its option's name too."""
    return name.replace("_", "-")


def settings_of(project: Project) -> tuple[dict[str, Any], Facts]:
    """Return the assumptions, by their Python names, and the facts that a project states.

    Raises:
        LoadError: with everything that is wrong in `[tool.dagforge.advise]`.
    """
    origin = project.origin("advise")
    if origin is None:
        return {}, Facts()
    problems = Problems()
    good: dict[str, Any] = {}
    facts: dict[str, dict[str, Fact]] = {}
    for key, value in project.advise.items():
        name = key.replace("-", "_")
        if key in _TABLES:
            facts[key] = facts_of(value, _TABLES[key], key, origin / key, "project", problems)
        elif name in FORMS and "_" not in key:
            read = FORMS[name].read(value)
            if read is None:
                _refuse(key, value, FORMS[name], origin / key, problems)
            else:
                good[name] = read
        else:
            problems.error(
                "project-key",
                f"there is no key '{key}' for advice",
                origin / key,
                fix=did_you_mean(key, [*map(key_of, FORMS), *_TABLES]),
                at_key=True,
            )
    problems.raise_errors(LoadError)
    return good, Facts(**facts)


def facts_of(
    table: Any, form: Form, what: str, origin: Origin, source: str, problems: Problems
) -> dict[str, Fact]:
    """Return what a table says of nodes or datasets, and report what it says wrongly.

    Args:
        table: values by name.
        form: how they are written.
        what: the table's name.
        origin: where it stands.
        source: of its facts.
        problems: takes what is wrong.
    """
    if not isinstance(table, Mapping):
        message = f"'{what}' is {kind_of(table)}; it must be a table of names and values"
        problems.error(CODE, message, origin)
        return {}
    found = {}
    for name, value in table.items():
        read = form.read(value)
        if read is None:
            _refuse(name, value, form, origin / name, problems)
        else:
            found[name] = Fact(read, source)
    return found


def _refuse(name: str, value: Any, form: Form, origin: Origin, problems: Problems) -> None:
    shown = f"'{value}'" if isinstance(value, (str, int, float)) else kind_of(value)
    problems.error(
        CODE, f"{shown} is no value for '{name}'", origin, fix=f"write it like {form.example}"
    )


def with_known(assumptions: Assumptions, *layers: Mapping[str, Any]) -> Assumptions:
    """Return assumptions with what layers say instead, low to high; None says nothing."""
    for layer in layers:
        known = {name: value for name, value in layer.items() if value is not None}
        assumptions = replace(assumptions, **known)
    return assumptions
