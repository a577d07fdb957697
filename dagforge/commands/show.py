"""The result of each stage as text for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from dagforge.commands.stage_data import Data, groups_data, pipeline_data, plan_data, settings_data
from dagforge.templating.layout import text_width

if TYPE_CHECKING:
    from dagforge.build import Build, Stages

WIDTH = 100
SHORT = 60
SCHEDULE = "schedule"


def list_pipelines(found: Build, form: str) -> str:
    """Return the pipelines with their nodes, tasks and schedule.

    Args:
        found: with every pipeline that is to be listed.
        form: `text` for a table, `json` for a list of objects.
    """
    rows = [
        {
            "pipeline": stages.pipeline.name,
            "nodes": len(stages.pipeline.nodes),
            "tasks": len(stages.dag.tasks),
            "schedule": stages.settings.for_dag().get(SCHEDULE),
            "dag_id": stages.dag.dag_id,
            "description": stages.pipeline.description,
        }
        for stages in found.stages
    ]
    if form == "json":
        return as_json(rows)
    heading = ["pipeline", "nodes", "tasks", "schedule", "dag_id", "description"]
    return table([heading, *([_cell(row[name]) for name in heading] for row in rows)], right=(1, 2))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return " ".join(value.split()) if isinstance(value, str) else str(value)


def show_stage(found: Build, stage: str, form: str) -> str:
    """Return what one stage of the compiler gave for each pipeline of `found`.

    Args:
        found: the pipelines, compiled.
        stage: `pipeline`, `groups`, `settings` or `plan`.
        form: `text`, or `json` for one object whose keys are stable.
    """
    as_data, as_text = _STAGES[stage]
    if form == "json":
        return as_json(
            {
                "stage": stage,
                "target": found.target.name,
                "version": found.target.version,
                "env": found.conf.env,
                "pipelines": [as_data(stages) for stages in found.stages],
            }
        )
    return "\n\n".join("\n".join(as_text(as_data(stages))) for stages in found.stages)


def as_json(value: Any) -> str:
    """Return JSON that a person can read and every program takes."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)


# --- text


def _pipeline_text(data: Data) -> Iterator[str]:
    yield f"pipeline {data['pipeline']}  ({data['at']})"
    if data["description"]:
        yield f"  {' '.join(data['description'].split())}"
    for node in data["nodes"]:
        yield f"  {node['name']}  ({node['at']})"
        yield f"    {_action_text(node['action'])}"
        for key in ("inputs", "outputs", "after", "tags"):
            if node[key]:
                yield f"    {key}: {', '.join(node[key])}"
        for key in ("namespace", "module", "block"):
            if node[key]:
                yield f"    {key}: {node[key]}"
        if node["settings"]:
            yield f"    settings: {one_line(node['settings'])}"
    if data["datasets"]:
        yield "datasets"
        for dataset in data["datasets"]:
            lives = dataset["uri"] or ("persisted" if dataset["persisted"] else "in memory")
            yield f"  {dataset['name']}: {lives}"


def _action_text(action: Data) -> str:
    if "operator" in action:
        return f"operator: {action['operator']} {one_line(action['arguments'])}"
    if action["runner"] == "command":
        return f"command: {one_line(action['command'])}"
    return f"{action['runner']}: {action['target']}"


def _groups_text(data: Data) -> Iterator[str]:
    nodes = sum(len(task["nodes"]) for task in data["tasks"])
    yield (
        f"pipeline {data['pipeline']}: {counted(len(data['tasks']), 'task')} of "
        f"{counted(nodes, 'node')}, grouped by {data['grouping']}, dag_id {data['dag_id']}"
    )
    for task in data["tasks"]:
        where = task["kind"] if task["machine"] is None else f"{task['kind']}, {task['machine']}"
        name = "" if task["group"] == task["task_id"] else f", group {task['group']}"
        yield f"  {task['task_id']}  ({where}{name})"
        if task["nodes"] != [task["task_id"]]:
            yield f"    nodes: {', '.join(task['nodes'])}"
        for key, word in (("tags", "tags"), ("upstream", "after")):
            if task[key]:
                yield f"    {word}: {', '.join(task[key])}"


def _settings_text(data: Data) -> Iterator[str]:
    yield f"pipeline {data['pipeline']}"
    yield from _settings_table(data["dag"])
    for task_id, own in data["tasks"].items():
        if own:
            yield f"task {task_id}"
            yield from _settings_table(own)


def _settings_table(settings: Data) -> Iterator[str]:
    rows = [
        [f"  {name}", shortened(one_line(entry["value"])), entry["at"] or entry["layer"] or "-"]
        for name, entry in settings.items()
    ]
    yield from table(rows).splitlines()


def _plan_text(data: Data) -> Iterator[str]:
    head = {key: data[key] for key in ("file", "pipeline", "env", "description")}
    yield f"dag {data['dag_id']}"
    yield from tree(head, 1)
    for key in (
        "arguments",
        "deployment",
        "source",
        "parameters",
        "default_args",
        "constants",
        "vars",
    ):
        if data[key]:
            yield f"  {key}"
            yield from tree(data[key], 2)
    for task in data["tasks"]:
        yield f"task {task['task_id']}"
        yield from tree({key: task[key] for key in task if key != "task_id"}, 1)
    for edge in data["edges"]:
        carried = f"  [{', '.join(edge['datasets'])}]" if edge["datasets"] else ""
        yield f"{edge['upstream']} >> {edge['downstream']}{carried}"


def tree(values: Data, level: int) -> Iterator[str]:
    """Yield a line for each value that says something, long mappings and lists taken apart."""
    indent = "  " * level
    for name, value in values.items():
        if value is None or value == [] or value == {}:
            continue
        line = f"{indent}{name}: {one_line(value)}"
        if len(line) > WIDTH and isinstance(value, dict):
            yield f"{indent}{name}"
            yield from tree(value, level + 1)
        elif len(line) > WIDTH and name != "command" and isinstance(value, list):
            yield f"{indent}{name}"
            yield from (f"{indent}  - {one_line(item)}" for item in value)
        else:
            yield line


def one_line(value: Any) -> str:
    """Return a value in one line, as YAML would read it."""
    return json.dumps(value, ensure_ascii=False)


def shortened(text: str, limit: int = SHORT) -> str:
    """Return text that is at most `limit` characters long."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def counted(count: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def table(rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> str:
    """Return rows with their columns one below the other.

    Args:
        rows: texts, as many in each row.
        right: columns that stand flush right.
    """
    if not rows:
        return ""
    flush_right = frozenset(right)
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - text_width(cell))
            cells.append(space + cell if number in flush_right else cell + space)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _planned(stages: Stages) -> Data:
    return plan_data(stages.dag)


_STAGES = {
    "pipeline": (pipeline_data, _pipeline_text),
    "groups": (groups_data, _groups_text),
    "settings": (settings_data, _settings_text),
    "plan": (_planned, _plan_text),
}
