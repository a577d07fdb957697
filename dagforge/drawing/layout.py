"""Where the shapes, boxes, arrows and labels of a panel are, in pixels.

Each box is laid out by itself, then the boxes and the shapes outside of them as one graph: so that
a box holds its own nodes and nothing else, however the tasks depend on each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dagforge.drawing.labels import datasets_shown, shown
from dagforge.drawing.layered import Edge, Placed, Point, layered
from dagforge.drawing.model import Arrow, Box, Direction, Panel
from dagforge.frozen import frozen
from dagforge.templating.layout import text_width

# A monospaced font: its letters are 0.6 of its size wide, whichever one the reader has, so that
# no name leaves its shape.
LETTER = 0.61
NAME_SIZE = 12
NOTE_SIZE = 10
LINE = 16
PADDING = 10
BOX_TITLE = 22
GAP = 26
LAYER_GAP = 26
TOUCHING_GAP = 12
LABELLED_ARROWS = 1_500
"""With more arrows their labels are left out: nobody could read them, and each needs a place."""


@frozen
class Rectangle:
    """A place, by its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@frozen
class Layout:
    """Where everything in a panel is.

    Attributes:
        shapes: of each shape of the panel.
        boxes: of each box of the panel.
        paths: points of each arrow of the panel, from the border of its start to that of its end.
        labels: middle of each arrow's label; None where it has none.
        width: of the whole, which begins at 0.
        height: of the whole, which begins at 0.
        direction: of the arrows.
    """

    shapes: tuple[Rectangle, ...]
    boxes: tuple[Rectangle, ...]
    paths: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]
    width: float
    height: float
    direction: Direction


def lay_out(panel: Panel, direction: Direction) -> Layout:
    """Return the places of everything in a panel; near-linear in its shapes and arrows."""
    sizes = [_size(shape.name, shape.notes) for shape in panel.shapes]
    labels = _label_sizes(panel.arrows)
    members: list[list[int]] = [[] for _ in panel.boxes]
    for number, shape in enumerate(panel.shapes):
        if shape.box is not None:
            members[shape.box].append(number)
    inside: list[list[int]] = [[] for _ in panel.boxes]
    between: list[int] = []
    for number, arrow in enumerate(panel.arrows):
        start, end = panel.shapes[arrow.start].box, panel.shapes[arrow.end].box
        if start is not None and start == end:
            inside[start].append(number)
        else:
            between.append(number)

    # Inside of each box, by the middles of its shapes from its own corner.
    parts = []
    middle: dict[int, Point] = {}
    for box, numbers, own in zip(panel.boxes, members, inside, strict=True):
        at = {number: position for position, number in enumerate(numbers)}
        edges = [
            Edge(at[panel.arrows[number].start], at[panel.arrows[number].end], label=labels[number])
            for number in own
        ]
        part = _graph([sizes[number] for number in numbers], edges, direction)
        title = LETTER * NAME_SIZE * text_width(box_title(box))
        width = max(part.width, title) + 2 * PADDING
        moved = _moved(part, (width - part.width) / 2, BOX_TITLE)
        parts.append((moved, (width, part.height + BOX_TITLE + PADDING)))
        middle.update(zip(numbers, moved.centres, strict=True))

    # The boxes and what is outside of them.
    free = [number for number, shape in enumerate(panel.shapes) if shape.box is None]
    vertex_of_free = {number: len(parts) + position for position, number in enumerate(free)}

    def vertex(number: int) -> tuple[int, float]:
        box = panel.shapes[number].box
        if box is None:
            return vertex_of_free[number], 0.0
        width, height = parts[box][1]
        x, y = middle[number]
        return box, y - height / 2 if direction == "right" else x - width / 2

    edges = []
    for number in between:
        arrow = panel.arrows[number]
        start, start_port = vertex(arrow.start)
        end, end_port = vertex(arrow.end)
        edges.append(Edge(start, end, start_port, end_port, labels[number]))
    whole = _graph([size for _, size in parts] + [sizes[n] for n in free], edges, direction)

    boxes = [
        Rectangle(x - width / 2, y - height / 2, width, height)
        for (x, y), (_, (width, height)) in zip(whole.centres, parts, strict=False)
    ]
    paths: dict[int, tuple[Point, ...]] = dict(zip(between, whole.routes, strict=True))
    places: dict[int, Point | None] = dict(zip(between, whole.labels, strict=True))
    for number in free:
        middle[number] = whole.centres[vertex_of_free[number]]
    for (part, _), corner, numbers, own in zip(parts, boxes, members, inside, strict=True):
        part = _moved(part, corner.x, corner.y)
        middle.update(zip(numbers, part.centres, strict=True))
        paths.update(zip(own, part.routes, strict=True))
        places.update(zip(own, part.labels, strict=True))
    shapes = tuple(
        Rectangle(middle[number][0] - width / 2, middle[number][1] - height / 2, width, height)
        for number, (width, height) in enumerate(sizes)
    )
    touching = [
        _touching(paths[number], shapes[arrow.start], shapes[arrow.end], direction)
        for number, arrow in enumerate(panel.arrows)
    ]
    return Layout(
        shapes,
        tuple(boxes),
        tuple(_side_by_side(panel.arrows, touching, shapes, direction)),
        tuple(places[number] for number in range(len(panel.arrows))),
        whole.width,
        whole.height,
        direction,
    )


def box_title(box: Box) -> str:
    """Return what stands at the top of a box."""
    return " \N{MIDDLE DOT} ".join([shown(box.name), *(shown(note) for note in box.notes)])


def _size(name: str, notes: Sequence[str]) -> Point:
    """Return width and height of a shape."""
    widths = [LETTER * NAME_SIZE * text_width(shown(name))]
    widths += [LETTER * NOTE_SIZE * text_width(shown(note)) for note in notes]
    return max(widths) + 2 * PADDING, LINE * (1 + len(notes)) + PADDING


def _label_sizes(arrows: Sequence[Arrow]) -> list[Point | None]:
    if len(arrows) > LABELLED_ARROWS:
        return [None] * len(arrows)
    return [
        (LETTER * NOTE_SIZE * text_width(datasets_shown(arrow.datasets)) + 6, LINE - 2.0)
        if arrow.datasets
        else None
        for arrow in arrows
    ]


def _graph(sizes: Sequence[Point], edges: Sequence[Edge], direction: Direction) -> Placed:
    """Return the places in one graph, whose edges go in the direction."""
    if direction == "down":
        return layered(sizes, edges, gap=GAP, layer_gap=LAYER_GAP)
    flat = [edge if edge.label is None else replace(edge, label=edge.label[::-1]) for edge in edges]
    placed = layered([(y, x) for x, y in sizes], flat, gap=GAP, layer_gap=LAYER_GAP)
    return Placed(
        tuple((y, x) for x, y in placed.centres),
        tuple(tuple((y, x) for x, y in route) for route in placed.routes),
        tuple(None if at is None else (at[1], at[0]) for at in placed.labels),
        placed.height,
        placed.width,
    )


def _moved(placed: Placed, right: float, down: float) -> Placed:
    return Placed(
        tuple((x + right, y + down) for x, y in placed.centres),
        tuple(tuple((x + right, y + down) for x, y in route) for route in placed.routes),
        tuple(None if at is None else (at[0] + right, at[1] + down) for at in placed.labels),
        placed.width,
        placed.height,
    )


def _side_by_side(
    arrows: Sequence[Arrow],
    paths: Sequence[Sequence[Point]],
    shapes: Sequence[Rectangle],
    direction: Direction,
) -> Iterator[tuple[Point, ...]]:
    """Yield the paths so that those that touch one side of a shape touch it beside each other."""
    axis = 0 if direction == "down" else 1
    # By shape and the place on its border where they meet; for each whether it is the end of the
    # arrow, and where it comes from.
    meeting: dict[tuple[int, Point], list[tuple[float, int, bool]]] = {}
    for number, (arrow, path) in enumerate(zip(arrows, paths, strict=True)):
        first = (path[2][axis], number, False)
        meeting.setdefault((arrow.start, path[0]), []).append(first)
        last = (path[-3][axis], number, True)
        meeting.setdefault((arrow.end, path[-1]), []).append(last)
    moves = [[0.0, 0.0] for _ in arrows]
    for (shape, _), found in meeting.items():
        side = shapes[shape].width if axis == 0 else shapes[shape].height
        apart = min(TOUCHING_GAP, (side - PADDING) / len(found))
        for position, (_, number, is_end) in enumerate(sorted(found)):
            moves[number][is_end] = apart * (position - (len(found) - 1) / 2)
    for path, (start, end) in zip(paths, moves, strict=True):
        ends = [start, start, *[0.0] * (len(path) - 4), end, end]
        yield tuple(
            (round(x + move, 1), round(y, 1)) if axis == 0 else (round(x, 1), round(y + move, 1))
            for (x, y), move in zip(path, ends, strict=True)
        )


def _touching(
    path: Sequence[Point], start: Rectangle, end: Rectangle, direction: Direction
) -> tuple[Point, ...]:
    """Return the path from the border of one shape to that of the other."""
    return (_border(start, path[0], direction), *path, _border(end, path[-1], direction))


def _border(shape: Rectangle, towards: Point, direction: Direction) -> Point:
    """Return the middle of the side of a shape that a point lies at."""
    x, y = shape.x + shape.width / 2, shape.y + shape.height / 2
    if direction == "down":
        return x, shape.y + (shape.height if towards[1] > y else 0.0)
    return shape.x + (shape.width if towards[0] > x else 0.0), y
