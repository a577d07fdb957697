"""What a graph of tasks costs: its makespan under a limit of tasks at a time, and what it holds."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from math import inf

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.graph import OUTSIDE, Graph, task_seconds
from dagforge.frozen import frozen
from dagforge.order import Pair

SECONDS_PER_HOUR = 3600


@frozen
class Estimate:
    """What a grouping costs.

    Attributes:
        tasks: how many there are.
        pods: how many of them are pods.
        makespan: seconds from the first task's begin to the last one's end.
        pod_seconds: how long pods run, added up.
        task_seconds: the same of all tasks.
        cpu_hours: what the pods ask for, while they run.
        border_bytes: what tasks read of what others wrote.
        cost: what the search makes small; seconds.
    """

    tasks: int
    pods: int
    makespan: float
    pod_seconds: float
    task_seconds: float
    cpu_hours: float
    border_bytes: float
    cost: float


def estimate(graph: Graph, assumptions: Assumptions) -> Estimate | None:
    """Return what the tasks cost; None where they wait for each other in a circle."""
    seconds = task_seconds(graph)
    found = makespan(graph, seconds, assumptions)
    if found == inf:
        return None
    in_pods = [each for each, in_pod in zip(seconds, graph.in_pod, strict=True) if in_pod]
    cpu_seconds = sum(map(float.__mul__, seconds, graph.cpu))
    return Estimate(
        tasks=graph.size,
        pods=len(in_pods),
        makespan=found,
        pod_seconds=sum(in_pods),
        task_seconds=sum(seconds),
        cpu_hours=cpu_seconds / SECONDS_PER_HOUR,
        border_bytes=sum(
            flow.size * len(flow.readers) for flow in graph.flows if flow.writer != OUTSIDE
        ),
        cost=_weighed(found, seconds, cpu_seconds, assumptions),
    )


def cost(graph: Graph, seconds: Sequence[float], assumptions: Assumptions) -> float:
    """Return the `cost` of `estimate` alone; infinity where it would be None."""
    found = makespan(graph, seconds, assumptions)
    if found == inf:
        return inf
    return _weighed(found, seconds, sum(map(float.__mul__, seconds, graph.cpu)), assumptions)


def _weighed(
    found: float, seconds: Sequence[float], cpu_seconds: float, assumptions: Assumptions
) -> float:
    prices = assumptions.task_price * sum(seconds) + assumptions.cpu_price * cpu_seconds
    return found + prices


def makespan(graph: Graph, seconds: Sequence[float], assumptions: Assumptions) -> float:
    """Return when the last task ends if each starts as soon as it may and a slot is free.

    Of tasks that wait for a slot, the one with the longest path behind it goes first, as HEFT's
    upward rank has it; Airflow's weight rule `downstream` counts the tasks behind instead. Each
    task holds its slot for `task_delay` longer than it runs.

    Args:
        graph: the tasks.
        seconds: how long each runs.
        assumptions: the delay and the slots.

    Returns:
        Seconds; infinity where tasks wait for each other in a circle.
    """
    held = [each + assumptions.task_delay for each in seconds]
    later_than, waits_for = later_of(graph.size, graph.pairs())
    order = order_of(later_than, list(waits_for))
    if len(order) < len(held):
        return inf
    rank = list(held)
    for task in reversed(order):
        if later_than[task]:
            rank[task] += max([rank[later] for later in later_than[task]])
    if assumptions.slots >= len(held):
        return max(rank, default=0.0)
    return _listed(held, rank, later_than, waits_for, assumptions.slots)


def later_of(size: int, pairs: Iterable[Pair]) -> tuple[list[list[int]], list[int]]:
    """Return what comes after each of `size` tasks, and for how many others each waits."""
    later_than: list[list[int]] = [[] for _ in range(size)]
    waits_for = [0] * size
    for earlier, later in pairs:
        later_than[earlier].append(later)
        waits_for[later] += 1
    return later_than, waits_for


def order_of(later_than: Sequence[Sequence[int]], waits_for: list[int]) -> list[int]:
    """Return tasks in an order in which they may run; those on a cycle or behind one are missing.

    `waits_for` is used up.
    """
    order = [task for task, count in enumerate(waits_for) if not count]
    for task in order:
        for later in later_than[task]:
            waits_for[later] -= 1
            if not waits_for[later]:
                order.append(later)  # the list is the queue
    return order


def _listed(
    held: Sequence[float],
    rank: Sequence[float],
    later_than: Sequence[Sequence[int]],
    waits_for: list[int],
    slots: int,
) -> float:
    """Return the makespan of list scheduling; `waits_for` is used up."""
    ready = [(-rank[task], task) for task, count in enumerate(waits_for) if not count]
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < slots:
            _, task = heapq.heappop(ready)
            heapq.heappush(running, (now + held[task], task))
        now, task = heapq.heappop(running)
        for later in later_than[task]:
            waits_for[later] -= 1
            if not waits_for[later]:
                heapq.heappush(ready, (-rank[later], later))
    return now
