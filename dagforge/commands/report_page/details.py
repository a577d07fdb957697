"""What is told of a node or a task when it is chosen in a drawing."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dagforge.commands.show import one_line
from dagforge.commands.stage_data import Data, as_data, settings_data
from dagforge.drawing.model import Panel
from dagforge.frozen import frozen
from dagforge.planning.model import Task
from dagforge.values import Constant

if TYPE_CHECKING:
    from dagforge.build import Stages

Fact = tuple[str, tuple[str, ...]]
"""A heading and the lines below it."""


@frozen
class SettingFact:
    """A setting, and where its value came from.

    Attributes:
        at: file, line and column; None for what stands in no file.
    """

    name: str
    value: str
    layer: str
    at: str | None


@frozen
class TaskDetails:
    """A task.

    Attributes:
        settings: those that it has otherwise than the DAG.
    """

    task_id: str
    nodes: tuple[str, ...]
    facts: tuple[Fact, ...]
    settings: tuple[SettingFact, ...]


@frozen
class NodeDetails:
    """A node and the task that it is in."""

    name: str
    task: str
    facts: tuple[Fact, ...]


@frozen
class Details:
    """Everything that is told of a pipeline's parts.

    Attributes:
        settings: of the DAG.
    """

    tasks: tuple[TaskDetails, ...]
    nodes: tuple[NodeDetails, ...]
    settings: tuple[SettingFact, ...]


def details_of(stages: Stages, by_node: Panel) -> Details:
    """Return what is told of the nodes and tasks of a pipeline.

    Args:
        stages: of the pipeline.
        by_node: the pipeline's nodes, as they are drawn.
    """
    settings = settings_data(stages)
    return Details(
        tasks=tuple(
            TaskDetails(
                str(task.task_id),
                task.nodes,
                tuple(_task_facts(stages, task)),
                tuple(_settings(settings["tasks"][task.task_id])),
            )
            for task in stages.dag.tasks
        ),
        nodes=tuple(
            NodeDetails(shape.name, shape.task, tuple(_facts(shape.facts)))
            for shape in by_node.shapes
        ),
        settings=tuple(_settings(settings["dag"])),
    )


def _settings(data: Data) -> Iterator[SettingFact]:
    for name, entry in data.items():
        yield SettingFact(name, one_line(entry["value"]), entry["layer"] or "", entry["at"])


def _task_facts(stages: Stages, task: Task) -> Iterator[Fact]:
    in_pod = stages.settings.target.kinds[task.kind].get("resources")
    resources = task.resources
    if isinstance(resources, Constant):
        resources = stages.dag.constants[resources.name]
    data: Mapping[str, Any] = {
        "runs as": f"{task.kind}, {task.operator}" if task.operator else task.kind,
        "command": command_text(task.command),
        "tags": task.tags,
        "machine": task.machine,
        "resources": _resources(resources),
        "pod name": task.pod_name if in_pod else None,
        "arguments": [f"{key}: {one_line(as_data(of))}" for key, of in task.arguments.items()],
        "contract": task.contract,
    }
    return _facts(data)


def command_text(command: Iterable[Any]) -> str:
    """Return a command as it is typed; what the orchestrator fills in stands in braces."""
    return " ".join(
        shlex.quote(word) if isinstance(word, str) else f"{{{_filled_in(word)}}}"
        for word in command
    )


def _filled_in(word: Any) -> str:
    data = as_data(word)
    if isinstance(data, dict) and "run_value" in data:
        return str(data["run_value"])
    return json.dumps(data, ensure_ascii=False)


def _resources(value: Any) -> list[str]:
    data = as_data(value)
    sides = data.get("fields", data) if isinstance(data, dict) else {}
    return [f"{side}: {one_line(amounts)}" for side, amounts in sides.items()]


def _facts(data: Mapping[str, Any]) -> Iterator[Fact]:
    """Yield what is known, as lines."""
    for name, value in data.items():
        if not value:
            continue
        many = isinstance(value, (list, tuple))
        yield name, tuple(map(str, value)) if many else (str(value),)
