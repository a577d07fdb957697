"""Places for the vertices of a directed graph: layers, few crossings, short and straight edges.

The method is Sugiyama's (https://doi.org/10.1109/TSMC.1981.4308636): layers, then an order in each,
then coordinates. It is our own because a picture of a pipeline has boxes and labels that need a
size, and must be drawn for 20,000 nodes: of the libraries, grandalf is Python but knows no
boxes, igraph has no sizes and brings a binary of several megabytes, and Graphviz is a program.
Every step is linear in vertices, edges and bends but for sorting, and bends are rationed.

Edges go down. A position is the middle of a vertex.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dagforge.frozen import frozen
from dagforge.order import smallest_first

Point = tuple[float, float]

# How many bends an edge may have on average: long edges cost one for each layer that they pass.
BENDS_PER_EDGE = 4
SWEEPS = 24
COUNTED_EDGES = 20_000
STRAIGHTENINGS = 8
BEND_WEIGHT = 4.0


@frozen
class Edge:
    """An edge.

    Attributes:
        start_port: where it leaves its start, from the middle of it.
        end_port: where it reaches its end, from the middle of it.
        label: width and height of what is written on it; None for nothing.
    """

    start: int
    end: int
    start_port: float = 0.0
    end_port: float = 0.0
    label: Point | None = None


@frozen
class Placed:
    """Where everything is.

    Attributes:
        centres: of the vertices.
        routes: for each edge the points that it passes, the first in the height of the lower
            border of its start's layer, the last in that of the upper border of its end's layer;
            the other way around where the edge goes up.
        labels: for each edge the middle of its label; None without one.
        width: of the whole, which begins at 0.
        height: of the whole, which begins at 0.
    """

    centres: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    labels: tuple[Point | None, ...]
    width: float
    height: float


@dataclass(slots=True)
class _Layers:
    """The vertices in their layers, with those that stand for the bends of long edges.

    Attributes:
        rows: vertices of each layer, from left to right.
        above: for each vertex those it is joined to in the layer above, with the ports of both.
        below: the same for the layer below.
        chains: bends of each edge, from above; none where it is too long for any.
    """

    rows: list[list[int]]
    above: list[list[tuple[int, float]]]
    below: list[list[tuple[int, float]]]
    chains: list[list[int]] = field(default_factory=list)


def layered(
    sizes: Sequence[Point], edges: Sequence[Edge], *, gap: float, layer_gap: float
) -> Placed:
    """Return places for vertices of these sizes so that edges go down, one that closes a cycle up.

    Args:
        sizes: width and height of each vertex.
        edges: between different vertices.
        gap: between vertices of a layer.
        layer_gap: between layers.
    """
    if not sizes:
        return Placed((), (), (), 0.0, 0.0)
    turned = _turned(len(sizes), edges)
    downward = [
        replace(
            edge,
            start=edge.end,
            end=edge.start,
            start_port=edge.end_port,
            end_port=edge.start_port,
        )
        if turn
        else edge
        for edge, turn in zip(edges, turned, strict=True)
    ]
    # A label is a vertex on its edge, so that nothing else is where it stands.
    all_sizes = list(sizes)
    halves: list[Edge] = []
    label_of: list[int | None] = []
    for edge in downward:
        if edge.label is None:
            halves.append(edge)
            label_of.append(None)
            continue
        label = len(all_sizes)
        all_sizes.append(edge.label)
        label_of.append(label)
        halves.append(Edge(edge.start, label, edge.start_port, 0.0))
        halves.append(Edge(label, edge.end, 0.0, edge.end_port))
    layer_of = _layers_of(len(all_sizes), halves)
    layers = _with_bends(len(all_sizes), halves, layer_of)
    bends = len(layers.above) - len(all_sizes)
    widths = [size[0] for size in all_sizes] + [0.0] * bends
    _order(layers)
    across = _across(layers, widths, len(all_sizes), gap)
    left = min(x - width / 2 for x, width in zip(across, widths, strict=True))
    right = max(x + width / 2 for x, width in zip(across, widths, strict=True))
    across = [x - left for x in across]
    tops, bottoms = _heights(layers, all_sizes, layer_gap)
    centres = [
        (across[vertex], (tops[layer] + bottoms[layer]) / 2)
        for vertex, layer in enumerate(layer_of)
    ]

    def route(edge: Edge, chain: Sequence[int]) -> list[Point]:
        points = [(across[edge.start] + edge.start_port, bottoms[layer_of[edge.start]])]
        for layer, bend in enumerate(chain, layer_of[edge.start] + 1):
            points += [(across[bend], tops[layer]), (across[bend], bottoms[layer])]
        points.append((across[edge.end] + edge.end_port, tops[layer_of[edge.end]]))
        return points

    ways = iter([route(half, chain) for half, chain in zip(halves, layers.chains, strict=True)])
    routes = []
    for label_at, turn in zip(label_of, turned, strict=True):
        way = next(ways) if label_at is None else [*next(ways), *next(ways)]
        routes.append(tuple(reversed(way) if turn else way))
    return Placed(
        tuple(centres[: len(sizes)]),
        tuple(routes),
        tuple(None if label is None else centres[label] for label in label_of),
        right - left,
        bottoms[-1],
    )


def _turned(size: int, edges: Sequence[Edge]) -> list[bool]:
    """Say for each edge whether it must go up because it closes a cycle."""
    order = smallest_first(size, [(edge.start, edge.end) for edge in edges])
    if len(order) == size:
        return [False] * len(edges)
    leaving: list[list[int]] = [[] for _ in range(size)]
    for number, edge in enumerate(edges):
        leaving[edge.start].append(number)
    turned = [False] * len(edges)
    is_open = [False] * size
    is_done = [False] * size
    for root in [*order, *range(size)]:
        if is_done[root]:
            continue
        path = [(root, iter(leaving[root]))]
        is_open[root] = True
        while path:
            vertex, numbers = path[-1]
            number = next(numbers, -1)
            if number < 0:
                is_open[vertex] = False
                is_done[vertex] = True
                path.pop()
                continue
            end = edges[number].end
            if is_open[end]:
                turned[number] = True
            elif not is_done[end]:
                is_open[end] = True
                path.append((end, iter(leaving[end])))
    return turned


def _layers_of(size: int, edges: Sequence[Edge]) -> list[int]:
    """Return the layer of each vertex, below all that it comes after and near to its neighbours."""
    before: list[list[int]] = [[] for _ in range(size)]
    after: list[list[int]] = [[] for _ in range(size)]
    for edge in edges:
        after[edge.start].append(edge.end)
        before[edge.end].append(edge.start)
    order = smallest_first(size, [(edge.start, edge.end) for edge in edges])
    layer_of = [0] * size
    for vertex in order:
        for end in after[vertex]:
            layer_of[end] = max(layer_of[end], layer_of[vertex] + 1)
    for vertex in reversed(order):
        if len(after[vertex]) > len(before[vertex]):
            layer_of[vertex] = min(layer_of[end] for end in after[vertex]) - 1
    alone = [vertex for vertex in range(size) if not (before[vertex] or after[vertex])]
    # In rows, as a single one would be endless where nothing is joined to anything.
    in_a_row = max(6, math.isqrt(len(alone)))
    for position, vertex in enumerate(alone):
        layer_of[vertex] = position // in_a_row
    return layer_of


def _with_bends(size: int, edges: Sequence[Edge], layer_of: Sequence[int]) -> _Layers:
    """Return the layers; the edges beyond what bends may cost go straight, the longest of them."""
    above: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    below: list[list[tuple[int, float]]] = [[] for _ in range(size)]
    rows: list[list[int]] = [[] for _ in range(max(layer_of) + 1)]
    for vertex, layer in enumerate(layer_of):
        rows[layer].append(vertex)
    spans = [layer_of[edge.end] - layer_of[edge.start] for edge in edges]
    left = BENDS_PER_EDGE * (size + len(edges))
    bent = set()
    for number in sorted(range(len(edges)), key=lambda number: (spans[number], number)):
        left -= spans[number] - 1
        if left < 0:
            break
        bent.add(number)
    chains: list[list[int]] = []
    for number, edge in enumerate(edges):
        if number not in bent:
            chains.append([])
            continue
        chain: list[int] = []
        upper, port = edge.start, edge.start_port
        for layer in range(layer_of[edge.start] + 1, layer_of[edge.end]):
            bend = len(above)
            above.append([(upper, port)])
            below.append([])
            below[upper].append((bend, -port))
            rows[layer].append(bend)
            chain.append(bend)
            upper, port = bend, 0.0
        above[edge.end].append((upper, port - edge.end_port))
        below[upper].append((edge.end, edge.end_port - port))
        chains.append(chain)
    return _Layers(rows, above, below, chains)


def _order(layers: _Layers) -> None:
    """Sort each layer so that few edges cross: by the middle of the neighbours, down and up."""
    rows = layers.rows
    place = [0.0] * len(layers.above)
    for row in rows:
        for position, vertex in enumerate(row):
            place[vertex] = position
    edges = sum(map(len, layers.above))
    is_counted = edges <= COUNTED_EDGES
    sweeps = SWEEPS if is_counted else 6
    best, fewest = [list(row) for row in rows], math.inf
    for sweep in range(sweeps):
        down = sweep % 2 == 0
        neighbours = layers.above if down else layers.below
        for row in rows if down else reversed(rows):
            wanted = {}
            for position, vertex in enumerate(row):
                near = neighbours[vertex]
                total = sum([place[other] for other, _ in near])
                wanted[vertex] = total / len(near) if near else float(position)
            row.sort(key=wanted.__getitem__)
            for position, vertex in enumerate(row):
                place[vertex] = position
        if is_counted:
            crossings = sum(_crossings(row, layers.below, place) for row in rows)
            if crossings < fewest:
                best, fewest = [list(row) for row in rows], crossings
            if not crossings:
                break
    if is_counted:
        layers.rows = best


def _crossings(
    row: Sequence[int], below: Sequence[Sequence[tuple[int, float]]], place: Sequence[float]
) -> int:
    """Return how many edges from a layer to the one below cross each other."""
    ends = [
        end for vertex in row for end in sorted(int(place[other]) for other, _ in below[vertex])
    ]
    if not ends:
        return 0
    # A Fenwick tree of the ends so far (https://doi.org/10.1002/spe.4380240306).
    size = max(ends) + 1
    tree = [0] * (size + 1)
    crossings = 0
    for seen, end in enumerate(ends):
        not_right, at = 0, end + 1
        while at:
            not_right += tree[at]
            at &= at - 1
        crossings += seen - not_right
        at = end + 1
        while at <= size:
            tree[at] += 1
            at += at & -at
    return crossings


def _across(layers: _Layers, widths: Sequence[float], size: int, gap: float) -> list[float]:
    """Return the middle of every vertex across the layers, each near to its neighbours'."""
    across = [0.0] * len(widths)
    for row in layers.rows:
        at = 0.0
        for vertex in row:
            across[vertex] = at + widths[vertex] / 2
            at += widths[vertex] + gap
    for step in range(STRAIGHTENINGS):
        if step >= STRAIGHTENINGS - 2:
            sides = [layers.above, layers.below]
        else:
            sides = [layers.above] if step % 2 == 0 else [layers.below]
        for row in layers.rows if step % 2 == 0 else reversed(layers.rows):
            wanted, weights = [], []
            for vertex in row:
                total = weight = 0.0
                for side in sides:
                    for other, port in side[vertex]:
                        # A chain of bends is to be straight.
                        pull = BEND_WEIGHT if vertex >= size and other >= size else 1.0
                        total += pull * (across[other] + port)
                        weight += pull
                wanted.append(total / weight if weight else across[vertex])
                weights.append(weight or 0.01)
            _spread(row, wanted, weights, widths, gap, across)
    return across


def _spread(
    row: Sequence[int],
    wanted: Sequence[float],
    weights: Sequence[float],
    widths: Sequence[float],
    gap: float,
    across: list[float],
) -> None:
    """Set the places of a layer as near to what they want as their order and widths allow.

    The least squares, by pooling neighbours that would overlap
    (https://en.wikipedia.org/wiki/Isotonic_regression).
    """
    offsets = [0.0]
    for left, right in itertools.pairwise(row):
        offsets.append(offsets[-1] + (widths[left] + widths[right]) / 2 + gap)
    pools: list[tuple[float, float, int]] = []  # mean, weight, number of vertices
    for want, weight, offset in zip(wanted, weights, offsets, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, other_weight, other_count = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight += other_weight
            count += other_count
        pools.append((mean, weight, count))
    position = 0
    for mean, _, count in pools:
        for _ in range(count):
            across[row[position]] = mean + offsets[position]
            position += 1


def _heights(
    layers: _Layers, sizes: Sequence[Point], layer_gap: float
) -> tuple[list[float], list[float]]:
    """Return the upper and the lower border of each layer."""
    tops, bottoms, at = [], [], 0.0
    for row in layers.rows:
        height = max((sizes[vertex][1] for vertex in row if vertex < len(sizes)), default=0.0)
        tops.append(at)
        bottoms.append(at + height)
        at += height + layer_gap
    return tops, bottoms
