"""The graph of a pipeline's nodes: what each takes, what they hand over, which may share a task."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.graph import ANY, OUTSIDE, Flow, Graph, merged, numbered
from dagforge.advice.settings import Facts
from dagforge.frozen import frozen
from dagforge.ir import Node, NodeGroup, Operator, Pipeline, Work, is_parameter
from dagforge.order import block_ties, knots, nodes_by_name, tied
from dagforge.planning.borders import REFUSE, SETTING
from dagforge.planning.handover import is_kedro
from dagforge.planning.machines import larger, machine, quantity
from dagforge.planning.model import DagPlan
from dagforge.planning.planner import tag_prefixes
from dagforge.planning.sizes import DEFAULT_MACHINE
from dagforge.resolve import Settings

BY_TAGS = "tags"


@frozen
class Planned:
    """A pipeline that was compiled.

    Attributes:
        groups: of its nodes.
        dag: the plan, with a task for each of them in the same order.
    """

    pipeline: Pipeline
    settings: Settings
    groups: Sequence[NodeGroup]
    dag: DagPlan


@frozen
class Nodes:
    """The nodes of a pipeline as units.

    Attributes:
        nodes: sorted by name; their positions are the units.
        graph: of the nodes.
        alone: the task of each node where nothing is grouped but what must be.
        present: the task of each node as it is now.
        bound: the part of each node; a part is never taken apart.
        machines: what each node asks for.
    """

    nodes: Sequence[Node]
    graph: Graph
    alone: Sequence[int]
    present: Sequence[int]
    bound: Sequence[int]
    machines: Sequence[str | None]

    @property
    def parts(self) -> Graph:
        """The graph whose units are the parts."""
        return merged(self.graph, self.bound, max(self.bound, default=-1) + 1)


def nodes_of(planned: Planned, assumptions: Assumptions, facts: Facts) -> Nodes:
    """Return what advice needs to know of a pipeline's nodes.

    Args:
        planned: the pipeline as it is grouped now.
        assumptions: what times and sizes there are where none is known.
        facts: what is known.
    """
    pipeline, settings = planned.pipeline, planned.settings
    nodes = nodes_by_name(pipeline)
    number_of = {node.name: number for number, node in enumerate(nodes)}
    group_of = [0] * len(nodes)
    kind_of = [""] * len(nodes)
    names = [ANY] * len(nodes)
    by = settings.grouping()
    prefixes = by.prefixes if by.by == BY_TAGS else ()
    for position, group in enumerate(planned.groups):
        for node in group.nodes:
            number = number_of[node.name]
            group_of[number] = position
            kind_of[number] = planned.dag.tasks[position].kind
            if any(tag.startswith(prefixes) for tag in node.tags):
                names[number] = group.name
    machines = _asked(nodes, planned.dag.settings)
    own_machine = [bool(settings.target.kinds[kind].get("own_machine")) for kind in kind_of]
    work, flows = _data(pipeline, nodes, assumptions, facts)
    keys = [
        _sharing_key(node, kind, each, settings, mix=assumptions.mix_machines)
        for node, kind, each in zip(nodes, kind_of, machines, strict=True)
    ]
    pod = assumptions.pod_startup + assumptions.image_pull
    graph = Graph(
        work=work,
        overhead=[pod if own else 0.0 for own in own_machine],
        cpu=[
            each.cpu if each and own else 0.0
            for each, own in zip(machines, own_machine, strict=True)
        ],
        in_pod=own_machine,
        kind=numbered(keys)[0],
        name=names,
        hint=[(node.namespace or ANY).partition(".")[0] for node in nodes],
        flows=flows,
        after=sorted(
            {
                (number_of[earlier], number)
                for number, node in enumerate(nodes)
                for earlier in node.after
                if earlier in number_of and earlier != node.name
            }
        ),
    )
    blocks = list(block_ties(nodes, range(len(nodes))))
    bound = [*blocks, *_named_ties(names), *_memory_ties(pipeline, nodes, planned.dag.settings)]
    return Nodes(
        nodes,
        graph,
        alone=_parts(len(nodes), blocks),
        present=numbered(group_of)[0],
        bound=_without_cycles(graph, _parts(len(nodes), bound)),
        machines=[None if each is None else each.name for each in machines],
    )


def _parts(size: int, ties: Iterable[tuple[int, int]]) -> list[int]:
    first_of = tied(range(size), ties)
    return numbered([first_of[number] for number in range(size)])[0]


def _without_cycles(graph: Graph, parts: list[int]) -> list[int]:
    """Return the parts, those that wait for each other as one."""
    count = max(parts, default=-1) + 1
    found = knots(count, sorted(merged(graph, parts, count).pairs()))
    first_of = {part: knot[0] for knot in found for part in knot}
    return numbered([first_of.get(part, part) for part in parts])[0]


def _named_ties(names: Sequence[str]) -> list[tuple[int, int]]:
    first_of: dict[str, int] = {}
    return [
        (first_of.setdefault(name, number), number) for number, name in enumerate(names) if name
    ]


def _memory_ties(
    pipeline: Pipeline, nodes: Sequence[Node], settings: Mapping[str, Any]
) -> list[tuple[int, int]]:
    """Return the nodes of Kedro that must share a task because of a dataset in memory."""
    if settings.get(SETTING, REFUSE) != REFUSE:
        return []
    writers = {
        dataset: number
        for number, node in enumerate(nodes)
        if is_kedro(node)
        for dataset in node.outputs
        if not _is_persisted(pipeline, dataset)
    }
    return [
        (writers[dataset], number)
        for number, node in enumerate(nodes)
        for dataset in node.inputs
        if dataset in writers
    ]


def _is_persisted(pipeline: Pipeline, dataset: str) -> bool:
    declared = pipeline.datasets.get(dataset)
    return declared is not None and declared.persisted


@frozen
class _Asked:
    """What a node alone asks for: a name, cpus, where it can run, which accelerators it has."""

    name: str
    cpu: float
    place: tuple[tuple[str, str], ...]
    accelerators: tuple[str, ...]


def _asked(nodes: Sequence[Node], settings: Mapping[str, Any]) -> list[_Asked | None]:
    """Return what each node asks for, None for nodes without a machine."""
    entries = settings.get("machines") or {}
    prefixes = tag_prefixes(settings, "resources_tag_prefix")
    known: dict[tuple[str, ...], _Asked | None] = {}
    found = []
    for node in nodes:
        names = tuple(
            sorted(
                tag.removeprefix(prefix)
                for tag in node.tags
                for prefix in prefixes
                if tag.startswith(prefix)
            )
        )
        if names not in known:
            known[names] = _asked_by(names or (DEFAULT_MACHINE,), entries)
        found.append(known[names])
    return found


def _asked_by(names: Sequence[str], entries: Mapping[str, Any]) -> _Asked | None:
    machines = [machine(name, entries[name]) for name in names if entries.get(name)]
    if not machines:
        return None
    asked = larger(machines)
    return _Asked(
        asked.name,
        float(quantity(asked.requests.get("cpu", "0")) or 0),
        tuple(sorted(asked.node_selector.items())),
        tuple(sorted(name for name in asked.limits if "/" in name)),
    )


def _sharing_key(
    node: Node, kind: str, asked: _Asked | None, settings: Settings, *, mix: bool
) -> str:
    """Return a text that nodes which may share a task have in common.

    Settings count too: a task has one value of each, and none should get another by being grouped.
    """
    if isinstance(node.action, Operator):
        return json.dumps(["operator", node.name])
    size: Any = None if asked is None else asked.name
    if mix:
        size = [asked.place, asked.accelerators] if asked else [(), ()]
    own = [
        node.name
        if node.settings or any(node.name in level for level in settings.by_task)
        else None,
        sorted({tag for level in settings.by_tag for tag in node.tags if tag in level}),
    ]
    return json.dumps([node.action.runner, kind, size, own])


def _data(
    pipeline: Pipeline, nodes: Sequence[Node], assumptions: Assumptions, facts: Facts
) -> tuple[list[float], list[Flow]]:
    """Return how long each node works, and the datasets between tasks.

    Loads and saves that no grouping changes are work. DagForge loads a dataset once a task and
    keeps what it wrote; Kedro loads and saves what the catalog declares for each node. Commands
    and operators have their data to themselves: that is part of how long they take.
    """
    work = [
        facts.durations[node.name].value
        if node.name in facts.durations
        else assumptions.node_duration
        for node in nodes
    ]
    writer_of = {dataset: number for number, node in enumerate(nodes) for dataset in node.outputs}
    readers_of: dict[str, list[int]] = {dataset: [] for dataset in writer_of}
    for number, node in enumerate(nodes):
        for dataset in dict.fromkeys(node.inputs):
            if not is_parameter(dataset) and writer_of.get(dataset) != number:
                readers_of.setdefault(dataset, []).append(number)
    flows = []
    for dataset, readers in readers_of.items():
        known = facts.sizes.get(dataset)
        size = assumptions.dataset_size if known is None else known.value
        seconds = assumptions.latency + size / assumptions.throughput
        writer = writer_of.get(dataset, OUTSIDE)
        is_persisted = _is_persisted(pipeline, dataset)
        is_handed = writer == OUTSIDE or _is_handled(nodes[writer])
        save = 0.0
        if writer != OUTSIDE and is_handed:
            if is_persisted or not readers:
                work[writer] += seconds
            else:
                save = seconds
        free: list[int] = []
        loading: list[int] = []
        for reader in readers:
            is_alone = is_kedro(nodes[reader]) and (is_persisted or writer == OUTSIDE)
            if _is_handled(nodes[reader]) and not is_alone and is_handed:
                loading.append(reader)
                continue
            free.append(reader)
            if _is_handled(nodes[reader]):
                work[reader] += seconds
        if loading:
            flows.append(Flow(writer, tuple(loading), seconds, save, size))
        if free and writer != OUTSIDE:
            flows.append(Flow(writer, tuple(free), 0.0, 0.0 if loading else save, size))
    return work, flows


def _is_handled(node: Node) -> bool:
    """Say whether a node's data are loaded and saved for it."""
    return isinstance(node.action, Work) and node.action.runner != "command"
