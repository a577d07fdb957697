"""Which settings make DagForge's DAGs have the ids of kedro-airflow's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dagforge.commands.migrate.model import NewDag, Note, Pair
from dagforge.commands.show import counted
from dagforge.errors import DagForgeError
from dagforge.frozen import frozen
from dagforge.group import group
from dagforge.ir import Grouping, NodeGroup, Pipeline
from dagforge.kedro_airflow.dag_files import OldDag, OldTask, unescaped
from dagforge.planning.names import slug

Nodes = frozenset[str]
STYLES = ("as-is", "kedro-airflow")


@frozen
class OldIds:
    """The tasks of an old DAG by what they run.

    Attributes:
        id_of: task_ids, of tasks of which a node is left.
        gone: tasks of which none is.
        doubled: tasks whose id another one has too.
        known: all nodes that the old tasks run.
    """

    id_of: Mapping[Nodes, str]
    gone: tuple[OldTask, ...]
    doubled: tuple[OldTask, ...]
    known: Nodes


def old_ids(old: OldDag, pipeline: Pipeline, new: NewDag) -> OldIds:
    """Return the tasks of an old DAG by the nodes of the pipeline that they run."""
    names = {node.name for node in pipeline.nodes}
    nodes_by_id = _nodes_by_id(pipeline, new)
    id_of: dict[Nodes, str] = {}
    gone: list[OldTask] = []
    doubled: list[OldTask] = []
    seen: set[str] = set()
    for task in old.tasks:
        if task.task_id in seen:
            doubled.append(task)
            continue
        seen.add(task.task_id)
        nodes = frozenset(_nodes_of(task, pipeline, nodes_by_id)) & names
        if nodes:
            id_of.setdefault(nodes, task.task_id)
        else:
            gone.append(task)
    known = frozenset(node for nodes in id_of for node in nodes)
    return OldIds(id_of, tuple(gone), tuple(doubled), known)


def _nodes_by_id(pipeline: Pipeline, new: NewDag) -> dict[str, Sequence[str]]:
    """Return the nodes that a task runs if its file does not say so, by its task_id."""
    nodes_by_id: dict[str, Sequence[str]] = {}
    for task_id, nodes in new.nodes_by_task.items():
        nodes_by_id.setdefault(task_id, nodes)
        nodes_by_id.setdefault(slug(task_id), nodes)
    for node in pipeline.nodes:
        nodes_by_id.setdefault(node.name, [node.name])
        nodes_by_id.setdefault(slug(node.name), [node.name])
    return nodes_by_id


def _nodes_of(
    task: OldTask, pipeline: Pipeline, nodes_by_id: Mapping[str, Sequence[str]]
) -> Sequence[str]:
    """Return the nodes that a task runs: as its file says, else as its name says."""
    if task.nodes is not None:
        return [unescaped(name) for name in task.nodes]
    if task.namespaces:
        return [
            node.name
            for node in pipeline.nodes
            if any(f"{node.namespace or ''}.".startswith(f"{name}.") for name in task.namespaces)
        ]
    return nodes_by_id.get(task.task_id.rpartition(".")[2], ())


def grouping_notes(pair: Pair, old: OldIds) -> Iterator[Note]:
    """Give a note where the old tasks are made of other nodes than the new ones."""
    known = old.known
    here = {frozenset(nodes) & known for nodes in pair.new.nodes_by_task.values()} - {Nodes()}
    there = set(old.id_of)
    if here == there:
        return
    changed = sorted(there - here, key=sorted)
    names = ", ".join(f"'{old.id_of[nodes]}'" for nodes in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    yield Note(
        "changes",
        "grouping",
        f"{counted(len(pair.new.nodes_by_task), 'task')} instead of {len(pair.old.tasks)}: nodes "
        f"are grouped otherwise, and {names}{more} would not be there",
        pair.old.tasks[0].at if pair.old.tasks else pair.old.at,
        "the settings below group them as they were",
    )


def settings_for_tasks(pair: Pair, old: OldIds) -> dict[str, Any]:
    """Return the settings that give the tasks of `pair` their old ids; empty if they have them.

    The grouping that makes the tasks of the same nodes is looked for first: none, by namespace, by
    memory; else the tasks are listed. Then the style of their names, and what neither reaches is
    named one by one.
    """
    if not old.id_of or _same(pair.new.nodes_by_task, old):
        return {}
    pipeline, current = pair.stages.pipeline, pair.stages.settings.for_dag()
    for by, groups in _groupings(pipeline, pair.stages.groups):
        if _parts(groups, old.known) != set(old.id_of):
            continue
        own: dict[str, Any] = {} if by is None else {"grouping": by}
        for style in sorted(STYLES, key=lambda style: style != current["task_id_style"]):
            missed = [each for each in groups if _wanted(each, old) not in (None, _id(each, style))]
            if style != current["task_id_style"]:
                own["task_id_style"] = style
            if not missed:
                return own
            if (by or current["grouping"]) == "memory" and all(e.is_group for e in missed):
                names = {each.nodes[0].name: _wanted(each, old) for each in missed}
                if all(_spelled(name, style) == name for name in names.values() if name):
                    return {**own, "group_names": names}
            own.pop("task_id_style", None)
    return _listed(pipeline, old, current["task_id_style"])


def _listed(pipeline: Pipeline, old: OldIds, style: str) -> dict[str, Any]:
    """Return the grouping that names every task by itself."""
    order = {node.name: place for place, node in enumerate(pipeline.nodes)}
    tasks = {
        task_id: sorted(nodes, key=order.__getitem__)
        for nodes, task_id in old.id_of.items()
        if nodes != {task_id}
    }
    return {"grouping": tasks, **({} if style == "as-is" else {"task_id_style": "as-is"})}


def _groupings(
    pipeline: Pipeline, current: Sequence[NodeGroup]
) -> Iterator[tuple[str | None, Sequence[NodeGroup]]]:
    """Give the groups of the ways that kedro-airflow had, the one that is set first."""
    yield None, current
    for by in ("none", "namespace", "memory"):
        # Refused where tasks would wait for each other.
        with suppress(DagForgeError):
            yield by, group(pipeline, Grouping(by))


def _parts(groups: Sequence[NodeGroup], known: Nodes) -> set[Nodes]:
    """Return which of the known nodes are in one task."""
    parts = {frozenset(node.name for node in each.nodes) & known for each in groups}
    return parts - {Nodes()}


def _wanted(each: NodeGroup, old: OldIds) -> str | None:
    """Return the old id of a group, None where it is new."""
    names = frozenset(node.name for node in each.nodes) & old.known
    return old.id_of.get(names)


def _id(each: NodeGroup, style: str) -> str:
    return _spelled(each.name, style)


def _spelled(name: str, style: str) -> str:
    return slug(name) if style == "kedro-airflow" else name


def _same(nodes_by_task: Mapping[str, tuple[str, ...]], old: OldIds) -> bool:
    """Say whether every old task has its id."""
    known = old.known
    now = {frozenset(nodes) & known: task_id for task_id, nodes in nodes_by_task.items()}
    return all(now.get(nodes) == task_id for nodes, task_id in old.id_of.items())
