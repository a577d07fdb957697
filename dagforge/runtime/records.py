"""What is kept of every attempt of a task, beside its data."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields, replace
from typing import Any

from dagforge.frozen import frozen
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.store import SCHEMA, DatasetRecord

RUNNING, SUCCESS, FAILED = "running", "success", "failed"


@frozen
class CheckResult:
    """A check of a run: passed or not, and how much that matters."""

    node: str
    passed: bool
    severity: str
    value: Any = None


@frozen
class TaskRecord:
    """One attempt of one task.

    Attributes:
        nodes: in the order in which they ran.
        status: `running`, `success` or `failed`.
        structure: hash of the plan that the DAG was generated from.
        contract: hash of what the DAG expects of the task.
        warnings: what differed from that, one sentence each.
        code: hash of the modules that the nodes' functions are in.
        parameters: what the nodes read, by the name of the input (`params:x`).
        versions: of Python, DagForge and the libraries whose values were handed over.
        peak_memory: of the process, in bytes.
        seconds: how long each node took.
        error: type, message, node and the user's own frames of the traceback.
    """

    task_id: str
    dag_id: str
    run_id: str
    nodes: tuple[str, ...]
    status: str
    started: str
    ended: str | None = None
    host: str = ""
    structure: str | None = None
    contract: str | None = None
    code: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    peak_memory: int | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)
    inputs: Sequence[Mapping[str, Any]] = ()
    outputs: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()
    error: Mapping[str, Any] | None = None
    schema: int = SCHEMA

    def to_json(self) -> bytes:
        """Return the record as it is kept; what JSON does not have is written as text."""
        return json.dumps(as_json(asdict(self)), indent=1, sort_keys=True).encode()

    @classmethod
    def from_data(cls, data: Any) -> TaskRecord:
        """Return the record that `data` holds; keys of later versions are left out.

        Raises:
            TypeError: it holds none.
        """
        if not isinstance(data, dict):
            raise TypeError(f"not a record but {type(data).__name__}")
        known = {each.name for each in fields(cls)}
        found = cls(**{key: value for key, value in data.items() if key in known})
        return replace(found, nodes=tuple(found.nodes))

    def outputs_by_name(self) -> dict[str, DatasetRecord]:
        """Return the records of what the attempt wrote."""
        return {each["name"]: DatasetRecord.from_data(each) for each in self.outputs}


def as_json(value: Any, depth: int = 20) -> Any:
    """Return a value as JSON has it; what JSON does not have, NaN for one, as short text."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if depth and isinstance(value, Mapping):
        return {str(key): as_json(inner, depth - 1) for key, inner in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [as_json(inner, depth - 1) for inner in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        return as_json(value.item(), 0)
    try:
        return str(value)[:2000]
    except Exception as error:
        return f"({type(value).__name__}: {type(error).__name__} in __str__)"


def next_start(moment: str, before: TaskRecord | None) -> str:
    """Return when an attempt begins: the moment, or just after the attempt before it.

    The clocks of two machines differ; what saw the other's record began later all the same.
    """
    if before is None or before.started < moment:
        return moment
    try:
        last = datetime.datetime.fromisoformat(before.started)
    except ValueError:
        return moment
    after = last + datetime.timedelta(microseconds=1)
    return after.isoformat(timespec="microseconds")


def write_record(files: Files, place: RunPlace, record: TaskRecord) -> bool:
    """Keep a record unless a later attempt has one already; say whether it was kept."""
    current = read_record(files, place, record.task_id)
    if current is not None and current.started > record.started:
        return False
    files.write(place.task(record.task_id), record.to_json())
    return True


def read_record(files: Files, place: RunPlace, task_id: str) -> TaskRecord | None:
    """Return the record of a task in a run, None where there is none that can be read."""
    content = files.read(place.task(task_id))
    if content is None:
        return None
    try:
        return TaskRecord.from_data(json.loads(content))
    except (ValueError, TypeError):
        return None
