"""A DAG as a change is judged by: what its history, its runs and its tasks depend on.

An outline holds values only. It crosses from one process to another, and is made from a plan as
well as from a generated file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, Final

from dagforge.frozen import frozen
from dagforge.ir import Node, Operator
from dagforge.planning.model import DagPlan, Task
from dagforge.planning.tasks import TAGS_ANNOTATION
from dagforge.settings.schema import untold
from dagforge.target import Target
from dagforge.values import Date, Instance, Model

Key = tuple[str, ...]
"""The name of a setting and the keys below it."""

# Settings without an argument of their own that change what a task does.
_OF_A_RUN: Final = ("entrypoint", "python", "project_dir", "store_url", "allow_pickle")
_DERIVED: Final = ("schedule", "start_date", "end_date", "catchup")
_SIDES: Final = ("requests", "limits")


@frozen
class NodeOutline:
    """A node: what it does, and what it reads and writes."""

    name: str
    does: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@frozen
class Waiting:
    """A task that names another DAG, and perhaps tasks of it.

    Attributes:
        at: where that is written, `file:line:column`.
    """

    dag_id: str
    task_ids: tuple[str, ...]
    at: str


@frozen
class TaskOutline:
    """A task.

    Attributes:
        nodes: names, in the order in which they run.
        facts: what it is given beyond what all tasks of the DAG are given.
        sizes: quantities by `requests` or `limits` and resource.
        contract: hashes of what its image must hold; empty when it runs no nodes.
        outlets: names and URIs of the assets that it writes.
        waiting: set for a task that waits for another DAG or starts it.
    """

    task_id: str
    nodes: tuple[str, ...]
    facts: Mapping[Key, Any]
    sizes: Mapping[Key, str]
    contract: str = ""
    outlets: tuple[str, ...] = ()
    waiting: Waiting | None = None


@frozen
class DagOutline:
    """A DAG.

    Attributes:
        file: its name in the output folder.
        schedule: typed, as in `dagforge.values`; None when nothing starts the DAG by itself.
        facts: of the DAG.
        common: what every task is given that has nothing else.
        nodes: of its pipeline, by name; empty when it was read from a generated file.
        edges: datasets by upstream and downstream task_id.
        assets: names and URIs of the assets whose change starts it.
        reads: where each dataset lies that the DAG reads and does not write.
        writes: where each dataset lies that it writes.
    """

    dag_id: str
    pipeline: str
    file: str
    schedule: Any
    start_date: Date | None
    end_date: Date | None
    catchup: bool
    facts: Mapping[Key, Any]
    common: Mapping[Key, Any]
    tasks: Mapping[str, TaskOutline]
    nodes: Mapping[str, NodeOutline]
    edges: Mapping[tuple[str, str], tuple[str, ...]]
    assets: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)
    writes: Mapping[str, str] = field(default_factory=dict)


def outline(dag: DagPlan, target: Target) -> DagOutline:
    """Return the outline of a plan.

    Args:
        dag: the plan.
        target: that it is for.
    """
    of_dag, of_task = setting_names(target, "dag"), setting_names(target, "task")
    arguments = _by_setting({**dag.arguments, **dag.deployment}, of_dag)
    if "doc_md" not in dag.settings:
        arguments.pop("doc_md", None)
    shown = {name: value for name, value in arguments.items() if name not in _DERIVED}
    facts = dict(leaves(shown))
    facts.pop(("params", str(target.facts.get("structure_param"))), None)
    facts.update(leaves({"env": dag.env, "vars": dict(dag.vars), "source": dag.source}))
    facts.update(leaves({name: each.default for name, each in dag.parameters.items()}))
    settings = {name: dag.settings[name] for name in _OF_A_RUN if name in dag.settings}
    common = dict(leaves({**settings, **_by_setting(dag.default_args, of_task)}))
    nodes = {node.name: node for node in dag.pipeline.nodes}
    of_tasks = {
        str(each.task_id): _task(each, dag, nodes[each.nodes[0]], common, target, of_task)
        for each in dag.tasks
    }
    written = {name for node in nodes.values() for name in node.outputs}
    read = {name for node in nodes.values() for name in node.inputs} - written
    return DagOutline(
        dag_id=dag.dag_id,
        pipeline=dag.pipeline.name,
        file=str(target.facts["file"]).format(stem=dag.stem),
        schedule=arguments.get("schedule"),
        start_date=arguments.get("start_date"),
        end_date=arguments.get("end_date"),
        catchup=dag.catchup,
        facts=facts,
        common=common,
        tasks=of_tasks,
        nodes={name: _node(node) for name, node in nodes.items()},
        edges={(edge.upstream, edge.downstream): edge.datasets for edge in dag.edges},
        assets=tuple(assets_in(arguments.get("schedule"))),
        reads=_stored(read, dag),
        writes=_stored(written, dag),
    )


def _task(
    task: Task,
    dag: DagPlan,
    first: Node,
    common: Mapping[Key, Any],
    target: Target,
    names: Mapping[str, str],
) -> TaskOutline:
    """Return the outline of one task of a plan.

    Args:
        task: of the plan.
        dag: the plan.
        first: of the task's nodes.
        common: what every task is given that has nothing else.
        target: that the plan is for.
        names: of the settings, by argument.
    """
    settings = {name: task.settings[name] for name in _OF_A_RUN if name in task.settings}
    arguments = _by_setting(task.arguments, names)
    own = dict(leaves({**settings, "operator": task.operator, **arguments}))
    facts = {key: value for key, value in own.items() if common.get(key, ...) != value}
    facts.pop(("annotations", TAGS_ANNOTATION), None)
    constant = dag.constants.get(task.resources.name) if task.resources else None
    return TaskOutline(
        task_id=task.task_id,
        nodes=task.nodes,
        facts=facts,
        sizes=sizes_of(constant),
        contract=task.contract if task.runs == "nodes" or task.command else "",
        outlets=tuple(assets_in(task.arguments.get("outlets"))),
        waiting=_waiting(task, first, target),
    )


def setting_names(target: Target, scope: str) -> dict[str, str]:
    """Return the settings of a DAG or of a task by their argument in the target's version."""
    return {
        argument: name
        for name, argument in target.arguments.items()
        if target.settings[name].scope == scope
    }


def _by_setting(arguments: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return arguments by the name of their setting, which is that of every version."""
    return {names.get(argument, argument): value for argument, value in arguments.items()}


def leaves(values: Mapping[str, Any], above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Yield every value that is no mapping, with the keys that lead to it."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*above, str(name)))
        else:
            yield (*above, str(name)), value


def sizes_of(resources: Any) -> dict[Key, str]:
    """Return the quantities of a task's resources; none where it has no resources."""
    if not isinstance(resources, Model):
        return {}
    return {
        (side, name): str(text)
        for side in _SIDES
        for name, text in (resources.fields.get(side) or {}).items()
    }


def assets_in(value: Any) -> Iterator[str]:
    """Yield the names and URIs of the assets in a value, at any depth."""
    if isinstance(value, Instance):
        kind = value.path.replace(":", ".").rpartition(".")[2]
        if kind in ("Asset", "Dataset", "AssetAlias", "DatasetAlias"):
            # An asset with one of the two has the same text for both.
            yield from (
                text for key in ("name", "uri") if isinstance(text := value.arguments.get(key), str)
            )
        else:
            yield from assets_in(list(value.arguments.values()))
    elif isinstance(value, Mapping):
        yield from assets_in(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from assets_in(inner)


def _node(node: Node) -> NodeOutline:
    action = node.action
    if isinstance(action, Operator):
        does = action.path
    elif action.command:
        does = shlex.join(str(untold(word)) for word in action.command)
    else:
        does = action.target
    return NodeOutline(node.name, does, node.inputs, node.outputs)


def _waiting(task: Task, node: Node, target: Target) -> Waiting | None:
    """Return the DAG that a task waits for or starts; None when it names none in plain text."""
    facts = target.facts.get("other_dags", {}).get(_last(task.operator))
    if facts is None:
        return None
    other = task.arguments.get(facts["dag"])
    if not _is_plain(other):
        return None
    named: list[Any] = []
    for argument in facts.get("tasks", ()):
        value = task.arguments.get(argument)
        named += value if isinstance(value, list) else [value]
    at = node.origin / "operator" / "arguments" / facts["dag"]
    return Waiting(str(other), tuple(filter(_is_plain, named)), str(at.location()))


def _last(path: str) -> str:
    return path.replace(":", ".").rpartition(".")[2]


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and "{{" not in value and "{%" not in value


def _stored(names: Iterable[str], dag: DagPlan) -> dict[str, str]:
    """Return where datasets lie, by name, for those of which the catalog says it."""
    datasets = dag.pipeline.datasets
    return {
        name: uri
        for name in sorted(names)
        if name in datasets and datasets[name].persisted and (uri := datasets[name].uri) is not None
    }
