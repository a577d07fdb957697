"""A grouping that costs little: tasks grown in rounds, then changed one by one while it helps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from random import Random

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.coarsen import ROUNDS, SECONDS_PER_MINUTE, coarsen, may_share
from dagforge.advice.graph import ANY, Graph, merged, numbered, task_seconds
from dagforge.advice.simulate import cost, later_of, order_of

EFFORT = 800_000
"""About how many steps improving takes at most; large graphs get no further than the rounds."""
RESTARTS = 12
"""Beginnings by chance, the same ones each time, for graphs on which effort is left."""
WEIGHTS = (1.0, 0.0)
FEW = 14
"""Up to so many tasks, every pair of them is tried."""
SLOPE = 0.01
"""What a second of a task counts on the way to cheaper ones, whatever its price."""
SIDEWAYS = 8
"""So many changes may follow each other that save nothing."""
LEAST = 1e-6
"""What does not save so many seconds is not worth a change."""

Tasks = tuple[int, ...]
"""The task of each unit; tasks are numbered as they first come."""


def propose(graph: Graph, assumptions: Assumptions, known: Iterable[Sequence[int]]) -> Tasks:
    """Return the cheapest tasks that were found for the units of a graph.

    Linear in units and datasets but for sorting. The same graph gives the same tasks.

    Args:
        graph: acyclic.
        assumptions: what times, prices and limits there are.
        known: tasks that are compared too; the result costs no more than those that keep the rules.
    """
    if not graph.size:
        return ()
    search = _Search(graph, assumptions, _places(graph))
    starts = [_tasks(range(graph.size)), *map(_tasks, known)]
    for start in starts:
        search.look(start)
    priced = replace(assumptions, task_price=assumptions.task_price + SLOPE)
    # As large as can be: a beginning for those that are best taken apart.
    unlimited = replace(priced, cpu_price=0.0, max_task_minutes=inf)
    for rules in (priced, unlimited):
        for weight in WEIGHTS:
            if search.effort > 0:
                search.grow(rules, weight)
    by_price = sorted(search.seen.items(), key=lambda item: item[1])
    for start, price in by_price:
        if price < inf:
            search.improve(start)
    chance = Random(0)
    for _ in range(RESTARTS):
        if search.effort > 0:
            search.improve(search.cut(chance))
    return search.best


def _tasks(task_of: Sequence[int]) -> Tasks:
    return tuple(numbered(task_of)[0])


@dataclass(slots=True)
class _Search:
    """What has been looked at.

    Attributes:
        place: of each unit in a topological order.
        seen: by tasks what `look` has found.
        been: tasks whose changes were all looked at.
        effort: how much is left.
        best: the cheapest so far that keep the rules; the first of those that cost the same.
        price: what they cost.
    """

    graph: Graph
    assumptions: Assumptions
    place: Sequence[int]
    seen: dict[Tasks, float] = field(default_factory=dict)
    been: set[Tasks] = field(default_factory=set)
    effort: int = EFFORT
    best: Tasks = ()
    price: float = inf

    def look(self, tasks: Tasks) -> float:
        """Return how far tasks are from what is wanted; infinity where they cannot be.

        That is their cost, and for the way two things more. Tasks may be too long, for a fine: two
        may have to load what only a third one gives them. And short tasks are better than long
        ones that the makespan does not depend on yet: it may, when others are shorter.
        """
        if tasks not in self.seen:
            found = merged(self.graph, tasks, max(tasks, default=-1) + 1)
            seconds = task_seconds(found)
            excess = excess_of(self.graph, tasks, found, seconds, self.assumptions)
            price = cost(found, seconds, self.assumptions)
            self.seen[tasks] = price + excess + SLOPE * sum(seconds)
            self.effort -= self.graph.effort
            if not excess and price < self.price - LEAST:
                self.best, self.price = tasks, price
        return self.seen[tasks]

    def grow(self, rules: Assumptions, weight: float) -> None:
        """Look at the tasks that grow in rounds; all of them where they may get dearer."""
        self.effort -= ROUNDS * self.graph.effort
        grown = list(coarsen(self.graph, rules, weight))
        for tasks in grown[-1:] if weight else grown:
            self.look(_tasks(tasks))

    def cut(self, chance: Random) -> Tasks:
        """Return the units, in an order in which they can run, cut into pieces by chance."""
        labels: dict[tuple[int, int, str], int] = {}
        tasks = [0] * self.graph.size
        often, piece = chance.random(), 0
        for unit in sorted(range(self.graph.size), key=self.place.__getitem__):
            piece += chance.random() < often
            key = (piece, self.graph.kind[unit], self.graph.name[unit])
            tasks[unit] = labels.setdefault(key, len(labels))
        return _tasks(tasks)

    def improve(self, tasks: Tasks) -> None:
        """Change tasks one by one, as long as that makes them cheaper and effort is left.

        A few changes may leave the cost as it is: another one may follow that they allow. What was
        changed once before is not gone on from again.
        """
        current, sideways = self.look(tasks), SIDEWAYS
        while tasks not in self.been and self.effort > 0:
            self.been.add(tasks)
            step, price = tasks, inf
            for changed in self._changes(tasks):
                if self.effort <= 0:
                    break
                if changed in self.been:
                    continue
                found = self.look(changed)
                if found < price - LEAST:
                    step, price = changed, found
                    if len(tasks) > FEW and price < current - LEAST:
                        break
            if price >= current - LEAST:
                if price > current + LEAST or not sideways:
                    return
                sideways -= 1
            tasks, current = step, price

    def _changes(self, tasks: Tasks) -> Iterator[Tasks]:
        """Yield tasks that differ in one thing: two are one, one is two, a unit is elsewhere."""
        count = max(tasks) + 1
        grouped = merged(self.graph, tasks, count)
        behind, before = _reach(grouped) if count <= FEW else ([0] * count, [0] * count)
        near: dict[int, list[int]] = {}
        for one, other in _near(grouped):
            if may_share(grouped, one, other):
                yield _tasks([one if task == other else task for task in tasks])
                between = behind[one] & before[other] | behind[other] & before[one]
                if between:
                    joined = {other, *(task for task in range(count) if between >> task & 1)}
                    yield _tasks([one if task in joined else task for task in tasks])
            near.setdefault(one, []).append(other)
            near.setdefault(other, []).append(one)
        members: dict[int, list[int]] = {}
        for unit, task in enumerate(tasks):
            members.setdefault(task, []).append(unit)
        for unit, task in enumerate(tasks):
            if len(members[task]) > 1:
                yield _tasks([*tasks[:unit], count, *tasks[unit + 1 :]])
            for other in near.get(task, ()):
                if self.graph.kind[unit] == grouped.kind[other]:
                    yield _tasks([*tasks[:unit], other, *tasks[unit + 1 :]])
        for units in members.values():
            by_place = sorted(units, key=self.place.__getitem__)
            for cut in range(2, len(units) - 1):
                late = set(by_place[cut:])
                yield _tasks([count if unit in late else task for unit, task in enumerate(tasks)])


def excess_of(
    graph: Graph,
    tasks: Sequence[int],
    grouped: Graph,
    seconds: Sequence[float],
    assumptions: Assumptions,
) -> float:
    """Return by how many seconds tasks of several units are too long; infinity for mixed ones.

    Args:
        graph: the units.
        tasks: of the units.
        grouped: `graph` merged by them.
        seconds: how long each of them takes.
        assumptions: the limit.
    """
    units = [0] * grouped.size
    for unit, task in enumerate(tasks):
        units[task] += 1
        if graph.kind[unit] != grouped.kind[task]:
            return inf
        if graph.name[unit] not in (ANY, grouped.name[task]):
            return inf
    most = assumptions.max_task_minutes * SECONDS_PER_MINUTE
    return sum(
        max(0.0, each - most) for each, count in zip(seconds, units, strict=True) if count > 1
    )


def _places(graph: Graph) -> list[int]:
    """Return the place of each unit in one topological order."""
    place = [0] * graph.size
    for number, unit in enumerate(order_of(*later_of(graph.size, sorted(graph.pairs())))):
        place[unit] = number
    return place


def _reach(grouped: Graph) -> tuple[list[int], list[int]]:
    """Return which tasks are behind each, and which before it, as bits of a number."""
    pairs = sorted(grouped.pairs())
    behind, before = [0] * grouped.size, [0] * grouped.size
    for _ in range(grouped.size):
        for one, other in pairs:
            behind[one] |= 1 << other | behind[other]
            before[other] |= 1 << one | before[one]
    return behind, before


def _near(grouped: Graph) -> list[tuple[int, int]]:
    """Return the pairs of tasks worth joining: all of a few, else those that share a dataset."""
    if grouped.size <= FEW:
        return [
            (one, other) for one in range(grouped.size) for other in range(one + 1, grouped.size)
        ]
    pairs = {(min(pair), max(pair)) for pair in grouped.pairs()}
    for flow in grouped.flows:
        pairs.update(zip(flow.readers, flow.readers[1:], strict=False))
    return sorted(pairs)
