"""Larger and larger tasks, in rounds: what is gained most by running together is merged first.

A round is a matching, as in the coarsening of dagP (Herrmann et al., "Multilevel Algorithms for
Acyclic Partitioning of Directed Acyclic Graphs", SIAM J. Sci. Comput. 41, 2019): every unit takes
part in one merge at most, so that what is known of the others still holds, and tasks grow evenly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.graph import ANY, OUTSIDE, Graph, merged, numbered, task_seconds
from dagforge.advice.ordered import Ordered
from dagforge.advice.simulate import cost, later_of, order_of
from dagforge.frozen import frozen
from dagforge.order import Pair

ROUNDS = 20
NEAR_READERS = 2
"""Of the readers of a dataset, each is tried with so many of the next."""
TRIES = 6
"""So many merges of one unit may fail in a round."""
LEAST_MERGED = 0.01
"""A round that merges a smaller part of the units is the last one."""
SECONDS_PER_MINUTE = 60
LEAST_SAVED = 0.004
"""So is one that saves a smaller part of the cost."""
FEWER = 4
"""What a round's merges are divided by when they were too many."""
LARGER = 1e-3
"""What a merge gains that gains nothing, where the makespan does not count."""
_NOTHING = 1e-9


def may_share(graph: Graph, one: int, other: int) -> bool:
    """Say whether two units may run in one task, however long that takes."""
    names = graph.name[one], graph.name[other]
    return graph.kind[one] == graph.kind[other] and (ANY in names or names[0] == names[1])


def coarsen(graph: Graph, assumptions: Assumptions, weight: float) -> Iterator[list[int]]:
    """Yield the task of each unit after each round.

    What is known of a pair does not know what else a round merges. Where the makespan counts, a
    round that makes it all dearer is taken back, and only the best of its merges are made.

    Args:
        graph: the units, acyclic.
        assumptions: what times and prices there are.
        weight: how much the makespan counts against the prices; 0 for not at all.
    """
    task_of = list(range(graph.size))
    price = cost(graph, task_seconds(graph), assumptions)
    for _ in range(ROUNDS):
        timed = _Timed.of(graph, assumptions)
        pairs = _worthwhile(graph, timed, assumptions, weight)
        merges = _merges(graph, timed, pairs)
        while True:
            if not merges:
                return
            joined = dict(merges)
            part_of, count = numbered([joined.get(unit, unit) for unit in range(graph.size)])
            found = merged(graph, part_of, count)
            found_price = cost(found, task_seconds(found), assumptions)
            if not weight or found_price < price:
                break
            merges = merges[: len(merges) // FEWER]
            if len(merges) < LEAST_MERGED * graph.size:
                return
        is_last = len(merges) < LEAST_MERGED * graph.size
        is_last = is_last or (bool(weight) and price - found_price < LEAST_SAVED * price)
        graph, price = found, found_price
        task_of = [part_of[task] for task in task_of]
        yield task_of
        if is_last:
            return


def _worthwhile(graph: Graph, timed: _Timed, assumptions: Assumptions, weight: float) -> list[Pair]:
    """Return the pairs of units that gain something by sharing a task, the most first.

    What a pair gains on the makespan is read from the longest path through both, and from the bound
    of Graham, path + (work - path) / slots.
    """
    most = assumptions.max_task_minutes * SECONDS_PER_MINUTE
    share = 0.0 if assumptions.slots >= graph.size else 1 / assumptions.slots
    delay, longest = assumptions.task_delay, timed.longest
    seconds, overhead = timed.seconds, graph.overhead
    cpu, hint = graph.cpu, graph.hint
    gains = []
    for (one, other), on_edge in _savings(graph).items():
        if not may_share(graph, one, other):
            continue
        saved = on_edge + min(overhead[one], overhead[other])
        own_one, own_other = seconds[one] - delay, seconds[other] - delay
        length = own_one + own_other - saved
        if length > most:
            continue
        # By the prices alone, and where nothing else counts, larger is better.
        gain = assumptions.task_price * saved + (0.0 if weight else LARGER)
        if cpu[one] or cpu[other]:
            asked = max(cpu[one], cpu[other]) * length
            gain -= assumptions.cpu_price * (asked - cpu[one] * own_one - cpu[other] * own_other)
        if weight:
            path = timed.path(one, other) + length + delay - longest
            if path < 0 and not timed.is_on_longest(one, other):
                path = 0.0
            gain += weight * ((saved + delay) * share - path * (1 - share))
        if gain > _NOTHING:
            gains.append((-gain, hint[one] != hint[other], one, other))
    gains.sort()
    return [(one, other) for _, _, one, other in gains]


def _merges(graph: Graph, timed: _Timed, pairs: Iterable[Pair]) -> list[Pair]:
    """Return those pairs that can be merged one after the other, as (what is merged, into what).

    Args:
        graph: the units.
        timed: with their order.
        pairs: the most important first; a unit is merged once.
    """
    ordered = Ordered(graph, timed.order)
    tries = [TRIES] * graph.size
    found: list[Pair] = []
    for one, other in pairs:
        if not tries[one] or not tries[other]:
            continue
        if ordered.merge(one, other):
            found.append((other, one))
            tries[one] = tries[other] = 0
        else:
            tries[one] -= 1
            tries[other] -= 1
    return found


@frozen
class _Timed:
    """When units could run if there were slots for all.

    Attributes:
        order: topological.
        seconds: how long each holds its slot.
        start: the earliest.
        starts: of each unit: the unit that it waits for longest, and when it could start without.
        tail: how long the longest path behind each takes.
        tails: the same for what comes after it.
        longest: path of all.
    """

    order: Sequence[int]
    seconds: Sequence[float]
    start: Sequence[float]
    starts: Sequence[tuple[int, float]]
    tail: Sequence[float]
    tails: Sequence[tuple[int, float]]
    longest: float

    def path(self, one: int, other: int) -> float:
        """Return how long the longest path through a task of two units is, without that task.

        Args:
            one: a unit.
            other: one that may wait for it, or has nothing to do with it.
        """
        start, tail = self.start, self.tail
        begin = start[one] if start[one] > start[other] else start[other]
        end = tail[one] if tail[one] > tail[other] else tail[other]
        cause, without = self.starts[other]
        if cause == one:
            begin = max(start[one], without)
        cause, without = self.tails[one]
        if cause == other:
            end = max(without, tail[other])
        return begin + end

    def is_on_longest(self, one: int, other: int) -> bool:
        """Say whether the longest path of all leads through one of two units."""
        start, seconds, tail = self.start, self.seconds, self.tail
        least = self.longest - _NOTHING
        return (
            start[one] + seconds[one] + tail[one] >= least
            or start[other] + seconds[other] + tail[other] >= least
        )

    @classmethod
    def of(cls, graph: Graph, assumptions: Assumptions) -> _Timed:
        """Return the times of a graph."""
        pairs = sorted(graph.pairs())
        later_than, waits_for = later_of(graph.size, pairs)
        earlier_than, _ = later_of(graph.size, [(later, earlier) for earlier, later in pairs])
        order = order_of(later_than, waits_for)
        seconds = [each + assumptions.task_delay for each in task_seconds(graph)]
        start, starts = _longest(order, seconds, earlier_than)
        tail, tails = _longest(order[::-1], seconds, later_than)
        longest = max(map(float.__add__, start, map(float.__add__, seconds, tail)), default=0.0)
        return cls(order, seconds, start, starts, tail, tails, longest)


def _longest(
    order: Sequence[int], seconds: Sequence[float], next_to: Sequence[Sequence[int]]
) -> tuple[list[float], list[tuple[int, float]]]:
    """Return how long each unit waits, for which one longest, and how long without that one."""
    waits = [0.0] * len(seconds)
    without: list[tuple[int, float]] = [(-1, 0.0)] * len(seconds)
    for unit in order:
        most, second, cause = 0.0, 0.0, -1
        for near in next_to[unit]:
            length = waits[near] + seconds[near]
            if length > most:
                most, second, cause = length, most, near
            elif length > second:
                second = length
        waits[unit] = most
        without[unit] = (cause, second)
    return waits, without


def _savings(graph: Graph) -> dict[Pair, float]:
    """Return the pairs of units worth trying, with the seconds of loads and saves they would save.

    They are those that hand something to each other, that read the same, that one waits for the
    other, and neighbours among those that have the same number of steps before them.
    """
    saved: dict[Pair, float] = {}
    for flow in graph.flows:
        for reader in flow.readers if flow.writer != OUTSIDE else ():
            pair = (flow.writer, reader)
            gone = flow.load + (flow.save if len(flow.readers) == 1 else 0.0)
            saved[pair] = saved.get(pair, 0.0) + gone
        for distance in range(1, NEAR_READERS + 1):
            for pair in zip(flow.readers, flow.readers[distance:], strict=False):
                saved[pair] = saved.get(pair, 0.0) + flow.load
    for pair in graph.after:
        saved.setdefault(pair, 0.0)
    for pair in _side_by_side(graph):
        if pair[::-1] not in saved:
            saved.setdefault(pair, 0.0)
    return saved


def _side_by_side(graph: Graph) -> Iterator[Pair]:
    """Yield neighbours among the units of one kind with the same number of steps before them."""
    later_than, waits_for = later_of(graph.size, graph.pairs())
    level = [0] * graph.size
    for unit in order_of(later_than, waits_for):
        for later in later_than[unit]:
            level[later] = max(level[later], level[unit] + 1)
    units = sorted(
        range(graph.size),
        key=lambda unit: (level[unit], graph.kind[unit], graph.hint[unit], unit),
    )
    yield from (pair for pair in pairwise(units) if level[pair[0]] == level[pair[1]])
