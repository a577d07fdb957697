"""What stands between two stages as plain data, for JSON readers: tests, scripts, bug reports.

Keys are stable and always there; what does not exist is null or empty. Typed values become
objects that say what they are, such as `{"cron": "0 6 * * *", "timezone": "UTC", "meaning":
"trigger"}`; a mapping of the user's that could be taken for one is wrapped in `{"mapping": ...}`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dagforge.ir import Operator, links_of
from dagforge.resolve import Layer
from dagforge.values import (
    Constant,
    Cron,
    Date,
    Every,
    Instance,
    Literal,
    Model,
    Reference,
    RunText,
    RunValue,
)

if TYPE_CHECKING:
    from dagforge.build import Stages
    from dagforge.errors import Origin
    from dagforge.ir import Dataset, Node, NodeGroup
    from dagforge.planning.model import DagPlan, Task
    from dagforge.resolve import Settings

Data = dict[str, Any]

_SPELLINGS: Mapping[type, Callable[[Any], Data]] = {
    timedelta: lambda value: {"seconds": value.total_seconds()},
    Cron: lambda value: {
        "cron": value.expression,
        "timezone": value.timezone,
        "meaning": value.meaning,
    },
    Every: lambda value: {"every": as_data(value.length), "meaning": value.meaning},
    Date: lambda value: {"date": list(value.parts), "timezone": value.timezone},
    Reference: lambda value: {"import": value.path},
    Instance: lambda value: {
        "call": value.path,
        **({"positional": as_data(value.positional)} if value.positional else {}),
        "args": {name: as_data(inner) for name, inner in value.arguments.items()},
    },
    Model: lambda value: {
        "model": value.type,
        "fields": {name: as_data(inner) for name, inner in value.fields.items()},
    },
    RunValue: lambda value: {"run_value": value.name},
    RunText: lambda value: {
        "text": [value.before, value.value.name if value.value else None, value.after],
    },
    Literal: lambda value: {"literal": value.text},
    Constant: lambda value: {"constant": value.name},
}
_TAGGED = frozenset(
    {
        frozenset({"seconds"}),
        frozenset({"cron", "timezone", "meaning"}),
        frozenset({"every", "meaning"}),
        frozenset({"date", "timezone"}),
        frozenset({"import"}),
        frozenset({"call", "args"}),
        frozenset({"call", "positional", "args"}),
        frozenset({"model", "fields"}),
        frozenset({"run_value"}),
        frozenset({"literal"}),
        frozenset({"text"}),
        frozenset({"constant"}),
        frozenset({"type", "fields"}),
        frozenset({"float"}),
        frozenset({"mapping"}),
    }
)


def as_data(value: Any) -> Any:
    """Return a value of the plan as JSON data, typed values as tagged objects."""
    spelling = _SPELLINGS.get(type(value))
    if spelling is not None:
        return spelling(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, Mapping):
        data = {str(key): as_data(inner) for key, inner in value.items()}
        return {"mapping": data} if frozenset(data) in _TAGGED else data
    if isinstance(value, (list, tuple)):
        return [as_data(inner) for inner in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "type": type(value).__name__,
            "fields": {field.name: as_data(getattr(value, field.name)) for field in fields(value)},
        }
    return value


def place(origin: Origin | None) -> str | None:
    """Return `file:line:column`, None for what stands in no file."""
    return None if origin is None else str(origin.location())


def pipeline_data(stages: Stages) -> Data:
    """Return a pipeline as its front-end loaded it."""
    pipeline = stages.pipeline
    return {
        "pipeline": pipeline.name,
        "description": pipeline.description,
        "front_end": pipeline.front_end,
        "at": place(pipeline.origin),
        "nodes": [_node(node) for node in pipeline.nodes],
        "datasets": [_dataset(dataset) for dataset in pipeline.datasets.values()],
        "links": [
            {
                "upstream": link.upstream,
                "downstream": link.downstream,
                "datasets": list(link.datasets),
            }
            for link in links_of(pipeline)
        ],
    }


def _node(node: Node) -> Data:
    action = node.action
    what: Data = (
        {"operator": action.path, "arguments": as_data(action.arguments)}
        if isinstance(action, Operator)
        else {
            "runner": action.runner,
            "target": action.target or None,
            "command": list(action.command),
            "arguments": dict(action.arguments),
        }
    )
    return {
        "name": node.name,
        "action": what,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "after": list(node.after),
        "tags": list(node.tags),
        "namespace": node.namespace,
        "module": node.module,
        "block": node.block,
        "settings": as_data(node.settings),
        "at": place(node.origin),
    }


def _dataset(dataset: Dataset) -> Data:
    return {
        "name": dataset.name,
        "persisted": dataset.persisted,
        "uri": dataset.uri,
        "format": dataset.format,
        "shared": dataset.shared,
        "at": place(dataset.origin),
    }


def groups_data(stages: Stages) -> Data:
    """Return which nodes run in which task."""
    return {
        "pipeline": stages.pipeline.name,
        "dag_id": stages.dag.dag_id,
        "grouping": stages.settings.grouping(stages.pipeline.grouping).by,
        "tasks": [
            {
                "task_id": task.task_id,
                "group": group.name,
                "is_group": group.is_group,
                "kind": task.kind,
                "nodes": [node.name for node in group.nodes],
                "tags": list(group.tags),
                "machine": task.machine,
                "upstream": list(task.upstream),
                "downstream": list(task.downstream),
            }
            # The plan makes one task of each group, in the same order.
            for group, task in zip(stages.groups, stages.dag.tasks, strict=True)
        ],
    }


def settings_data(stages: Stages) -> Data:
    """Return every setting of the DAG, and of each task what it has otherwise, with its place."""
    settings, dag = stages.settings, stages.dag
    own = settings.for_dag()
    tasks: Data = {}
    for group, task in zip(stages.groups, dag.tasks, strict=True):
        layers = task_layers(settings, group, task)
        tasks[task.task_id] = {
            name: _setting(settings, name, value, layers)
            for name, value in task.settings.items()
            if name not in own or own[name] != value
        }
    return {
        "pipeline": stages.pipeline.name,
        "dag": {
            name: _setting(settings, name, value, settings.dag_layers)
            for name, value in own.items()
        },
        "tasks": tasks,
    }


def _setting(settings: Settings, name: str, value: Any, layers: tuple[Layer, ...]) -> Data:
    # Free variables that stand at the top have no place in common.
    found = settings.explain((name,), layers)
    return {
        "value": value,
        "layer": found[0].layer.label if found else None,
        "at": place(found[0].at) if found and name != "vars" else None,
    }


def task_layers(settings: Settings, group: NodeGroup, task: Task) -> tuple[Layer, ...]:
    """Return the layers of one task, low to high, those of its kind at the bottom."""
    layers = settings.task_layers(group.name, group.nodes, group.tags)
    of_kind = settings.target.kinds[task.kind].get("settings")
    if not of_kind:
        return layers
    return (Layer(f"target {settings.target.name} ({task.kind})", of_kind), *layers)


def plan_data(dag: DagPlan) -> Data:
    """Return everything that a plan holds; what a loaded DAG is held against."""
    return {
        "dag_id": dag.dag_id,
        "project": dag.project,
        "file": f"{dag.stem}.py",
        "pipeline": dag.pipeline.name,
        "env": dag.env,
        "description": dag.description,
        "catchup": dag.catchup,
        "kept": list(dag.kept),
        "arguments": as_arguments(dag.arguments),
        "deployment": as_arguments(dag.deployment),
        "source": None if dag.source is None else as_arguments(dag.source),
        "parameters": as_arguments(dag.parameters),
        "default_args": as_arguments(dag.default_args),
        "constants": as_arguments(dag.constants),
        "tasks": [_task(task) for task in dag.tasks],
        "edges": [
            {
                "upstream": edge.upstream,
                "downstream": edge.downstream,
                "datasets": list(edge.datasets),
            }
            for edge in dag.edges
        ],
        "vars": as_arguments(dag.vars),
    }


def as_arguments(values: Mapping[str, Any]) -> Data:
    """Return values by name; the mapping itself is no value and never wrapped."""
    return {name: as_data(value) for name, value in values.items()}


def _task(task: Task) -> Data:
    return {
        "task_id": task.task_id,
        "variable": task.variable,
        "kind": task.kind,
        "operator": task.operator or None,
        "runs": task.runs,
        "nodes": list(task.nodes),
        "tags": list(task.tags),
        "command": as_data(task.command),
        "pod_name": task.pod_name,
        "machine": task.machine,
        "resources": as_data(task.resources),
        "arguments": as_arguments(task.arguments),
        "upstream": list(task.upstream),
        "downstream": list(task.downstream),
        "contract": task.contract,
    }
