"""Random graphs for advice, and the true optimum of small ones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from math import inf

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.graph import OUTSIDE, Flow, Graph, merged, task_seconds
from dagforge.advice.propose import excess_of
from dagforge.advice.simulate import cost


def random_graph(chance: random.Random, size: int) -> Graph:
    """Return a graph of units in order, with all that can make units differ."""
    density = chance.choice([0.1, 0.25, 0.5])
    kinds = chance.choice([1, 1, 2, 3])
    scale = chance.choice([1.0, 10.0, 100.0, 1000.0])
    flows = []
    for writer in range(size):
        readers = [other for other in range(writer + 1, size) if chance.random() < density]
        if chance.random() < 0.5 and len(readers) > 1:
            halves = [readers[::2], readers[1::2]]
        else:
            halves = [readers]
        for each in filter(None, halves):
            seconds = chance.choice([0.0, 0.3, 5.0, 60.0])
            flows.append(Flow(writer, tuple(each), seconds, seconds, seconds * 85e6))
    if size > 1 and chance.random() < 0.3:
        readers = sorted(chance.sample(range(size), chance.randint(1, size)))
        flows.append(Flow(OUTSIDE, tuple(readers), chance.choice([1.0, 30.0]), 0.0, 1e6))
    after = [
        (one, other)
        for one in range(size)
        for other in range(one + 1, size)
        if chance.random() < 0.05
    ]
    named = chance.random() < 0.2
    return Graph(
        work=[round(chance.expovariate(1 / scale), 3) for _ in range(size)],
        overhead=[chance.choice([15.0, 15.0, 0.0])] * size,
        cpu=[chance.choice([0.0, 0.5, 4.0]) for _ in range(size)],
        in_pod=[True] * size,
        kind=[chance.randrange(kinds) for _ in range(size)],
        name=[chance.choice(["", "", "a", "b"]) if named else "" for _ in range(size)],
        hint=[chance.choice(["", "x", "y"]) for _ in range(size)],
        flows=flows,
        after=after,
    )


def random_assumptions(chance: random.Random) -> Assumptions:
    """Return assumptions under which different things matter."""
    return Assumptions(
        slots=chance.choice([1, 2, 3, 16]),
        task_delay=chance.choice([0.0, 2.0]),
        max_task_minutes=chance.choice([2.0, 60.0]),
        task_price=chance.choice([0.0, 0.1, 1.0]),
        cpu_price=chance.choice([0.0, 0.1]),
    )


def optimum(graph: Graph, assumptions: Assumptions) -> float:
    """Return the least cost of all ways to put the units into tasks."""
    least = inf
    for tasks in _partitions(graph):
        grouped = merged(graph, tasks, max(tasks) + 1)
        seconds = task_seconds(grouped)
        if not excess_of(graph, tasks, grouped, seconds, assumptions):
            least = min(least, cost(grouped, seconds, assumptions))
    return least


def _partitions(graph: Graph) -> Iterator[list[int]]:
    """Yield every way to put units into tasks of one kind, tasks numbered as they first come."""

    def extended(tasks: list[int], kinds: list[int]) -> Iterator[list[int]]:
        if len(tasks) == graph.size:
            yield tasks
            return
        kind = graph.kind[len(tasks)]
        for task, own in enumerate(kinds):
            if own == kind:
                yield from extended([*tasks, task], kinds)
        yield from extended([*tasks, len(kinds)], [*kinds, kind])

    yield from extended([], [])


def price_of(graph: Graph, tasks: Sequence[int], assumptions: Assumptions) -> float:
    """Return what tasks cost."""
    grouped = merged(graph, tasks, max(tasks) + 1)
    return cost(grouped, task_seconds(grouped), assumptions)
