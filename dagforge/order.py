"""The order between nodes: which runs before which, and whether that can be.

Nodes are numbered by name here, so that "smallest first" means "ties by name" and no result
depends on the order of the definition. Nothing recurses: a chain may be as long as it likes.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence

from dagforge.errors import PipelineError, Problems
from dagforge.ir import Node, Pipeline

Edge = tuple[int, int, "str | None"]
Pair = tuple[int, int]

LISTED_WORDS = 8
ARROW_DATASETS = 3
SHOWN_STEPS = 3
SEARCH_BUDGET = 2_000_000


def nodes_by_name(pipeline: Pipeline) -> list[Node]:
    """Return the nodes sorted by name; their positions are the numbers used in this module."""
    return sorted(pipeline.nodes, key=lambda node: node.name)


def edges_between(nodes: Sequence[Node]) -> list[Edge]:
    """Return (earlier, later, dataset) by position in `nodes`, None as the dataset for `after`.

    The order is that of `nodes`, so it is the same for every order of a definition once they are
    sorted. Names in `after` that are no nodes are left out, and so is a node that reads what it
    writes: `check_acyclic` refuses that.
    """
    number_of = {node.name: number for number, node in enumerate(nodes)}
    producer_of = {dataset: number for number, node in enumerate(nodes) for dataset in node.outputs}
    edges: list[Edge] = []
    for number, node in enumerate(nodes):
        for dataset in node.inputs:
            producer = producer_of.get(dataset)
            if producer is not None and producer != number:
                edges.append((producer, number, dataset))
        for name in node.after:
            earlier = number_of.get(name)
            if earlier is not None and earlier != number:
                edges.append((earlier, number, None))
    return edges


def smallest_first(size: int, pairs: Iterable[Pair]) -> list[int]:
    """Return the numbers below `size` in topological order, the smallest that is free first.

    Numbers on a cycle, and those behind one, are missing from the result.
    """
    waits_for = [0] * size
    later_than: list[list[int]] = [[] for _ in range(size)]
    for earlier, later in pairs:
        later_than[earlier].append(later)
        waits_for[later] += 1
    # Sorted, hence already a heap.
    free = [number for number in range(size) if not waits_for[number]]
    order: list[int] = []
    while free:
        number = heapq.heappop(free)
        order.append(number)
        for later in later_than[number]:
            waits_for[later] -= 1
            if not waits_for[later]:
                heapq.heappush(free, later)
    return order


def topological_order(pipeline: Pipeline) -> list[Node]:
    """Return the nodes so that each comes after all it needs, ties by name.

    Raises:
        PipelineError: the nodes have a cycle.
    """
    nodes = nodes_by_name(pipeline)
    edges = edges_between(nodes)
    order = smallest_first(len(nodes), ((earlier, later) for earlier, later, _ in edges))
    if len(order) < len(nodes):
        check_acyclic(pipeline)
    return [nodes[number] for number in order]


def check_acyclic(pipeline: Pipeline) -> None:
    """Raise an error if nodes wait for each other; every knot of nodes is reported once.

    Raises:
        PipelineError: `[node-cycle]`, with a shortest cycle in order and the dataset on each arrow.
    """
    nodes = nodes_by_name(pipeline)
    edges = edges_between(nodes)
    problems = Problems()
    for node in nodes:
        _check_alone(node, problems)
    found = knots(len(nodes), [(earlier, later) for earlier, later, _ in edges])
    knot_of = {number: position for position, knot in enumerate(found) for number in knot}
    edges_by_knot: list[list[Edge]] = [[] for _ in found]
    for edge in edges:
        position = knot_of.get(edge[0])
        if position is not None and position == knot_of.get(edge[1]):
            edges_by_knot[position].append(edge)
    for knot, inside in zip(found, edges_by_knot, strict=True):
        cycle = shortest_cycle([(earlier, later) for earlier, later, _ in inside], knot)
        _report_cycle(pipeline, nodes, inside, cycle, problems)
    problems.raise_errors(PipelineError)


def _check_alone(node: Node, problems: Problems) -> None:
    """Report a node that waits for itself."""
    own = [dataset for dataset in dict.fromkeys(node.inputs) if dataset in node.outputs]
    if own:
        problems.error(
            "node-cycle",
            f"node '{node.name}' reads {quoted(own)}, which it writes itself",
            node.origin,
            fix="write the result under another name",
        )
    elif node.name in node.after:
        problems.error(
            "node-cycle",
            f"node '{node.name}' is set to run after itself",
            node.origin,
            fix=f"drop '{node.name}' from its 'after'",
        )


def _report_cycle(
    pipeline: Pipeline,
    nodes: Sequence[Node],
    edges: Sequence[Edge],
    cycle: Sequence[int],
    problems: Problems,
) -> None:
    """Report one cycle of nodes, with a fix where only `after` holds a step of it."""
    steps = steps_of(cycle)
    datasets = datasets_behind(edges, steps)
    fix = None
    for (earlier, later), behind in zip(steps, datasets, strict=True):
        if not behind:
            fix = f"drop '{nodes[earlier].name}' from 'after' of '{nodes[later].name}'"
            break
    names = [nodes[number].name for number in cycle]
    problems.error(
        "node-cycle",
        f"nodes of pipeline '{pipeline.name}' wait for each other\n  {arrows(names, datasets)}",
        nodes[cycle[0]].origin,
        fix=fix,
    )


def steps_of(cycle: Sequence[int]) -> list[Pair]:
    """Return the pairs of a cycle, the last one back to its beginning."""
    return list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))


def datasets_behind(edges: Iterable[Edge], steps: Sequence[Pair]) -> list[tuple[str, ...]]:
    """Return for each step the sorted datasets that it stands for; none for `after`."""
    datasets_by_step: dict[Pair, set[str]] = {step: set() for step in steps}
    for earlier, later, dataset in edges:
        if dataset is not None and (earlier, later) in datasets_by_step:
            datasets_by_step[earlier, later].add(dataset)
    return [tuple(sorted(datasets_by_step[step])) for step in steps]


def knots(size: int, pairs: Sequence[Pair]) -> list[list[int]]:
    """Return the sets of numbers that all reach each other, each sorted, the smallest first.

    Every cycle lies inside one of them (they are the strongly connected components of more than
    one number).
    """
    ordered = set(smallest_first(size, pairs))
    left = [pair for pair in pairs if pair[0] not in ordered and pair[1] not in ordered]
    if not left:
        return []
    import networkx

    graph: networkx.DiGraph[int] = networkx.DiGraph()
    graph.add_edges_from(left)
    components = networkx.strongly_connected_components(graph)
    return sorted(sorted(component) for component in components if len(component) > 1)


def shortest_cycle(pairs: Iterable[Pair], starts: Sequence[int]) -> list[int]:
    """Return a shortest cycle through one of `starts`, beginning with it; ties by number.

    One search is made from each start until `SEARCH_BUDGET` pairs were looked at, so that in a
    very large knot the cycle is a shortest one through the first starts only. At least one of
    `starts` must be on a cycle.
    """
    later_than: dict[int, list[int]] = {}
    for earlier, later in sorted(set(pairs)):
        later_than.setdefault(earlier, []).append(later)
    best: list[int] = []
    looked_at = 0
    for start in starts:
        found, cost = _cycle_through(start, later_than, len(best))
        looked_at += cost
        if found:
            best = found
        if len(best) == 2 or (best and looked_at > SEARCH_BUDGET):
            break
    return best


def _cycle_through(
    start: int, later_than: dict[int, list[int]], shorter_than: int
) -> tuple[list[int], int]:
    """Return a shortest cycle from `start`, empty if none is short enough, and the pairs read.

    The cycle must have fewer than `shorter_than` steps; 0 is no limit.
    """
    reached_from = {start: start}
    depth = {start: 1}
    queue = deque([start])
    looked_at = 0
    while queue:
        number = queue.popleft()
        if shorter_than and depth[number] >= shorter_than:
            break
        for later in later_than.get(number, ()):
            looked_at += 1
            if later == start:
                path = [number]
                while path[-1] != start:
                    path.append(reached_from[path[-1]])
                return path[::-1], looked_at
            if later not in reached_from:
                reached_from[later] = number
                depth[later] = depth[number] + 1
                queue.append(later)
    return [], looked_at


def arrows(names: Sequence[str], datasets: Sequence[Collection[str]]) -> str:
    """Return a cycle as `a -[x]-> b -[y]-> a`, shortened in the middle when it is long.

    Args:
        names: in order, the first one not repeated at the end.
        datasets: behind the step that leaves the name at the same position; none for `after`.
    """
    parts = [
        f"{name} -[{_on_arrow(behind)}]-> " for name, behind in zip(names, datasets, strict=True)
    ]
    return "".join(shortened(parts, "... {} more ... ")) + names[0]


def shortened(parts: Sequence[str], instead: str) -> list[str]:
    """Return `parts`, the middle of a long list replaced by `instead` with the number left out."""
    left_out = len(parts) - 2 * SHOWN_STEPS
    if left_out < 2:
        return list(parts)
    return [*parts[:SHOWN_STEPS], instead.format(left_out), *parts[-SHOWN_STEPS:]]


def _on_arrow(datasets: Collection[str]) -> str:
    shown = sorted(datasets)
    if not shown:
        return "after"
    if len(shown) > ARROW_DATASETS + 1:
        shown = [*shown[:ARROW_DATASETS], f"{len(shown) - ARROW_DATASETS} more"]
    return ", ".join(shown)


def listed(words: Iterable[str]) -> str:
    """Return words as a sentence lists them: `a`, `a and b`, `a, b and c`; of many, the first."""
    *rest, last = words
    if len(rest) > LISTED_WORDS:
        rest, last = rest[:LISTED_WORDS], f"{len(rest) + 1 - LISTED_WORDS} more"
    return f"{', '.join(rest)} and {last}" if rest else last


def quoted(words: Iterable[str]) -> str:
    """Return names in quotes, as a sentence lists them."""
    return listed(f"'{word}'" for word in words)


def block_ties(nodes: Sequence[Node], numbers: Iterable[int]) -> Iterator[Pair]:
    """Yield pairs of nodes that together tie each block."""
    first_of_block: dict[str, int] = {}
    for number in numbers:
        block = nodes[number].block
        if block is not None:
            yield first_of_block.setdefault(block, number), number


def tied(numbers: Iterable[int], pairs: Iterable[Pair]) -> dict[int, int]:
    """Return for each number the smallest that pairs tie it to, over any number of steps."""
    parent = {number: number for number in numbers}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    return {number: root(number) for number in parent}
