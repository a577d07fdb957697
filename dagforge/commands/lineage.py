"""What needs what, across tasks and pipelines."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagforge.frozen import frozen

if TYPE_CHECKING:
    from dagforge.build import Build
    from dagforge.ir import Pipeline


@frozen
class Near:
    """A node upstream or downstream of what is asked for.

    Attributes:
        steps: how far away it is, from 1.
        datasets: by which it hangs together with a nearer one, sorted; none for `after`.
    """

    node: str
    task: str
    steps: int
    datasets: tuple[str, ...]


@frozen
class Lineage:
    """What a node, a dataset or a parameter hangs together with in one pipeline.

    Attributes:
        kind: `node`, `dataset` or `parameter`.
        task: of a node; None for the others.
        upstream: nearest first, then by name.
        downstream: the same.
        inputs: what is needed and no node of the pipeline writes, with where it comes from: the
            catalog's path, nodes of other pipelines, `parameter`, or None.
    """

    name: str
    kind: str
    pipeline: str
    task: str | None
    upstream: tuple[Near, ...]
    downstream: tuple[Near, ...]
    inputs: Mapping[str, str | None]

    @property
    def tasks_upstream(self) -> tuple[str, ...]:
        """Other tasks that have to run before, in the order of `upstream`."""
        return _others(self.upstream, self.task)

    @property
    def tasks_downstream(self) -> tuple[str, ...]:
        """Other tasks that run after, in the order of `downstream`."""
        return _others(self.downstream, self.task)


def _others(nodes: Iterable[Near], task: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(near.task for near in nodes if near.task != task))


def known_names(found: Build) -> set[str]:
    """Return the nodes, datasets and parameters of all pipelines."""
    return {name for stages in found.stages for name in _names(stages.pipeline)}


def _names(pipeline: Pipeline) -> set[str]:
    names = {node.name for node in pipeline.nodes}
    return names.union(*((*node.inputs, *node.outputs) for node in pipeline.nodes))


def lineages(found: Build, name: str) -> list[Lineage]:
    """Return the lineage of a name in each pipeline that has it, in the order of the registry."""
    writers: dict[str, list[str]] = {}
    for stages in found.stages:
        for node in stages.pipeline.nodes:
            for dataset in node.outputs:
                writers.setdefault(dataset, []).append(f"{stages.pipeline.name}.{node.name}")
    answers = []
    for stages in found.stages:
        task_of = {node: str(task.task_id) for task in stages.dag.tasks for node in task.nodes}
        answer = _lineage(stages.pipeline, name, task_of, writers)
        if answer is not None:
            answers.append(answer)
    return answers


def _lineage(
    pipeline: Pipeline,
    name: str,
    task_of: Mapping[str, str],
    writers: Mapping[str, Sequence[str]],
) -> Lineage | None:
    """Return the lineage of a name in a pipeline; None where it is not there.

    Args:
        pipeline: its nodes.
        name: of a node, else of a dataset or parameter.
        task_of: task_id by node.
        writers: `pipeline.node` by dataset, of all pipelines.
    """
    from dagforge.ir import is_parameter, links_of

    if name not in _names(pipeline):
        return None
    nodes = {node.name: node for node in pipeline.nodes}
    before: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    after: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for link in links_of(pipeline):
        before.setdefault(link.downstream, []).append((link.upstream, link.datasets))
        after.setdefault(link.upstream, []).append((link.downstream, link.datasets))
    if name in nodes:
        kind = "node"
        upstream = _walk(before, [(name, 0, ())], task_of)
        downstream = _walk(after, [(name, 0, ())], task_of)
        read_by = [nodes[near.node] for near in upstream] + [nodes[name]]
    else:
        kind = "parameter" if is_parameter(name) else "dataset"
        makers = [(node.name, 1, (name,)) for node in pipeline.nodes if name in node.outputs]
        takers = [(node.name, 1, (name,)) for node in pipeline.nodes if name in node.inputs]
        upstream = _walk(before, makers, task_of)
        downstream = _walk(after, takers, task_of)
        read_by = [nodes[near.node] for near in upstream]
    read = {dataset for node in read_by for dataset in node.inputs}
    if kind == "dataset":
        read.add(name)
    return Lineage(
        name=name,
        kind=kind,
        pipeline=pipeline.name,
        task=task_of.get(name) if kind == "node" else None,
        upstream=upstream,
        downstream=downstream,
        inputs=_inputs(pipeline, read, writers),
    )


def _walk(
    links: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]],
    starts: Sequence[tuple[str, int, tuple[str, ...]]],
    task_of: Mapping[str, str],
) -> tuple[Near, ...]:
    """Return what can be reached, nearest first; starts that are 0 steps away are left out."""
    steps = {node: distance for node, distance, _ in starts}
    via: dict[str, set[str]] = {node: set(datasets) for node, _, datasets in starts}
    waiting = deque(node for node, _, _ in starts)
    while waiting:
        node = waiting.popleft()
        for other, datasets in links.get(node, ()):
            if other not in steps:
                steps[other] = steps[node] + 1
                waiting.append(other)
            if steps[other] == steps[node] + 1:
                via.setdefault(other, set()).update(datasets)
    return tuple(
        Near(node, task_of[node], distance, tuple(sorted(via[node])))
        for node, distance in sorted(steps.items(), key=lambda item: (item[1], item[0]))
        if distance
    )


def _inputs(
    pipeline: Pipeline, read: Iterable[str], writers: Mapping[str, Sequence[str]]
) -> dict[str, str | None]:
    """Return those datasets that no node of the pipeline writes, and where they come from."""
    from dagforge.ir import is_parameter

    written = {dataset for node in pipeline.nodes for dataset in node.outputs}
    found: dict[str, str | None] = {}
    for dataset in sorted(set(read) - written):
        if is_parameter(dataset):
            found[dataset] = "parameter"
        elif dataset in writers:
            found[dataset] = "written by " + ", ".join(sorted(writers[dataset]))
        else:
            declared = pipeline.datasets.get(dataset)
            found[dataset] = None if declared is None else declared.uri
    return found


def as_text(answers: Sequence[Lineage], side: str | None, form: str) -> str:
    """Return lineages for people, or as JSON.

    Args:
        answers: one a pipeline.
        side: `upstream` or `downstream` alone; None for both.
        form: `text` or `json`.
    """
    from dagforge.commands.show import as_json

    sides = (side,) if side else ("upstream", "downstream")
    if form == "json":
        return as_json([_data(answer, sides) for answer in answers])
    return "\n\n".join("\n".join(_lines(answer, sides)) for answer in answers)


def _data(answer: Lineage, sides: Sequence[str]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "name": answer.name,
        "kind": answer.kind,
        "pipeline": answer.pipeline,
        "task": answer.task,
    }
    for side in sides:
        data[side] = [
            {
                "node": near.node,
                "task": near.task,
                "steps": near.steps,
                "datasets": list(near.datasets),
            }
            for near in getattr(answer, side)
        ]
        data[f"tasks_{side}"] = list(getattr(answer, f"tasks_{side}"))
    if "upstream" in sides:
        data["inputs"] = dict(answer.inputs)
    return data


def _lines(answer: Lineage, sides: Sequence[str]) -> list[str]:
    from dagforge.commands.show import table

    task = f", task {answer.task}" if answer.task else ""
    lines = [f"{answer.kind} {answer.name} of pipeline {answer.pipeline}{task}"]
    words = {"upstream": ("needs", "before it"), "downstream": ("is needed by", "after it")}
    for side in sides:
        verb, when = words[side]
        near: Sequence[Near] = getattr(answer, side)
        inputs = answer.inputs if side == "upstream" else {}
        if not near and not inputs:
            lines.append(f"  {verb} nothing")
            continue
        tasks = getattr(answer, f"tasks_{side}")
        count = f"{len(tasks)} other task{'' if len(tasks) == 1 else 's'} {when}"
        lines.append(f"  {verb}  ({count})")
        rows = [
            [f"    {each.steps}", each.node, f"task {each.task}", ", ".join(each.datasets)]
            for each in near
        ]
        rows += [["    -", name, where or "", ""] for name, where in inputs.items()]
        lines += table(rows).splitlines()
    return lines
