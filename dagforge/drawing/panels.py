"""From a compiled pipeline to what its picture shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from dagforge.drawing.model import Arrow, Box, By, Colour, Panel, Picture, Shape
from dagforge.frozen import frozen
from dagforge.group import task_links
from dagforge.ir import Node, NodeGroup, Operator, Pipeline, links_of
from dagforge.planning.machines import GPU_RESOURCE, Machine, larger, machine, quantity
from dagforge.planning.model import DagPlan
from dagforge.planning.planner import tag_prefixes
from dagforge.planning.sizes import DEFAULT_MACHINE

Step = tuple[str, str]
"""An order between two groups, by their names."""


@frozen
class Grouped:
    """A pipeline whose nodes have their groups.

    Attributes:
        groups: every node is in exactly one.
        dag: the plan; None where there is none.
        cycle: the steps of the cycles that the groups make; empty where they make none.
        settings: of the DAG, by canonical name.
    """

    pipeline: Pipeline
    groups: Sequence[NodeGroup]
    dag: DagPlan | None
    settings: Mapping[str, Any]
    cycle: frozenset[Step] = frozenset()


def picture_of(grouped: Grouped, views: Sequence[By]) -> Picture:
    """Return the picture of a pipeline, with a panel for each of `views`.

    Shapes are coloured by machine, but by group where the groups make a cycle.
    """
    machines = machines_of(grouped.settings)
    colours = _colours_of_groups(grouped) if grouped.cycle else _colours_of_machines(machines)
    maker = _Maker(grouped, machines)
    panels = tuple(maker.by_node() if by == "node" else maker.by_task() for by in views)
    return with_used_colours(
        Picture(
            pipeline=grouped.pipeline.name,
            dag_id=grouped.dag.dag_id if grouped.dag else None,
            panels=panels,
            colours=colours,
            coloured_by="group" if grouped.cycle else "machine",
        )
    )


def with_used_colours(picture: Picture) -> Picture:
    """Return the picture without colours that no shape has."""
    used = {shape.colour for panel in picture.panels for shape in panel.shapes}
    return replace(
        picture, colours=tuple(colour for colour in picture.colours if colour.name in used)
    )


@frozen
class _Maker:
    """What both panels of a pipeline are made of."""

    grouped: Grouped
    machines: Mapping[str, Machine]

    def by_node(self) -> Panel:
        """Return the nodes, with a box around those that share a task."""
        boxes: list[Box] = []
        shapes: list[Shape] = []
        on_cycle = self._names_on_cycle()
        for group, name in zip(self.grouped.groups, self._task_names(), strict=True):
            if group.is_group:
                notes = (self._machine(group.nodes),)
                marked = group.name in on_cycle
                boxes.append(Box(name, tuple(note for note in notes if note), marked))
            box = len(boxes) - 1 if group.is_group else None
            shapes += (self._node(node, group, name, box) for node in group.nodes)
        number_of = {shape.name: number for number, shape in enumerate(shapes)}
        group_of = {node.name: group.name for group in self.grouped.groups for node in group.nodes}
        arrows = (
            Arrow(
                number_of[link.upstream],
                number_of[link.downstream],
                tuple(sorted(link.datasets)),
                (group_of[link.upstream], group_of[link.downstream]) in self.grouped.cycle,
            )
            for link in links_of(self.grouped.pipeline)
        )
        return Panel("node", tuple(shapes), tuple(boxes), _sorted(arrows))

    def by_task(self) -> Panel:
        """Return the tasks."""
        groups = self.grouped.groups
        kinds = [task.kind for task in self.grouped.dag.tasks] if self.grouped.dag else None
        shapes = []
        for position, (group, name) in enumerate(zip(groups, self._task_names(), strict=True)):
            size = self._machine(group.nodes)
            count = f"{len(group.nodes)} nodes" if len(group.nodes) > 1 else None
            shapes.append(
                Shape(
                    name,
                    tuple(node.name for node in group.nodes),
                    name,
                    colour=self._colour(group, size),
                    notes=tuple(note for note in (count, size) if note),
                    facts={
                        "group": group.name,
                        "kind": kinds[position] if kinds else None,
                        "machine": size,
                        "tags": list(group.tags),
                    },
                )
            )
        number_of = {group.name: number for number, group in enumerate(groups)}
        arrows = (
            Arrow(
                number_of[link.upstream],
                number_of[link.downstream],
                link.datasets,
                (link.upstream, link.downstream) in self.grouped.cycle,
            )
            for link in task_links(self.grouped.pipeline, groups)
        )
        return Panel("task", tuple(shapes), (), _sorted(arrows))

    def _node(self, node: Node, group: NodeGroup, task: str, box: int | None) -> Shape:
        size = self._machine([node])
        action = node.action
        return Shape(
            node.name,
            (node.name,),
            task,
            box,
            self._colour(group, size),
            (size,) if size else (),
            {
                "runs": action.path
                if isinstance(action, Operator)
                else action.target or list(action.command),
                "machine": size,
                "inputs": list(node.inputs),
                "outputs": list(node.outputs),
                "tags": list(node.tags),
                "namespace": node.namespace,
                "at": str(node.origin.location()),
            },
        )

    def _task_names(self) -> list[str]:
        # The plan makes one task of each group, in the same order.
        dag = self.grouped.dag
        return (
            [task.task_id for task in dag.tasks] if dag else [g.name for g in self.grouped.groups]
        )

    def _names_on_cycle(self) -> frozenset[str]:
        return frozenset(name for step in self.grouped.cycle for name in step)

    def _colour(self, group: NodeGroup, size: str | None) -> str | None:
        if not self.grouped.cycle:
            return size
        return group.name if group.name in self._names_on_cycle() else None

    def _machine(self, nodes: Iterable[Node]) -> str | None:
        """Return the name of the machine that nodes ask for together."""
        prefixes = tag_prefixes(self.grouped.settings, "resources_tag_prefix")
        found = machine_for(nodes, self.machines, prefixes)
        return found.name if found else None


def machine_for(
    nodes: Iterable[Node], machines: Mapping[str, Machine], prefixes: tuple[str, ...]
) -> Machine | None:
    """Return the machine that nodes ask for together; None where they ask for none.

    Args:
        nodes: of one task.
        machines: of the settings, by name.
        prefixes: what a tag that names a machine begins with.
    """
    names = sorted(
        {
            tag.removeprefix(next(prefix for prefix in prefixes if tag.startswith(prefix)))
            for node in nodes
            for tag in node.tags
            if tag.startswith(prefixes)
        }
    )
    if not names:
        return machines.get(DEFAULT_MACHINE)
    return larger([machines.get(name) or Machine(name) for name in names])


def _sorted(arrows: Iterable[Arrow]) -> tuple[Arrow, ...]:
    return tuple(sorted(arrows, key=lambda arrow: (arrow.start, arrow.end)))


def machines_of(settings: Mapping[str, Any]) -> dict[str, Machine]:
    """Return the machines of the settings by name."""
    entries = settings.get("machines") or {}
    return {name: machine(name, entry) for name, entry in entries.items() if entry is not None}


def _colours_of_machines(machines: Mapping[str, Machine]) -> tuple[Colour, ...]:
    """Return a colour for each machine, from small to large.

    They go by all machines, not by those of one picture: a part of a pipeline looks as it does in
    the whole.
    """
    by_size = sorted(machines.values(), key=lambda each: (_size(each), each.name))
    return tuple(Colour(each.name, step, wants_of(each)) for step, each in enumerate(by_size))


def _size(of: Machine) -> tuple[Fraction, Fraction, Fraction]:
    """Return what machines are compared by: accelerators, processors, memory."""
    wants = {**of.limits, **of.requests}
    accelerators = sum(
        (quantity(count) or Fraction(0) for name, count in wants.items() if "/" in name),
        Fraction(0),
    )
    processors, memory = (quantity(wants.get(name)) or Fraction(0) for name in ("cpu", "memory"))
    return accelerators, processors, memory


def wants_of(of: Machine) -> str:
    """Return what a machine has, such as `cpu 500m, memory 1Gi`."""
    wants = {**of.limits, **of.requests}
    return ", ".join(
        f"{'gpu' if name == GPU_RESOURCE else name} {wants[name]}" for name in sorted(wants)
    )


def _colours_of_groups(grouped: Grouped) -> tuple[Colour, ...]:
    """Return a colour for each group on a cycle; no others have one."""
    names = sorted({name for step in grouped.cycle for name in step})
    return tuple(Colour(name, step) for step, name in enumerate(names))
