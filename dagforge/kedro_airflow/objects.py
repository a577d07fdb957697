"""What a kedro-airflow template sees of a pipeline: objects that look like Kedro's.

Two releases of kedro-airflow gave one name two meanings: in 0.8 the keys of `dependencies` were
nodes, printed as `{{ parent.name }}`; from 0.9 on they were names. A name that has the attributes
of its node serves both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dagforge.ir import Node, Pipeline, Work, links_of
from dagforge.order import topological_order
from dagforge.planning.model import DagPlan, Task
from dagforge.planning.names import slug


class SortedSet(frozenset[str]):
    """A set whose items come sorted, so that a text made of them is always the same."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(super().__iter__()))

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}" if self else "set()"


class Function:
    """Stands for the function of a node, which is not imported."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__ = module
        self.__name__ = self.__qualname__ = name

    def __repr__(self) -> str:
        return f"<function {self.__name__}>"


@dataclass(frozen=True, slots=True, eq=False)
class KedroNode:
    """A node as `kedro.pipeline.node.Node` shows itself; equal to its name as a key only."""

    name: str
    namespace: str | None
    tags: SortedSet
    inputs: list[str]
    outputs: list[str]
    func: Function

    @property
    def short_name(self) -> str:
        """The name without the namespace."""
        return self.name.removeprefix(f"{self.namespace}.") if self.namespace else self.name

    @property
    def confirms(self) -> list[str]:
        """Always empty: the pipeline does not tell."""
        return []

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (KedroNode, NodeName)):
            return self.name == other.name
        return NotImplemented

    def __lt__(self, other: object) -> bool:
        if isinstance(other, KedroNode):
            return self.name < other.name
        return NotImplemented

    def __hash__(self) -> int:
        # That of the name, so that `dependencies[node]` finds it.
        return hash(self.name)

    def __str__(self) -> str:
        inputs = f"[{';'.join(self.inputs)}]" if self.inputs else "None"
        outputs = f"[{';'.join(self.outputs)}]" if self.outputs else "None"
        return f"{self.short_name}: {self.func.__name__}({inputs}) -> {outputs}"


class NodeName(str):
    """The name of a node, with everything that the node has."""

    node: KedroNode

    def __new__(cls, node: KedroNode) -> NodeName:  # noqa: D102
        name = super().__new__(cls, node.name)
        name.node = node
        return name

    def __getattr__(self, attribute: str) -> Any:
        # Asked only for what text does not have; `node` itself is missing while it is made.
        if attribute == "node":
            raise AttributeError(attribute)
        return getattr(self.node, attribute)


class Group(str):
    """The name of a task, with what Kedro's `GroupedNodes` has.

    Attributes:
        members: its nodes, in order.
        dependencies: names of the tasks right before it.
    """

    name: str
    members: tuple[KedroNode, ...]
    dependencies: list[str]
    type = "nodes"
    """Never `namespace`: the nodes are named, so that an image decides nothing."""

    def __new__(cls, name: str, members: Iterable[KedroNode]) -> Group:  # noqa: D102
        group = super().__new__(cls, name)
        group.name = name
        group.members = tuple(members)
        group.dependencies = []
        return group

    @property
    def nodes(self) -> list[NodeName]:
        """Its nodes, which print as their names (0.11) and have `.name` (0.10)."""
        return [NodeName(node) for node in self.members]

    @property
    def tags(self) -> SortedSet:
        """Tags of all its nodes."""
        return SortedSet(tag for node in self.members for tag in node.tags)


class NodeObjects(dict[str, Group]):
    """Tasks by name (0.10) whose keys are the tasks themselves (0.11 had a list of them)."""

    def __getitem__(self, key: Any) -> Any:
        return list(self)[key] if isinstance(key, (int, slice)) else super().__getitem__(key)


@dataclass(frozen=True)
class KedroPipeline:
    """A pipeline as `kedro.pipeline.Pipeline` shows itself.

    Attributes:
        layers: nodes that could run at one time, sorted by name, in order.
        definition: all nodes, as they were defined.
        parents: names of the nodes right before each node.
    """

    layers: tuple[tuple[KedroNode, ...], ...]
    definition: tuple[KedroNode, ...]
    parents: Mapping[str, tuple[str, ...]]

    @cached_property
    def nodes(self) -> list[KedroNode]:
        """Every node after all that it needs: layer by layer, sorted by name."""
        return [node for layer in self.layers for node in layer]

    @property
    def grouped_nodes(self) -> list[list[KedroNode]]:
        """The layers."""
        return [list(layer) for layer in self.layers]

    @cached_property
    def node_dependencies(self) -> dict[KedroNode, list[KedroNode]]:
        """The nodes right before each node, sorted by name."""
        by_name = {node.name: node for node in self.definition}
        return {
            node: [by_name[parent] for parent in sorted(self.parents[node.name])]
            for node in self.definition
        }

    def all_inputs(self) -> SortedSet:
        """Return everything that a node reads."""
        return SortedSet(name for node in self.definition for name in node.inputs)

    def all_outputs(self) -> SortedSet:
        """Return everything that a node writes."""
        return SortedSet(name for node in self.definition for name in node.outputs)

    def inputs(self) -> SortedSet:
        """Return what nodes read and no node writes."""
        return SortedSet(self.all_inputs() - self.all_outputs())

    def outputs(self) -> SortedSet:
        """Return what nodes write and no node reads."""
        return SortedSet(self.all_outputs() - self.all_inputs())

    def datasets(self) -> SortedSet:
        """Return everything that nodes read or write."""
        return SortedSet(self.all_inputs() | self.all_outputs())

    data_sets = datasets

    def only_nodes(self, *names: str) -> KedroPipeline:
        """Return the part with the nodes of these names.

        Raises:
            ValueError: there is none of a name, as in Kedro.
        """
        unknown = sorted(set(names) - {node.name for node in self.definition})
        if unknown:
            raise ValueError(f"Pipeline does not contain nodes named {unknown}.")
        return self._only(set(names))

    def only_nodes_with_tags(self, *tags: str) -> KedroPipeline:
        """Return the part with the nodes that have one of these tags."""
        return self._only({node.name for node in self.definition if not node.tags.isdisjoint(tags)})

    def _only(self, names: set[str]) -> KedroPipeline:
        ordered = [node for node in self.nodes if node.name in names]
        parents = {
            node.name: tuple(parent for parent in self.parents[node.name] if parent in names)
            for node in ordered
        }
        return KedroPipeline(
            _layers(ordered, parents),
            tuple(node for node in self.definition if node.name in names),
            parents,
        )

    def __iter__(self) -> Iterator[KedroNode]:
        return iter(self.nodes)

    def __repr__(self) -> str:
        return f"Pipeline([{', '.join(node.name for node in self.nodes)}])"


def kedro_pipeline(pipeline: Pipeline) -> KedroPipeline:
    """Return the pipeline as Kedro's object."""
    by_name = {node.name: _kedro_node(node) for node in pipeline.nodes}
    parents: dict[str, tuple[str, ...]] = dict.fromkeys(by_name, ())
    for link in links_of(pipeline):
        parents[link.downstream] += (link.upstream,)
    ordered = [by_name[node.name] for node in topological_order(pipeline)]
    return KedroPipeline(_layers(ordered, parents), tuple(by_name.values()), parents)


def node_dependencies(pipeline: KedroPipeline) -> dict[NodeName, list[NodeName]]:
    """Return the nodes right after each node, in the order of the definition."""
    name_of = {node.name: NodeName(node) for node in pipeline.nodes}
    children: dict[NodeName, list[NodeName]] = {name: [] for name in name_of.values()}
    for node in pipeline.definition:
        for parent in pipeline.parents[node.name]:
            children[name_of[parent]].append(name_of[node.name])
    return children


def task_groups(dag: DagPlan, pipeline: KedroPipeline) -> NodeObjects:
    """Return the tasks, layer by layer, sorted by name."""
    node_of = {node.name: node for node in pipeline.definition}
    group_of = {
        task.task_id: Group(_name_of(task), (node_of[name] for name in task.nodes))
        for task in dag.tasks
    }
    for task in dag.tasks:
        group = group_of[task.task_id]
        group.dependencies += sorted(group_of[parent] for parent in task.upstream)
    ordered = list(group_of.values())
    parents = {group.name: group.dependencies for group in ordered}
    return NodeObjects((group, group) for layer in _layers(ordered, parents) for group in layer)


def _name_of(task: Task) -> str:
    """Return the name of a task's only node, or what its group is called."""
    if len(task.nodes) == 1 and task.task_id in (task.nodes[0], slug(task.nodes[0])):
        return task.nodes[0]
    return task.task_id


def _layers(
    ordered: Sequence[Any], parents: Mapping[str, Iterable[str]]
) -> tuple[tuple[Any, ...], ...]:
    """Return items with a `name` by how many others must come before them.

    Args:
        ordered: each after its parents.
        parents: by name.
    """
    depth_of: dict[str, int] = {}
    layers: list[list[Any]] = []
    for item in ordered:
        depth = max((depth_of[parent] + 1 for parent in parents[item.name]), default=0)
        depth_of[item.name] = depth
        if depth == len(layers):
            layers.append([])
        layers[depth].append(item)
    return tuple(tuple(sorted(layer, key=lambda item: str(item.name))) for layer in layers)


def _kedro_node(node: Node) -> KedroNode:
    return KedroNode(
        name=node.name,
        namespace=node.namespace,
        tags=SortedSet(node.tags),
        inputs=list(node.inputs),
        outputs=list(node.outputs),
        func=_function(node),
    )


def _function(node: Node) -> Function:
    action = node.action
    if isinstance(action, Work):
        first = action.command[0] if action.command else ""
        path = action.target or (first if isinstance(first, str) else first["literal"])
    else:
        path = action.path
    module, _, name = path.replace(":", ".").rpartition(".")
    return Function(module, name)
