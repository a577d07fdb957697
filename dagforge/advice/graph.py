"""Work that is to be put into tasks: units, what they hand to each other, what each takes.

A unit is what runs together: a node at first, a task after `merged`. Units are numbers; what is
known of them stands in lists, because a search looks at millions.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import repeat

from dagforge.frozen import frozen
from dagforge.order import Pair

OUTSIDE = -1
"""The writer of a dataset that no unit writes."""
ANY = ""


@frozen
class Flow:
    """A dataset between units.

    Attributes:
        writer: a unit, or OUTSIDE.
        readers: units, sorted, without the writer; none of them twice.
        load: seconds that each task which reads it, but did not write it, needs for that.
        save: seconds that the task which writes it needs when another one reads it.
        size: in bytes.
    """

    writer: int
    readers: tuple[int, ...]
    load: float
    save: float
    size: float


@frozen
class Graph:
    """Units and the order between them; there is no cycle unless a merge has made one.

    Attributes:
        work: seconds of each unit's own work, which no grouping changes.
        overhead: seconds that a task with the unit needs before it works; the largest counts.
        cpu: what a task with the unit asks for; the largest counts.
        in_pod: whether a task with the unit is a pod.
        kind: units of different kinds cannot share a task.
        name: of the task that the unit has been given; ANY where none was. Units with different
            names cannot share a task.
        hint: units with one hint belong together where nothing else speaks against it.
        flows: datasets.
        after: further order, (earlier, later).
    """

    work: Sequence[float]
    overhead: Sequence[float]
    cpu: Sequence[float]
    in_pod: Sequence[bool]
    kind: Sequence[int]
    name: Sequence[str]
    hint: Sequence[str]
    flows: Sequence[Flow]
    after: Sequence[Pair]

    @property
    def size(self) -> int:
        """The number of units."""
        return len(self.work)

    @property
    def effort(self) -> int:
        """About how many steps it takes to look at everything once."""
        return self.size + len(self.after) + sum(1 + len(flow.readers) for flow in self.flows)

    def pairs(self) -> set[Pair]:
        """Return (earlier, later) of all units that have an order."""
        found = set(self.after)
        for flow in self.flows:
            if flow.writer != OUTSIDE:
                found.update(zip(repeat(flow.writer), flow.readers))
        return found


def merged(graph: Graph, task_of: Sequence[int], count: int) -> Graph:
    """Return the graph whose units are the tasks that units are put into.

    Args:
        graph: what is put into tasks.
        task_of: the task of each unit, below `count`; each has a unit.
        count: how many tasks there are.

    Units of several kinds in one task, which only a given grouping has, make a kind of their own.
    """
    work = [0.0] * count
    overhead = [0.0] * count
    cpu = [0.0] * count
    in_pod = [False] * count
    kind: list[int | None] = [None] * count
    name = [ANY] * count
    hint: list[str | None] = [None] * count
    for unit, task in enumerate(task_of):
        work[task] += graph.work[unit]
        overhead[task] = max(overhead[task], graph.overhead[unit])
        cpu[task] = max(cpu[task], graph.cpu[unit])
        in_pod[task] = in_pod[task] or graph.in_pod[unit]
        name[task] = name[task] or graph.name[unit]
        if kind[task] is None:
            kind[task], hint[task] = graph.kind[unit], graph.hint[unit]
            continue
        if kind[task] != graph.kind[unit]:
            kind[task] = ~task
        if hint[task] != graph.hint[unit]:
            hint[task] = ANY
    flows = []
    for flow in graph.flows:
        writer = OUTSIDE if flow.writer == OUTSIDE else task_of[flow.writer]
        readers = {task_of[reader] for reader in flow.readers}
        readers.discard(writer)
        if readers:
            flows.append(Flow(writer, tuple(sorted(readers)), flow.load, flow.save, flow.size))
    after = {
        (task_of[earlier], task_of[later])
        for earlier, later in graph.after
        if task_of[earlier] != task_of[later]
    }
    return Graph(
        work,
        overhead,
        cpu,
        in_pod,
        [each or 0 for each in kind],
        name,
        [each or ANY for each in hint],
        flows,
        sorted(after),
    )


def task_seconds(graph: Graph) -> list[float]:
    """Return how long each unit takes as a task: overhead, loads, work and saves."""
    seconds = [overhead + work for overhead, work in zip(graph.overhead, graph.work, strict=True)]
    for flow in graph.flows:
        for reader in flow.readers:
            seconds[reader] += flow.load
        if flow.writer != OUTSIDE:
            seconds[flow.writer] += flow.save
    return seconds


def numbered(labels: Sequence[Hashable]) -> tuple[list[int], int]:
    """Return the labels as numbers from 0 in the order in which they first come, and how many."""
    number_of: dict[Hashable, int] = {}
    return [number_of.setdefault(label, len(number_of)) for label in labels], len(number_of)
