"""The pipeline as every front-end gives it and every later stage reads it.

Kedro's terms: a pipeline has nodes, a node reads and writes datasets, a dataset is persisted or
lives in memory. Nothing here knows an orchestrator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from dagforge.errors import Origin, Problem
from dagforge.frozen import frozen


@frozen
class Work:
    """What a node does by running something of its own; nodes of one runner may share a task.

    Attributes:
        runner: who runs it: `function` (`target` is `module:function`), `command`, `kedro`, or
            `hamilton`.
        target: what is run, in the runner's own spelling; empty for a command.
        pipeline: where a runner with a registry of its own finds the node; empty for the others.
        command: the words of a command, not read by a shell; `{literal: text}` is text that the
            orchestrator must not read as a template.
        arguments: dataset of each function argument by name; empty when they go by position.
    """

    runner: str
    target: str = ""
    command: tuple[str | Mapping[str, str], ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    pipeline: str = ""


@frozen
class Operator:
    """An operator of the orchestrator, passed through; always a task of its own.

    Attributes:
        path: dotted path of the class.
        arguments: keyword arguments as they stand in the definition.
    """

    path: str
    arguments: Mapping[str, Any]


@frozen
class Node:
    """One step of a pipeline.

    Attributes:
        inputs: datasets and parameters (`params:x`, `parameters`) in the order of the definition.
        after: nodes that run earlier although no dataset says so.
        namespace: dotted, as Kedro's; None outside any.
        module: the Python module of its function, for grouping by module; None without one.
        block: nodes with one block must share a task; None where it does not matter.
        settings: what the definition writes next to the node, not yet checked.
        check: severity (`error`, `warning`) of a node whose result says whether data are good.
        metric: its result is a number to keep with the run.
    """

    name: str
    action: Work | Operator
    origin: Origin
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    namespace: str | None = None
    module: str | None = None
    block: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    check: str | None = None
    metric: bool = False


@frozen
class Dataset:
    """A dataset that the catalog declares.

    Attributes:
        persisted: False when it lives in the memory of one process.
        uri: where it is stored; None when the catalog does not say.
        shared: concurrent runs may write it.
        versioned: each process that writes it makes a version of its own, each that reads it takes
            the newest.
        formats: the names that it has, where nodes know it in several formats.
        load_args: for what reads the format.
        save_args: for what writes it.
    """

    name: str
    origin: Origin
    persisted: bool = True
    uri: str | None = None
    format: str | None = None
    shared: bool = False
    versioned: bool = False
    formats: tuple[str, ...] = ()
    load_args: Mapping[str, Any] = field(default_factory=dict)
    save_args: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Parameter:
    """A parameter that the pipeline's own definition declares.

    Attributes:
        name: dotted, as in `params:<name>`.
        default: taken where the project's parameters and the run say nothing.
        required: it has no default.
        schema: JSON Schema of its values; empty when any will do.
    """

    name: str
    origin: Origin
    default: Any = None
    required: bool = False
    schema: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Pipeline:
    """Nodes and the datasets between them; node names are unique and there is no cycle.

    Attributes:
        nodes: in the order of the definition.
        datasets: what the catalog declares, by name.
        parameters: what the definition itself declares, by name.
        front_end: which front-end made it.
        kedro_version: of the Kedro that the project is of; None where it is of none.
        grouping: how nodes are told together where no setting says it; None for by tags.
        on_demand: a node that a mapping of tasks does not list runs in the task that needs it.
        warnings: what its front-end found doubtful.
    """

    name: str
    nodes: tuple[Node, ...]
    origin: Origin
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    description: str | None = None
    front_end: str = "yaml"
    kedro_version: str | None = None
    grouping: str | None = None
    on_demand: bool = False
    warnings: tuple[Problem, ...] = ()


@frozen
class Selection:
    """Which nodes of a pipeline are wanted; each part is one filter, all must hold (Kedro)."""

    tags: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    from_nodes: tuple[str, ...] = ()
    to_nodes: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tags or self.nodes or self.from_nodes or self.to_nodes)


@frozen
class Grouping:
    """How nodes are told together.

    Attributes:
        by: `tags`, `namespace`, `module`, `memory`, `none` or `map`.
        prefixes: what a grouping tag begins with; the group's name is what follows.
        tasks: task name to nodes (or modules), for `map`.
        names: name for a memory group, by the name of its first node.
        origin: where it was set, None for the default.
        named_at: where each of `names` was set.
    """

    by: str = "tags"
    prefixes: tuple[str, ...] = ("airflow:", "airflow.")
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None
    named_at: Mapping[str, Origin | None] = field(default_factory=dict)


@frozen
class NodeGroup:
    """Nodes that run as one task.

    Attributes:
        name: of the group, or of the node when it is alone.
        nodes: in topological order, ties by name.
        tags: union of the nodes' tags, sorted.
        is_group: False for a node in no group.
    """

    name: str
    nodes: tuple[Node, ...]
    tags: tuple[str, ...]
    is_group: bool


@frozen
class GroupLink:
    """An order between two tasks and the sorted datasets that cause it; none for `after`."""

    upstream: str
    downstream: str
    datasets: tuple[str, ...]


def is_parameter(dataset: str) -> bool:
    """Say whether the name of an input means a parameter, in Kedro's spelling."""
    return dataset == "parameters" or dataset.startswith("params:")


@frozen
class Link:
    """An order between two nodes and the datasets that cause it; none for `after`."""

    upstream: str
    downstream: str
    datasets: tuple[str, ...] = ()


def links_of(pipeline: Pipeline) -> list[Link]:
    """Return the order between nodes, one link a pair, in the order of the definition.

    Linear in nodes, inputs and outputs. Names in `after` that are no nodes are left out: the
    front-end has refused them.
    """
    producer_of = {dataset: node.name for node in pipeline.nodes for dataset in node.outputs}
    names = {node.name for node in pipeline.nodes}
    links: list[Link] = []
    for node in pipeline.nodes:
        datasets_by_producer: dict[str, list[str]] = {}
        for dataset in node.inputs:
            producer = producer_of.get(dataset)
            if producer is not None and producer != node.name:
                datasets = datasets_by_producer.setdefault(producer, [])
                if dataset not in datasets:
                    datasets.append(dataset)
        for earlier in node.after:
            if earlier in names and earlier != node.name:
                datasets_by_producer.setdefault(earlier, [])
        links += [
            Link(producer, node.name, tuple(datasets))
            for producer, datasets in datasets_by_producer.items()
        ]
    return links
