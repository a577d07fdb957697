"""What a report says of past runs: from the records that tasks left in a store."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

from dagforge.drawing.model import Arrow, Colour, Panel, Picture, Shape
from dagforge.drawing.panels import with_used_colours
from dagforge.frozen import frozen
from dagforge.planning.model import DagPlan
from dagforge.runtime.files import Files
from dagforge.runtime.history import Run, datasets, runs, structure
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import FAILED, RUNNING, SUCCESS, TaskRecord
from dagforge.runtime.show import remarks
from dagforge.runtime.store import DatasetRecord

NOT_RUN = "not run"
_STATUSES = (NOT_RUN, RUNNING, SUCCESS, FAILED)


@frozen
class TaskRun:
    """What became of a task in a run.

    Attributes:
        seconds: how long it took; None where it has not ended, or nobody knows.
        began: seconds after the run began.
        nodes: seconds by node, in the order in which they ran.
        memory: most of its process, in bytes.
        remarks: metrics, checks, warnings and the error, a line each.
    """

    task_id: str
    status: str
    seconds: float | None = None
    began: float | None = None
    nodes: tuple[tuple[str, float | None], ...] = ()
    memory: int | None = None
    remarks: tuple[str, ...] = ()


@frozen
class DatasetFacts:
    """A dataset that a run kept.

    Attributes:
        columns: names, or names with types.
        preview: rows of cells below `columns`, or one text; empty without one.
    """

    name: str
    format: str
    size: int | None
    rows: str
    producer: str
    columns: tuple[str, ...] = ()
    preview: tuple[tuple[str, ...], ...] | str = ()


@frozen
class RunFacts:
    """A run as it was.

    Attributes:
        structure: hash of the plan that its DAG was made from.
        is_current: that plan is the one of this report.
        picture: of that plan, coloured by status; None where the store does not have it.
        metrics: by name, as text.
        checks: each with `passed` or `failed`.
    """

    run_id: str
    status: str
    started: str
    seconds: float | None
    structure: str | None
    is_current: bool
    picture: Picture | None
    tasks: tuple[TaskRun, ...]
    datasets: tuple[DatasetFacts, ...]
    metrics: tuple[tuple[str, str], ...]
    checks: tuple[tuple[str, str], ...]


@frozen
class History:
    """The runs of one pipeline.

    Attributes:
        of: how many the store has.
        runs: the last of them, the newest first.
    """

    of: int
    runs: tuple[RunFacts, ...]


def history_of(files: Files, dag: DagPlan, most: int) -> History:
    """Return the last runs of a DAG.

    Args:
        files: of the store.
        dag: as it is now.
        most: how many runs are told.

    Raises:
        StoreError: the store cannot be read.
    """
    place = RunPlace(dag.project, dag.env, dag.dag_id, "")
    found = runs(files, place)
    last = found[len(found) - min(most, len(found)) :][::-1]
    return History(len(found), tuple(_run(files, place, dag, run) for run in last))


def _run(files: Files, place: RunPlace, dag: DagPlan, run: Run) -> RunFacts:
    shape = _structure(files, place, run)
    names = [task["task_id"] for task in shape["tasks"]] if shape else []
    names += [name for name in run.tasks if name not in names]
    tasks = tuple(_task(name, run.tasks.get(name), run.started) for name in names)
    records = [run.tasks[name] for name in names if name in run.tasks]
    return RunFacts(
        run_id=run.run_id,
        status=run.status,
        started=run.started,
        seconds=_seconds(run.started, run.ended),
        structure=run.structure,
        is_current=run.structure == dag.structure_hash,
        picture=_picture(dag, shape, tasks) if shape else None,
        tasks=tasks,
        datasets=tuple(_dataset(each) for each in datasets(files, run).values()),
        metrics=tuple(
            (name, _short(value)) for record in records for name, value in record.metrics.items()
        ),
        checks=tuple(
            (str(check.get("node")), "passed" if check.get("passed") else "failed")
            for record in records
            for check in record.checks
        ),
    )


def _structure(files: Files, place: RunPlace, run: Run) -> Mapping[str, Any] | None:
    """Return what the DAG was made of, None where the store does not say."""
    if not run.structure:
        return None
    try:
        shape = structure(files, place, run.structure)
    except ValueError:
        # Half a file, or no JSON: the run is told all the same.
        return None
    return shape if isinstance(shape, dict) and {"tasks", "edges"} <= set(shape) else None


def _task(name: str, record: TaskRecord | None, began: str) -> TaskRun:
    if record is None:
        return TaskRun(name, NOT_RUN)
    return TaskRun(
        task_id=name,
        status=record.status if record.status in _STATUSES else RUNNING,
        seconds=_seconds(record.started, record.ended),
        began=_seconds(began, record.started),
        nodes=tuple((node, record.seconds.get(node)) for node in record.nodes),
        memory=record.peak_memory,
        remarks=tuple(remarks(record)[1:]),
    )


def _seconds(start: str, end: str | None) -> float | None:
    """Return how long it is from one moment to the other, None where that is not known."""
    try:
        length = datetime.datetime.fromisoformat(end or "") - datetime.datetime.fromisoformat(start)
    except (ValueError, TypeError):
        return None
    return length.total_seconds()


def duration(seconds: float | None) -> str:
    """Return a length of time as people read it; a dash where it is not known."""
    if seconds is None:
        return "\N{EN DASH}"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _picture(dag: DagPlan, shape: Mapping[str, Any], tasks: tuple[TaskRun, ...]) -> Picture:
    """Return the tasks as they were, in the colours of what became of them."""
    names = [task["task_id"] for task in shape["tasks"]]
    number_of = {name: number for number, name in enumerate(names)}
    shapes = tuple(
        Shape(
            task.task_id,
            tuple(node for node, _ in task.nodes),
            task.task_id,
            colour=task.status,
            notes=tuple(_notes(task)),
        )
        for task in tasks
        if task.task_id in number_of
    )
    arrows = sorted(
        (
            Arrow(
                number_of[edge["upstream"]],
                number_of[edge["downstream"]],
                tuple(edge["datasets"]),
            )
            for edge in shape["edges"]
        ),
        key=lambda arrow: (arrow.start, arrow.end),
    )
    colours = tuple(Colour(name, step) for step, name in enumerate(_STATUSES))
    panel = Panel("task", shapes, (), tuple(arrows))
    return with_used_colours(
        Picture(dag.pipeline.name, dag.dag_id, (panel,), colours, coloured_by="status")
    )


def _notes(task: TaskRun) -> Iterator[str]:
    yield task.status
    if task.seconds is not None:
        yield duration(task.seconds)


def _dataset(record: DatasetRecord) -> DatasetFacts:
    facts = record.facts
    columns = facts.get("columns")
    named = tuple(f"{name}: {kind}" for name, kind in columns.items()) if columns else ()
    preview = facts.get("preview")
    cells: tuple[tuple[str, ...], ...] | str = ()
    if isinstance(preview, dict) and {"columns", "data"} <= set(preview):
        named = tuple(map(str, preview["columns"]))
        cells = tuple(tuple(map(_short, row)) for row in preview["data"])
    elif preview is not None:
        cells = preview if isinstance(preview, str) else json.dumps(preview, ensure_ascii=False)
    return DatasetFacts(
        name=record.name,
        format=record.format,
        size=record.size,
        rows=str(facts.get("rows", "\N{EN DASH}")),
        producer=record.producer or "\N{EN DASH}",
        columns=named,
        preview=cells,
    )


def _short(value: Any) -> str:
    """Return a value as text: a number with as many digits as somebody reads."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
