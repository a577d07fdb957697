"""A part of a picture: what is near some of its nodes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from dagforge.drawing.model import Panel, Picture
from dagforge.drawing.panels import with_used_colours
from dagforge.frozen import frozen


@frozen
class Focus:
    """What is looked at.

    Attributes:
        names: of nodes or tasks.
        upstream: how many steps against the arrows are shown; None for all.
        downstream: how many along them; None for all.
    """

    names: tuple[str, ...]
    upstream: int | None = None
    downstream: int | None = None


def names_in(picture: Picture) -> set[str]:
    """Return what a focus may name: nodes and tasks."""
    names: set[str] = set()
    for panel in picture.panels:
        for shape in panel.shapes:
            names.update((shape.task, *shape.nodes))
    return names


def look_at(picture: Picture, focus: Focus) -> Picture | None:
    """Return the part of a picture around what is looked at; None where nothing of it is there.

    A name means the node itself, the task that it runs in, and all nodes of a task.
    """
    names = frozenset(focus.names)
    inside = {
        node
        for panel in picture.panels
        for shape in panel.shapes
        if shape.task in names
        for node in shape.nodes
    } | names
    panels = tuple(_part(panel, frozenset(inside), focus) for panel in picture.panels)
    if not any(panel.shapes for panel in panels):
        return None
    return with_used_colours(replace(picture, panels=panels))


def _part(panel: Panel, names: frozenset[str], focus: Focus) -> Panel:
    starts = {
        number for number, shape in enumerate(panel.shapes) if not names.isdisjoint(shape.nodes)
    }
    size = len(panel.shapes)
    later: list[list[int]] = [[] for _ in range(size)]
    earlier: list[list[int]] = [[] for _ in range(size)]
    for arrow in panel.arrows:
        later[arrow.start].append(arrow.end)
        earlier[arrow.end].append(arrow.start)
    near = _near(starts, earlier, focus.upstream) | _near(starts, later, focus.downstream)
    kept = sorted(near)
    boxes = sorted({box for number in kept if (box := panel.shapes[number].box) is not None})
    box_at = {box: position for position, box in enumerate(boxes)}
    shape_at = {number: position for position, number in enumerate(kept)}
    return replace(
        panel,
        shapes=tuple(
            shape if shape.box is None else replace(shape, box=box_at[shape.box])
            for shape in (panel.shapes[number] for number in kept)
        ),
        boxes=tuple(panel.boxes[box] for box in boxes),
        arrows=tuple(
            replace(arrow, start=shape_at[arrow.start], end=shape_at[arrow.end])
            for arrow in panel.arrows
            if arrow.start in shape_at and arrow.end in shape_at
        ),
        left_out=size - len(kept),
    )


def _near(starts: Collection[int], next_of: Sequence[Sequence[int]], steps: int | None) -> set[int]:
    """Return `starts` and what lies at most so many steps from them."""
    near = set(starts)
    border = near
    while border and steps != 0:
        border = {after for number in border for after in next_of[number]} - near
        near = near | border
        steps = None if steps is None else steps - 1
    return near
