"""What a picture shows, before it is known in which format or where on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from dagforge.frozen import frozen

By = Literal["node", "task"]
Direction = Literal["down", "right"]
ColouredBy = Literal["machine", "group", "status"]


@frozen
class Colour:
    """A colour of shapes, with what it means.

    Attributes:
        name: of the machine, or of the group.
        step: which of the palette's colours, from 0; machines are numbered from small to large.
        text: what the name stands for, such as `cpu 500m, memory 1Gi`; empty where nothing is
            known.
    """

    name: str
    step: int
    text: str = ""


@frozen
class Shape:
    """A node or a task.

    Attributes:
        name: of the node, or the task_id; unique in its panel.
        nodes: names of the nodes that it stands for.
        task: the task_id, or of the group where there is no plan; a task's own name.
        box: position of its box in the panel; None outside all.
        colour: name of its `Colour`; None without one.
        notes: short lines below the name.
        facts: what else is known of it, as JSON data.
    """

    name: str
    nodes: tuple[str, ...]
    task: str
    box: int | None = None
    colour: str | None = None
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Box:
    """A task around its nodes.

    Attributes:
        name: the task_id, or of the group where there is no plan.
        notes: short words beside the name.
        marked: it is part of a cycle.
    """

    name: str
    notes: tuple[str, ...] = ()
    marked: bool = False


@frozen
class Arrow:
    """An order between two shapes.

    Attributes:
        start: position of the earlier shape in the panel.
        end: position of the later one.
        datasets: what is handed over, sorted; empty where only `after` says so.
        marked: it is part of a cycle of groups.
    """

    start: int
    end: int
    datasets: tuple[str, ...] = ()
    marked: bool = False


@frozen
class Panel:
    """One pipeline, by its nodes or by its tasks.

    Attributes:
        shapes: in topological order, ties by name; those of a box follow each other.
        boxes: in that order too.
        arrows: sorted by the positions of their shapes.
        left_out: how many more shapes there would be without a focus.
    """

    by: By
    shapes: tuple[Shape, ...]
    boxes: tuple[Box, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    left_out: int = 0


@frozen
class Picture:
    """One pipeline; its panels are shown side by side.

    Attributes:
        dag_id: None where there is no plan.
        colours: what the shapes' colours mean, those that occur, in the order of their steps.
        coloured_by: `machine`; `group` where the groups are what is to be looked at; `status` of
            the tasks of a run.
    """

    pipeline: str
    dag_id: str | None
    panels: tuple[Panel, ...]
    colours: tuple[Colour, ...] = ()
    coloured_by: ColouredBy = "machine"

    @property
    def is_marked(self) -> bool:
        """Whether a cycle is marked."""
        return any(arrow.marked for panel in self.panels for arrow in panel.arrows)
