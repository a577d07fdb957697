"""Past runs, read from what tasks left in the store: no server, no database."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dagforge.errors import did_you_mean
from dagforge.frozen import frozen
from dagforge.runtime.errors import RunError
from dagforge.runtime.files import Files
from dagforge.runtime.places import STRUCTURES, TASKS, RunPlace, slug
from dagforge.runtime.records import FAILED, RUNNING, SUCCESS, TaskRecord
from dagforge.runtime.store import POINTER, DatasetRecord


@frozen
class Run:
    """A run as its records tell it.

    Attributes:
        folder: of the run, below the store's base.
        tasks: records by task_id, in the order in which the tasks began.
    """

    folder: str
    run_id: str
    dag_id: str
    started: str
    ended: str | None
    status: str
    structure: str | None
    tasks: Mapping[str, TaskRecord]


def _records_in(files: Files, folder: str) -> list[TaskRecord]:
    records: list[TaskRecord] = []
    for name in files.list(f"{folder}/{TASKS}"):
        content = files.read(f"{folder}/{TASKS}/{name}")
        if content is not None:
            try:
                records.append(TaskRecord.from_data(json.loads(content)))
            except (ValueError, TypeError):
                continue
    return sorted(records, key=lambda record: (record.started, record.task_id))


def runs(files: Files, place: RunPlace) -> list[Run]:
    """Return every run of a DAG that left a record, the oldest first."""
    found = []
    for name in files.list(place.dag_path):
        if name == STRUCTURES:
            continue
        run = _run(files, f"{place.dag_path}/{name}")
        if run is not None:
            found.append(run)
    return sorted(found, key=lambda run: (run.started, run.run_id))


def _run(files: Files, folder: str) -> Run | None:
    records = _records_in(files, folder)
    if not records:
        return None
    statuses = {record.status for record in records}
    status = FAILED if FAILED in statuses else RUNNING if RUNNING in statuses else SUCCESS
    ends = [record.ended for record in records]
    return Run(
        folder=folder,
        run_id=records[0].run_id,
        dag_id=records[0].dag_id,
        started=records[0].started,
        ended=None if None in ends else max(end for end in ends if end is not None),
        status=status,
        structure=next((r.structure for r in records if r.structure is not None), None),
        tasks={record.task_id: record for record in records},
    )


def find_run(files: Files, place: RunPlace, run_id: str | None) -> Run:
    """Return a run by its id, or the last one when it is None.

    Raises:
        RunError: there is none.
    """
    if run_id is not None:
        run = _run(files, f"{place.dag_path}/{slug(run_id)}")
        if run is not None:
            return run
    found = runs(files, place)
    if run_id is None and found:
        return found[-1]
    name = f"run '{run_id}'" if run_id is not None else "run"
    raise RunError.of(
        "no-run",
        f"the store at {files.url} has no {name} of '{place.dag_id}'",
        fix=did_you_mean(run_id or "", [run.run_id for run in found]),
    )


def datasets(files: Files, run: Run) -> dict[str, DatasetRecord]:
    """Return the current record of every dataset that the run kept, by name."""
    found: dict[str, DatasetRecord] = {}
    for name in files.list(run.folder):
        if name == TASKS:
            continue
        content = files.read(f"{run.folder}/{name}/{POINTER}")
        if content is not None:
            try:
                record = DatasetRecord.from_data(json.loads(content))
            except (ValueError, TypeError):
                continue
            found[record.name] = record
    return dict(sorted(found.items()))


def structure(files: Files, place: RunPlace, digest: str) -> Mapping[str, Any] | None:
    """Return the plan with that hash, None when the store does not have it."""
    content = files.read(place.structure(digest))
    if content is None:
        return None
    data: Mapping[str, Any] = json.loads(content)
    return data


def lineage(run: Run, dataset: str) -> list[tuple[str, TaskRecord, list[str]]]:
    """Return where a dataset of a run came from: each dataset, its task, and what that read.

    Raises:
        RunError: no task of the run wrote or read it.
    """
    writer_of = {each["name"]: record for record in run.tasks.values() for each in record.outputs}
    read = {each["name"] for record in run.tasks.values() for each in record.inputs}
    if dataset not in writer_of and dataset not in read:
        raise RunError.of(
            "unknown-dataset",
            f"run '{run.run_id}' has no dataset '{dataset}'",
            fix=did_you_mean(dataset, [*writer_of, *read]),
        )
    found: list[tuple[str, TaskRecord, list[str]]] = []
    seen: set[str] = set()
    pending = [dataset]
    while pending:
        name = pending.pop(0)
        record = writer_of.get(name)
        if name in seen or record is None:
            continue
        seen.add(name)
        inputs = [each["name"] for each in record.inputs]
        found.append((name, record, inputs))
        pending += inputs
    return found


def expired(found: Iterable[Run], keep: int) -> list[Run]:
    """Return the runs that are over and older than the last `keep` of them."""
    over = [run for run in found if run.status != RUNNING]
    return over[: max(0, len(over) - keep)]
