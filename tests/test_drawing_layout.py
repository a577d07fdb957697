"""Where things are in a picture, for pictures of any form."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from dagforge.drawing.layered import Edge, layered
from dagforge.drawing.layout import Layout, Rectangle, lay_out
from dagforge.drawing.model import Arrow, Box, Direction, Panel, Shape


@st.composite
def panels(draw: st.DrawFn) -> Panel:
    """Return nodes in boxes that may depend on each other in any way, as nodes without cycles."""
    count = draw(st.integers(1, 12))
    boxes = draw(st.integers(0, 3))
    at = sorted(draw(st.lists(st.integers(-3, boxes - 1), min_size=count, max_size=count)))
    used = sorted({box for box in at if box >= 0})
    order = draw(st.permutations(range(count)))
    pairs = draw(
        st.sets(st.sampled_from(list(itertools.combinations(range(count), 2)) or [(0, 0)]))
    )
    arrows = sorted((order[one], order[other]) for one, other in pairs if one != other)
    return Panel(
        "node",
        tuple(
            Shape(
                f"node_{number}",
                (),
                "",
                used.index(box) if box >= 0 else None,
                None,
                ("note",) * (number % 2),
            )
            for number, box in enumerate(at)
        ),
        tuple(Box(f"box_{box}") for box in used),
        tuple(
            Arrow(start, end, draw(st.sampled_from([(), ("data",), ("more", "data")])))
            for start, end in arrows
        ),
    )


def overlap(one: Rectangle, other: Rectangle) -> bool:
    return (
        one.x < other.x + other.width - 0.1
        and other.x < one.x + one.width - 0.1
        and one.y < other.y + other.height - 0.1
        and other.y < one.y + one.height - 0.1
    )


def holds(outer: Rectangle, inner: Rectangle) -> bool:
    return (
        outer.x <= inner.x + 0.1
        and outer.y <= inner.y + 0.1
        and inner.x + inner.width <= outer.x + outer.width + 0.1
        and inner.y + inner.height <= outer.y + outer.height + 0.1
    )


def label_places(layout: Layout) -> list[Rectangle]:
    return [Rectangle(x - 5, y - 5, 10, 10) for x, y in filter(None, layout.labels)]


@given(panels(), st.sampled_from(["down", "right"]))
def test_nothing_covers_anything_else(panel: Panel, direction: Direction) -> None:
    layout = lay_out(panel, direction)
    free = [at for at, shape in zip(layout.shapes, panel.shapes, strict=True) if shape.box is None]
    for one, other in itertools.combinations([*layout.boxes, *free], 2):
        assert not overlap(one, other)
    for one, other in itertools.combinations([*layout.shapes, *label_places(layout)], 2):
        assert not overlap(one, other)
    for shape, at in zip(panel.shapes, layout.shapes, strict=True):
        assert holds(Rectangle(0, 0, layout.width, layout.height), at)
        if shape.box is not None:
            assert holds(layout.boxes[shape.box], at)


@given(panels(), st.sampled_from(["down", "right"]))
def test_arrows_lead_from_border_to_border(panel: Panel, direction: Direction) -> None:
    layout = lay_out(panel, direction)
    for arrow, path in zip(panel.arrows, layout.paths, strict=True):
        for number, (x, y) in ((arrow.start, path[0]), (arrow.end, path[-1])):
            at = layout.shapes[number]
            assert at.x - 0.1 <= x <= at.x + at.width + 0.1
            assert at.y - 0.1 <= y <= at.y + at.height + 0.1
            sides = (at.y, at.y + at.height) if direction == "down" else (at.x, at.x + at.width)
            assert min(abs((y if direction == "down" else x) - side) for side in sides) <= 0.1
    assert [at is not None for at in layout.labels] == [bool(a.datasets) for a in panel.arrows]


@given(panels())
def test_arrows_go_down_where_no_boxes_wait_for_each_other(panel: Panel) -> None:
    flat = Panel(
        panel.by,
        tuple(Shape(shape.name, (), "") for shape in panel.shapes),
        (),
        panel.arrows,
    )
    layout = lay_out(flat, "down")
    for arrow in flat.arrows:
        above, below = layout.shapes[arrow.start], layout.shapes[arrow.end]
        assert above.y + above.height < below.y


def test_a_cycle_goes_up_once() -> None:
    sizes = [(10.0, 10.0)] * 3
    placed = layered(sizes, [Edge(0, 1), Edge(1, 2), Edge(2, 0)], gap=5, layer_gap=5)
    ups = [route for route in placed.routes if route[0][1] > route[-1][1]]
    assert len(ups) == 1


def crossings(
    order: Sequence[float], other: Sequence[float], pairs: Sequence[tuple[int, int]]
) -> int:
    return sum(
        (order[a] - order[c]) * (other[b] - other[d]) < 0
        for (a, b), (c, d) in itertools.combinations(pairs, 2)
    )


def test_crossings_that_need_not_be_are_not_there() -> None:
    chance = random.Random(3)
    ends = chance.sample(range(30), 30)
    edges = [Edge(number, 30 + end) for number, end in enumerate(ends)]
    placed = layered([(10.0, 10.0)] * 60, edges, gap=5, layer_gap=5)
    across = [x for x, _ in placed.centres]
    assert crossings(across, across, [(edge.start, edge.end) for edge in edges]) == 0


def test_a_long_chain_is_straight_and_does_not_recurse() -> None:
    size = 5_000
    edges = [Edge(number, number + 1) for number in range(size - 1)]
    placed = layered([(10.0, 10.0)] * size, edges, gap=5, layer_gap=5)
    assert {x for x, _ in placed.centres} == {5.0}


def test_what_nothing_is_joined_to_fills_rows() -> None:
    placed = layered([(10.0, 10.0)] * 100, [], gap=5, layer_gap=5)
    assert (placed.width, placed.height) == (145.0, 145.0)


def test_the_longest_edges_do_without_bends() -> None:
    # Each of 120 nodes is joined to all later ones: with bends that would be 290,000 points.
    shapes = tuple(Shape(f"n{number}", (), "") for number in range(120))
    arrows = tuple(Arrow(*pair) for pair in itertools.combinations(range(120), 2))
    layout = lay_out(Panel("node", shapes, (), arrows), "down")
    assert sum(map(len, layout.paths)) < 100_000
