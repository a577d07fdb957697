"""What is kept of every attempt of a task, beside its data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.store import SCHEMA, DatasetRecord

RUNNING, SUCCESS, FAILED = "running", "success", "failed"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A check of a run: passed or not, and how much that matters."""

    node: str
    passed: bool
    severity: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One attempt of one task.

    Attributes:
        nodes: in the order in which they ran.
        status: `running`, `success` or `failed`.
        structure: hash of the plan that the DAG was generated from.
        contract: hash of what the DAG expects of the task.
        warnings: what differed from that, one sentence each.
        code: hash of the modules that the nodes' functions are in.
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
        return json.dumps(asdict(self), indent=1, sort_keys=True, default=str).encode()

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> TaskRecord:
        """Return the record that `data` holds; keys of later versions are left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in data.items() if key in known})

    def outputs_by_name(self) -> dict[str, DatasetRecord]:
        """Return the records of what the attempt wrote."""
        return {each["name"]: DatasetRecord.from_data(each) for each in self.outputs}


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
