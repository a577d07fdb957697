"""Past runs as parts of a report's page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dagforge.commands.report_page.parts import figure, legend, table, text
from dagforge.commands.report_page.runs import (
    DatasetFacts,
    History,
    RunFacts,
    TaskRun,
    duration,
)
from dagforge.drawing.model import Direction
from dagforge.errors import visible

_NOTHING = "\N{EN DASH}"


def run_parts(part: str, history: History, direction: Direction) -> Iterator[str]:
    """Yield the last runs of a pipeline, the newest first.

    Args:
        part: id of the pipeline's part of the report.
        history: its runs.
        direction: of the arrows.
    """
    yield "<h3>Runs</h3>"
    if not history.runs:
        yield "<p>The store has none of this DAG.</p>"
        return
    shown = f"the last {len(history.runs)} of {history.of}" if history.of > 1 else "the only one"
    columns = ("run", "status", "began (UTC)", "took", "structure", "metrics", "checks")
    rows = (tuple(map(text, _row(run))) for run in history.runs)
    yield from table(f"Runs in the store, {shown}", columns, rows)
    for number, run in enumerate(history.runs):
        yield from _run(part, number, run, direction)


def _row(run: RunFacts) -> tuple[str, ...]:
    structure = run.structure or "unknown"
    return (
        run.run_id,
        run.status,
        _moment(run.started),
        duration(run.seconds),
        f"{structure}, as now" if run.is_current else structure,
        ", ".join(f"{name} {value}" for name, value in run.metrics) or _NOTHING,
        ", ".join(f"{name} {passed}" for name, passed in run.checks) or _NOTHING,
    )


def _run(part: str, number: int, run: RunFacts, direction: Direction) -> Iterator[str]:
    summary = f"{run.run_id}: {run.status}, {_moment(run.started)}, {duration(run.seconds)}"
    yield f'<details class="run" data-run="{number}"><summary>{text(summary)}</summary>'
    if run.picture is None:
        yield "<p>The store does not say what the DAG was made of at that time.</p>"
    else:
        yield from legend(run.picture)
        yield '<div class="drawings">'
        yield from figure(part, f"run-{number}", "tasks as they were", run.picture, direction)
        yield '<aside class="details" aria-label="A task of the run" hidden></aside></div>'
    yield from table(
        "Tasks of the run",
        ("task", "status", "took", "when", "memory", "nodes", "remarks"),
        (_task_cells(run, task) for task in run.tasks),
    )
    yield from table(
        "Datasets of the run",
        ("dataset", "written by", "format", "bytes", "rows", "columns"),
        (
            tuple(
                map(
                    text,
                    (
                        each.name,
                        each.producer,
                        each.format,
                        _NOTHING if each.size is None else f"{each.size:,}",
                        each.rows,
                        ", ".join(each.columns),
                    ),
                )
            )
            for each in run.datasets
        ),
    )
    for each in run.datasets:
        yield from _preview(each)
    yield "</details>"


def _task_cells(run: RunFacts, task: TaskRun) -> tuple[str, ...]:
    nodes = ", ".join(f"{name} ({duration(seconds)})" for name, seconds in task.nodes)
    return (
        text(task.task_id),
        text(task.status),
        text(duration(task.seconds)),
        _bar(run, task),
        text(_memory(task)),
        text(nodes),
        "<br>".join(map(text, task.remarks)),
    )


def _bar(run: RunFacts, task: TaskRun) -> str:
    """Return when a task ran, as a bar in the time of the run and in words."""
    if not run.seconds or task.seconds is None or task.began is None:
        return _NOTHING
    start = 100 * min(max(task.began / run.seconds, 0), 1)
    width = min(100 * task.seconds / run.seconds, 100 - start)
    words = f"after {duration(task.began)}"
    style = f"margin-left: {start:.1f}%; width: {max(width, 0.5):.1f}%"
    return f'<span class="time"><span style="{style}"></span></span>{text(words)}'


def _preview(dataset: DatasetFacts) -> Iterator[str]:
    if not dataset.preview:
        return
    title = f"First rows of {dataset.name}"
    if isinstance(dataset.preview, str):
        yield f"<h4>{text(title)}</h4><pre>{text(dataset.preview)}</pre>"
        return
    yield from table(title, dataset.columns, (tuple(map(text, row)) for row in dataset.preview))


def _memory(task: TaskRun) -> str:
    return f"{task.memory / 2**20:.0f} MiB" if task.memory else _NOTHING


def _moment(started: str) -> str:
    return started[:19].replace("T", " ")


def run_data(run: RunFacts) -> dict[str, Any]:
    """Return what scripts tell of a run's tasks."""
    panel = run.picture.panels[0] if run.picture else None
    return {
        "view": None
        if panel is None
        else {
            "kind": "run",
            "shapes": [visible(shape.name) for shape in panel.shapes],
            "arrows": [
                [arrow.start, arrow.end, list(map(visible, arrow.datasets))]
                for arrow in panel.arrows
            ],
        },
        "tasks": {visible(task.task_id): _facts(task) for task in run.tasks},
    }


def _facts(task: TaskRun) -> list[Any]:
    facts = [
        ("status", [task.status]),
        ("took", [duration(task.seconds)]),
        ("memory", [_memory(task)]),
        ("nodes", [f"{name}: {duration(seconds)}" for name, seconds in task.nodes]),
        ("remarks", list(task.remarks)),
    ]
    return [[name, list(map(visible, lines))] for name, lines in facts if lines]
