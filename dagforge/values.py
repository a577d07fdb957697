"""Typed values of a plan: what a setting means, before an orchestrator spells it.

The macro of the same name in a target's `values.py.jinja` writes each of them as Python. Plain
values (None, bool, int, float, str, list, dict) are literals and need no type here, nor does
`datetime.timedelta`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from typing import Any

from dagforge.frozen import frozen


@frozen
class Cron:
    """A cron schedule.

    Attributes:
        expression: five fields, as croniter reads them.
        timezone: IANA name.
        meaning: `interval` (a run covers the time between two firings and starts at its end) or
            `trigger` (a run starts at each firing); Airflow 2 and 3 differ in their default.
    """

    expression: str
    timezone: str
    meaning: str


@frozen
class Every:
    """A schedule with a fixed distance between runs.

    Attributes:
        meaning: as of `Cron`.
    """

    length: timedelta
    meaning: str


@frozen
class Date:
    """A point in time in a zone.

    Attributes:
        parts: year, month, day and, where they are not zero, hour, minute, second.
        timezone: IANA name.
    """

    parts: tuple[int, ...]
    timezone: str


@frozen
class Reference:
    """A Python object by its import path, `module:name` or `module.name`."""

    path: str


@frozen
class Instance:
    """What calling a Python object gives; typed values may be among the arguments.

    Attributes:
        arguments: by keyword.
        positional: what stands before them.
    """

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    positional: tuple[Any, ...] = ()


@frozen
class Model:
    """A Kubernetes object: the client's model class and its fields in the client's spelling."""

    type: str
    fields: Mapping[str, Any]


@frozen
class RunValue:
    """Something that a run knows: `run_id`, `logical_date`, `parameters`, `structure`.

    Attributes:
        keys: of `parameters`: the project's name and the orchestrator's, of each; together they
            are one JSON object.
        native: the field is rendered to a Python object, where JSON would become one.
        expanded: what takes the text replaces `$(NAME)` in it.
        stored: the orchestrator keeps values of some of them.
    """

    name: str
    keys: tuple[tuple[str, str], ...] = ()
    native: bool = False
    expanded: bool = False
    stored: bool = False

    @property
    def quoted(self) -> tuple[tuple[str, str], ...]:
        """The keys as texts in double quotes, with JSON's escapes."""
        return tuple((json.dumps(name), json.dumps(key)) for name, key in self.keys)


@frozen
class RunText:
    """Something that a run knows within a text, which the orchestrator reads as a template.

    Attributes:
        value: None where the text is all there is.
    """

    before: str
    value: RunValue | None = None
    after: str = ""


@frozen
class Literal:
    """Text that stands in a field which the orchestrator would read as a template, but is none."""

    text: str


@frozen
class Constant:
    """A module constant that the plan made, such as the resources of a machine."""

    name: str
