"""Runs as people and programs read them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dagforge.runtime.history import Run
from dagforge.runtime.records import TaskRecord
from dagforge.runtime.store import DatasetRecord


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows in columns as wide as their widest cell."""
    found = [list(row) for row in rows]
    widths = [max(len(row[index]) for row in found) for index in range(len(found[0]))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in found
    )
    return "\n".join(lines)


def runs_table(runs: Sequence[Run]) -> str:
    """Return the runs, a line each."""
    if not runs:
        return "no runs"
    rows = [("run", "status", "tasks", "started", "seconds")]
    rows += [
        (
            run.run_id,
            run.status,
            str(len(run.tasks)),
            run.started[:19],
            _seconds(run.started, run.ended),
        )
        for run in runs
    ]
    return table(rows)


def _seconds(started: str, ended: str | None) -> str:
    if ended is None:
        return "-"
    import datetime

    length = datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(started)
    return f"{length.total_seconds():.1f}"


def run_data(
    run: Run,
    shape: Mapping[str, Any] | None = None,
    kept: Mapping[str, DatasetRecord] | None = None,
) -> dict[str, Any]:
    """Return a run for programs: its tasks' records, its structure and its datasets."""
    data: dict[str, Any] = {
        "run_id": run.run_id,
        "dag_id": run.dag_id,
        "status": run.status,
        "started": run.started,
        "ended": run.ended,
        "structure_hash": run.structure,
        "tasks": {name: dataclasses.asdict(record) for name, record in run.tasks.items()},
    }
    if kept is not None:
        data["structure"] = shape
        data["datasets"] = {name: dataclasses.asdict(record) for name, record in kept.items()}
    return data


def run_page(run: Run, shape: Mapping[str, Any] | None, kept: Mapping[str, DatasetRecord]) -> str:
    """Return a run for people."""
    lines = [
        f"run {run.run_id} of {run.dag_id}: {run.status}, began {run.started[:19]}, "
        f"{_seconds(run.started, run.ended)} s, structure {run.structure or 'unknown'}",
        "",
    ]
    rows = [("task", "status", "seconds", "memory", "after", "nodes")]
    upstream: dict[str, list[str]] = {}
    names = list(run.tasks)
    if shape is not None:
        for edge in shape["edges"]:
            upstream.setdefault(edge["downstream"], []).append(edge["upstream"])
        names = [task["task_id"] for task in shape["tasks"]]
        names += [name for name in run.tasks if name not in names]
    for name in names:
        record = run.tasks.get(name)
        if record is None:
            rows.append((name, "not run", "-", "-", ", ".join(upstream.get(name, ())), ""))
            continue
        memory = f"{record.peak_memory / 2**20:.0f} MiB" if record.peak_memory else "-"
        rows.append(
            (
                name,
                record.status,
                _seconds(record.started, record.ended),
                memory,
                ", ".join(upstream.get(name, ())),
                ", ".join(record.nodes),
            )
        )
    lines.append(table(rows))
    if kept:
        lines.append("")
        rows3 = [("dataset", "format", "bytes", "rows", "written by", "sha256")]
        for name, dataset in kept.items():
            rows3.append(
                (
                    name,
                    dataset.format,
                    f"{dataset.size or 0:,}",
                    str(dataset.facts.get("rows", "-")),
                    dataset.producer or "-",
                    (dataset.sha256 or "-")[:12],
                )
            )
        lines.append(table(rows3))
    for record in run.tasks.values():
        lines += remarks(record)
    return "\n".join(lines)


def remarks(record: TaskRecord) -> list[str]:
    """Return metrics, checks, warnings and the error of a task, a line each after an empty one."""
    lines = [f"metric {name} = {value}" for name, value in record.metrics.items()]
    for check in record.checks:
        word = "passed" if check["passed"] else f"failed ({check['severity']})"
        lines.append(f"check {check['node']} {word}")
    lines += [f"warning: {warning}" for warning in record.warnings]
    if record.error:
        node = record.error.get("node")
        where = f"node {node}" if node else f"task {record.task_id}"
        lines.append(f"{where} failed: {record.error['type']}: {record.error['message']}")
        frames = str(record.error.get("frames") or "").rstrip("\n")
        lines += [f"  {line}" for line in frames.split("\n") if frames]
    return ["", *lines] if lines else []


def diff_data(one: Run, other: Run) -> dict[str, Any]:
    """Return what differs between two runs, by task."""
    tasks: dict[str, Any] = {}
    for name in sorted({*one.tasks, *other.tasks}):
        first, second = one.tasks.get(name), other.tasks.get(name)
        if first is None or second is None:
            tasks[name] = {"only_in": other.run_id if first is None else one.run_id}
            continue
        changed: dict[str, Any] = {}
        for key in ("status", "contract", "code", "nodes"):
            values = (getattr(first, key), getattr(second, key))
            if values[0] != values[1]:
                changed[key] = list(values)
        for key in ("inputs", "outputs"):
            before = {each["name"]: each["sha256"] for each in getattr(first, key)}
            after = {each["name"]: each["sha256"] for each in getattr(second, key)}
            differing = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
            if differing:
                changed[key] = differing
        if first.metrics != second.metrics:
            changed["metrics"] = [dict(first.metrics), dict(second.metrics)]
        if changed:
            tasks[name] = changed
    return {
        "runs": [one.run_id, other.run_id],
        "structure": None if one.structure == other.structure else [one.structure, other.structure],
        "tasks": tasks,
    }


def diff_page(data: Mapping[str, Any]) -> str:
    """Return a difference for people."""
    first, second = data["runs"]
    lines = [f"{first} -> {second}"]
    if data["structure"]:
        lines.append(f"structure {data['structure'][0]} -> {data['structure'][1]}")
    for name, changed in data["tasks"].items():
        if "only_in" in changed:
            lines.append(f"{name}: only in {changed['only_in']}")
            continue
        for key, value in changed.items():
            if key in ("inputs", "outputs"):
                lines.append(f"{name}: other {key}: {', '.join(value)}")
            else:
                lines.append(f"{name}: {key} {value[0]} -> {value[1]}")
    if len(lines) == 1:
        lines.append("nothing differs")
    return "\n".join(lines)


Lineage = Sequence[tuple[str, TaskRecord, list[str]]]


def lineage_data(found: Lineage) -> list[dict[str, Any]]:
    """Return the origin of a dataset for programs."""
    return [
        {
            "dataset": name,
            "task": record.task_id,
            "nodes": list(record.nodes),
            "inputs": inputs,
            "code": record.code,
        }
        for name, record, inputs in found
    ]


def lineage_page(found: Lineage) -> str:
    """Return the origin of a dataset for people, the dataset first."""
    if not found:
        return "no task of this run wrote it: it came from outside"
    return "\n".join(
        f"{name} <- {record.task_id} ({', '.join(record.nodes)}) <- "
        f"{', '.join(inputs) or 'nothing'}"
        for name, record, inputs in found
    )
