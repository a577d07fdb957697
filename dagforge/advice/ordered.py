"""A graph whose units are merged one by one and that stays acyclic."""

from __future__ import annotations

from collections.abc import Sequence

from dagforge.advice.graph import Graph

VISITS = 64
"""How far a merge looks for a path that forbids it, before it gives up."""


class Ordered:
    """Units with an order that all pairs agree with, kept up as units are merged.

    A merge of two units is allowed where no path leads from one to the other by way of a third.
    Such a path lies between the two in the order, so only that part is looked at, and only that
    part is put into a new order: the algorithm of Pearce and Kelly, "A Dynamic Topological Sort
    Algorithm for Directed Acyclic Graphs", ACM Journal of Experimental Algorithmics 11 (2007).
    """

    def __init__(self, graph: Graph, order: Sequence[int]) -> None:
        self.later: list[set[int]] = [set() for _ in range(graph.size)]
        self.earlier: list[set[int]] = [set() for _ in range(graph.size)]
        for one, other in graph.pairs():
            self.later[one].add(other)
            self.earlier[other].add(one)
        self.place = [0] * graph.size
        for place, unit in enumerate(order):
            self.place[unit] = place

    def merge(self, one: int, other: int) -> bool:
        """Make `other` a part of `one`; say whether that could be done and was.

        What would take more than VISITS steps to find out is not done.
        """
        first, last = sorted((one, other), key=self.place.__getitem__)
        after = self._reached(first, last, self.later)
        if after is None:
            return False
        before = self._reached(last, first, self.earlier)
        if before is None:
            return False
        self._reorder(first, last, before, after, one)
        self._join(one, other)
        return True

    def _reached(self, start: int, end: int, next_of: Sequence[set[int]]) -> list[int] | None:
        """Return the units between that can be reached from `start`, None where `end` can.

        The step from `start` to `end` itself does not count.
        """
        place = self.place
        low, high = sorted((place[start], place[end]))
        found: set[int] = set()
        todo = [start]
        while todo:
            unit = todo.pop()
            for near in next_of[unit]:
                if near == end:
                    if unit != start:
                        return None
                elif low < place[near] < high and near not in found:
                    if len(found) == VISITS:
                        return None
                    found.add(near)
                    todo.append(near)
        return list(found)

    def _reorder(
        self, first: int, last: int, before: list[int], after: list[int], kept: int
    ) -> None:
        """Give new places to what lies between two units, so that these can have one place."""
        place = self.place
        before.sort(key=place.__getitem__)
        after.sort(key=place.__getitem__)
        places = sorted(place[unit] for unit in [first, last, *before, *after])
        for unit, at in zip([*before, kept, *after], places, strict=False):
            place[unit] = at

    def _join(self, one: int, other: int) -> None:
        for near in self.later[other]:
            self.earlier[near].discard(other)
            self.earlier[near].add(one)
        for near in self.earlier[other]:
            self.later[near].discard(other)
            self.later[near].add(one)
        self.later[one] |= self.later[other]
        self.earlier[one] |= self.earlier[other]
        self.later[one].discard(one)
        self.earlier[one].discard(one)
        self.later[one].discard(other)
        self.earlier[one].discard(other)
        self.later[other] = set()
        self.earlier[other] = set()
