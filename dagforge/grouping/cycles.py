"""Why a grouping makes a cycle, and what to change about it.

A group is one task, so it needs all that its nodes need before it starts: two tasks can then wait
for each other although no two nodes do. The search for a change tries the ways that a person
would (join what lies between, take out or split off what is early or late, persist a dataset),
checks each against the graph and keeps the fewest nodes. The true minimum is NP-hard.

Nodes are numbered by name, groups by their names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from dagforge.errors import PipelineError, Problem
from dagforge.frozen import frozen
from dagforge.grouping.modes import Grouped
from dagforge.ir import GroupLink, Node, NodeGroup, Work
from dagforge.order import (
    Edge,
    Pair,
    arrows,
    block_ties,
    datasets_behind,
    knots,
    listed,
    shortened,
    shortest_cycle,
    steps_of,
    tied,
)

GROUPS_TRIED = 8
SINGLES_TRIED = 64
NAMED_AT_MOST = 8
ALTERNATIVE_AT_MOST = 3
CHECK_BUDGET = 10_000_000


@frozen
class Change:
    """A change of a grouping.

    Attributes:
        kind: `join` (the nodes become part of the group), `leave` (each becomes a task of its
            own), `split` (together they become a new group) or `persist` (the datasets are stored
            and no longer tie the nodes of the group).
        group: the group that changes.
        nodes: sorted; empty for `persist`.
        datasets: sorted; empty but for `persist`.
    """

    kind: Literal["join", "leave", "split", "persist"]
    group: str
    nodes: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()


@frozen
class GroupCycle:
    """Tasks that wait for each other.

    Attributes:
        steps: in order; the last one leads back to the first.
        changes: each of them removes the cycle; the smallest first, empty when none was found.
        is_all: the changes also remove every other cycle between the tasks that reach this one.
    """

    steps: tuple[GroupLink, ...]
    changes: tuple[Change, ...] = ()
    is_all: bool = True


class GroupCycleError(PipelineError):
    """The grouped graph has a cycle.

    Attributes:
        cycles: one for each set of tasks that all wait for each other.
        groups: of all nodes, by name.
    """

    def __init__(
        self,
        problems: Iterable[Problem],
        cycles: Sequence[GroupCycle],
        groups: Sequence[NodeGroup] = (),
    ) -> None:
        """Keep every problem of the grouping, and what is known of its cycles."""
        super().__init__(problems)
        self.cycles = tuple(cycles)
        self.groups = tuple(groups)

    @property
    def cycle(self) -> tuple[GroupLink, ...]:
        """The steps of the first cycle."""
        return self.cycles[0].steps


@frozen
class Explained:
    """A cycle of groups in words.

    Attributes:
        detail: the cycle and its steps, one a line, indented.
        node: the first one that closes it.
    """

    cycle: GroupCycle
    detail: str
    node: Node


@frozen
class Proposal:
    """A change that was not checked yet.

    Attributes:
        moves: the new group of each node that moves.
        detour: 0 for the plain way; 1 when early nodes give way to late ones, as the later node is
            what closes a cycle; 2 when nodes that join were in another group before.
    """

    change: Change
    moves: Mapping[int, int]
    detour: int = 0

    @property
    def rank(self) -> tuple[object, ...]:
        """What to sort by: few nodes before many, the simpler change before the other, names."""
        change = self.change
        size = len(change.nodes) + len(change.datasets)
        kind = ("join", "split", "leave", "persist").index(change.kind)
        return size, self.detour, kind, change.group, change.nodes, change.datasets


@frozen
class Part:
    """Some groups of a grouping with the edges between their nodes, to try changes on.

    Attributes:
        edges: between the nodes of these groups, those inside one group included.
        members: nodes of each group, sorted.
    """

    grouped: Grouped
    edges: Sequence[Edge]
    members: Mapping[int, list[int]]

    @classmethod
    def whole(cls, grouped: Grouped) -> Part:
        """Return all groups."""
        return cls.each(grouped, [range(len(grouped.names))])[0]

    @classmethod
    def each(cls, grouped: Grouped, sets: Sequence[Collection[int]]) -> list[Part]:
        """Return one part for each set of groups; no group may be in two of them."""
        set_of = {group: position for position, groups in enumerate(sets) for group in groups}
        edges: list[list[Edge]] = [[] for _ in sets]
        for edge in grouped.edges:
            position = set_of.get(grouped.group_of[edge[0]])
            if position is not None and position == set_of.get(grouped.group_of[edge[1]]):
                edges[position].append(edge)
        members: list[dict[int, list[int]]] = [{group: [] for group in groups} for groups in sets]
        for number, group in enumerate(grouped.group_of):
            if group in set_of:
                members[set_of[group]][group].append(number)
        return [cls(grouped, *part) for part in zip(edges, members, strict=True)]

    def pairs(self, moves: Mapping[int, int] | None = None) -> list[Pair]:
        """Return the edges between groups, after `moves`; a pair may come several times."""
        group_of: Sequence[int] | Mapping[int, int] = self.grouped.group_of
        if moves:
            group_of = {
                number: moves.get(number, group)
                for group, members in self.members.items()
                for number in members
            }
        pairs = [(group_of[earlier], group_of[later]) for earlier, later, _ in self.edges]
        return [pair for pair in pairs if pair[0] != pair[1]]

    def accepts(self, proposal: Proposal) -> bool:
        """Say whether the groups are acyclic after a change that breaks no other rule."""
        return self._keeps_rules(proposal) and _is_acyclic(self.pairs(proposal.moves))

    def _keeps_rules(self, proposal: Proposal) -> bool:
        """Say whether blocks stay whole, runners unmixed and names unique."""
        grouped, moves = self.grouped, proposal.moves
        if proposal.change.kind == "persist":
            return self._keeps_names(moves)
        touched = {*moves.values(), *(grouped.group_of[number] for number in moves)}
        if touched & grouped.from_block:
            return False
        blocks = {grouped.nodes[number].block for number in moves} - {None}
        if blocks and not self._keeps_blocks(moves, blocks):
            return False
        if proposal.change.kind == "leave":
            return not any(grouped.has_group(grouped.nodes[number].name) for number in moves)
        target = next(iter(moves.values()))
        together = [*self.members.get(target, ()), *moves]
        return len(runners_of(grouped.nodes[number] for number in together)) == 1

    def _keeps_blocks(self, moves: Mapping[int, int], blocks: Collection[str | None]) -> bool:
        group_of_block: dict[str | None, int] = {}
        for number, node in enumerate(self.grouped.nodes):
            if node.block in blocks:
                group = moves.get(number, self.grouped.group_of[number])
                if group_of_block.setdefault(node.block, group) != group:
                    return False
        return True

    def _keeps_names(self, moves: Mapping[int, int]) -> bool:
        """Say whether nodes that a setting names as the first of a group still are."""
        grouped = self.grouped
        named = grouped.named & set(moves)
        given = {grouped.names[grouped.group_of[number]] for number in grouped.named}
        if any(grouped.nodes[number].name in given for number in set(moves) - named):
            return False
        size: dict[int, int] = {}
        for group in moves.values():
            size[group] = size.get(group, 0) + 1
        waiting = {
            later
            for earlier, later, _ in self.edges
            if later in moves and moves.get(earlier) == moves[later]
        }
        first: dict[int, int] = {}
        for number in sorted(set(moves) - waiting):
            first.setdefault(moves[number], number)
        return all(size[moves[number]] > 1 and first[moves[number]] == number for number in named)


def runners_of(nodes: Iterable[Node]) -> list[str]:
    """Return who runs these nodes, sorted; more than one cannot share a task.

    An operator counts as a runner of its own, since it never shares one.
    """
    return sorted(
        {
            node.action.runner if isinstance(node.action, Work) else f"operator {node.name}"
            for node in nodes
        }
    )


def _is_acyclic(pairs: Sequence[Pair]) -> bool:
    waits_for: dict[int, int] = {}
    later_than: dict[int, list[int]] = {}
    for earlier, later in pairs:
        waits_for[later] = waits_for.get(later, 0) + 1
        waits_for.setdefault(earlier, 0)
        later_than.setdefault(earlier, []).append(later)
    free = [number for number, count in waits_for.items() if not count]
    left = len(waits_for)
    while free:
        left -= 1
        for later in later_than.get(free.pop(), ()):
            waits_for[later] -= 1
            if not waits_for[later]:
                free.append(later)
    return left == 0


def explain_cycles(grouped: Grouped) -> list[Explained]:
    """Return one cycle, a shortest, for each set of groups that wait for each other.

    The nodes must be acyclic. Sorted by the names of the groups.
    """
    pairs = [
        (grouped.group_of[earlier], grouped.group_of[later])
        for earlier, later, _ in grouped.edges
        if grouped.group_of[earlier] != grouped.group_of[later]
    ]
    budget = CHECK_BUDGET
    explained = []
    for part in Part.each(grouped, knots(len(grouped.names), pairs)):
        # As the nodes are acyclic, every cycle passes a group of several nodes.
        starts = [group for group, members in sorted(part.members.items()) if len(members) > 1]
        cycle = shortest_cycle(part.pairs(), starts)
        changes, is_all, budget = _find_changes(part, cycle, budget)
        explained.append(_explain(part, cycle, changes, is_all))
    return explained


def _explain(
    part: Part, cycle: Sequence[int], changes: Sequence[Change], is_all: bool
) -> Explained:
    grouped = part.grouped
    steps = steps_of(cycle)
    edges_by_step: dict[Pair, list[Edge]] = {step: [] for step in steps}
    for edge in sorted(part.edges, key=lambda edge: edge[:2]):
        step = grouped.group_of[edge[0]], grouped.group_of[edge[1]]
        if step in edges_by_step:
            edges_by_step[step].append(edge)
    links = []
    lines = []
    for step in steps:
        edges = edges_by_step[step]
        datasets = sorted({dataset for _, _, dataset in edges if dataset is not None})
        names = (grouped.names[step[0]], grouped.names[step[1]])
        links.append(GroupLink(*names, tuple(datasets)))
        lines.append(f"    {_step_text(grouped, edges)};")
    ring = arrows([link.upstream for link in links], [link.datasets for link in links])
    lines = shortened(lines, "    ... {} more steps ...")
    detail = "\n".join([f"  {ring}", *lines]).removesuffix(";")
    first = grouped.nodes[edges_by_step[steps[0]][0][0]]
    return Explained(GroupCycle(tuple(links), tuple(changes), is_all), detail, first)


def _step_text(grouped: Grouped, edges: Sequence[Edge]) -> str:
    """Return how the first two nodes behind a step depend on each other.

    An edge with a dataset is preferred to one without.
    """
    pair = next((edge[:2] for edge in edges if edge[2] is not None), edges[0][:2])
    earlier, later = (_with_group(grouped, number) for number in pair)
    (datasets,) = datasets_behind(edges, [pair])
    if not datasets:
        return f"{later} is set to run after {earlier}"
    them = "it" if len(datasets) == 1 else "them"
    shown = [*datasets[:3], f"{len(datasets) - 3} more"] if len(datasets) > 4 else datasets
    return f"{earlier} writes {listed(shown)}, {later} reads {them}"


def _with_group(grouped: Grouped, number: int) -> str:
    group = grouped.group_of[number]
    name = grouped.nodes[number].name
    return f"{name} ({grouped.names[group]})" if grouped.is_group[group] else name


def _find_changes(part: Part, cycle: Sequence[int], budget: int) -> tuple[list[Change], bool, int]:
    """Return changes that remove a cycle, whether they remove all of the part's, what is left.

    A change that frees the whole part is looked for first; failing that, one that frees the
    groups of the cycle. `budget` limits the edges that are read.
    """
    changes, budget = _smallest_changes(part, cycle, budget)
    if changes or set(cycle) == set(part.members):
        return changes, True, budget
    changes, budget = _smallest_changes(Part.each(part.grouped, [cycle])[0], cycle, budget)
    return changes, False, budget


def _smallest_changes(part: Part, cycle: Sequence[int], budget: int) -> tuple[list[Change], int]:
    """Return the smallest change that makes the part acyclic, and one of the other kind."""
    source = _regrouping if part.grouped.tying is None else _persisting
    found: list[Proposal] = []
    cost = len(part.edges) + sum(map(len, part.members.values()))
    # Making the proposals of one group takes about a dozen readings of the part.
    tried = min(len(cycle), GROUPS_TRIED, budget // (2 * 12 * cost))
    budget -= 12 * cost * tried
    for proposal in sorted(source(part, cycle, tried), key=lambda proposal: proposal.rank):
        is_join = proposal.change.kind == "join"
        if any((other.change.kind == "join") == is_join for other in found):
            continue
        if found and len(proposal.change.nodes) > ALTERNATIVE_AT_MOST:
            break
        budget -= cost
        if budget < 0:
            break
        if part.accepts(proposal):
            found.append(proposal)
    return [proposal.change for proposal in found], budget


def _regrouping(part: Part, cycle: Sequence[int], tried: int) -> Iterator[Proposal]:
    """Yield ways to join, leave and split the first `tried` groups of a cycle."""
    grouped = part.grouped
    for group in [g for g in cycle if grouped.is_group[g]][:tried]:
        members = part.members[group]
        between, sides = _surroundings(part, group)
        late = sides[0]
        for numbers in between:
            if 0 < len(numbers) <= NAMED_AT_MOST:
                yield joining(grouped, group, numbers)
        singles = [{number} for number in members] if len(members) <= SINGLES_TRIED else []
        for numbers in [*singles, *sides]:
            if 0 < len(numbers) <= min(NAMED_AT_MOST, len(members) - 1):
                detour = 0 if numbers <= late else 1
                yield replace(leaving(grouped, group, numbers), detour=detour)
                if len(numbers) > 1:
                    yield replace(splitting(grouped, group, numbers), detour=detour)
    steps = steps_of(cycle)
    near = {*steps[:tried], *steps[len(steps) - tried :]}
    ends: set[Pair] = set()
    for earlier, later, _ in part.edges:
        step = grouped.group_of[earlier], grouped.group_of[later]
        if step in near and len(ends) < SINGLES_TRIED:
            ends |= {(step[1], earlier), (step[0], later)}
    for group, number in sorted(ends):
        if grouped.is_group[group]:
            yield joining(grouped, group, [number])


def _surroundings(part: Part, group: int) -> tuple[list[set[int]], list[set[int]]]:
    """Return sets of nodes that lie between those of a group, and sets that could part from it.

    The first of those that could part are the late ones: they need something that needs the group.

    Once with every other group as one, as the tasks would run, and once by the nodes alone, which
    leaves out what only other groups cause.
    """
    members = set(part.members[group])
    between: list[set[int]] = []
    sides: list[set[int]] = []
    for is_by_node in (False, True):
        label_of = {
            number: ~number if is_by_node or other == group else other
            for other, numbers in part.members.items()
            for number in numbers
        }
        later_than: dict[int, list[int]] = {}
        earlier_than: dict[int, list[int]] = {}
        for earlier, later, _ in part.edges:
            start, end = label_of[earlier], label_of[later]
            if start != end:
                later_than.setdefault(start, []).append(end)
                earlier_than.setdefault(end, []).append(start)
        own = {~number for number in members}
        down = _beyond(own, later_than)
        up = _beyond(own, earlier_than)
        inside = (down & up) - own
        between.append({number for number, label in label_of.items() if label in inside})
        late = {number for number in members if ~number in down}
        early = {number for number in members if ~number in up}
        sides += [late, early, members - late, members - early]
    return between, sides


def _beyond(own: set[int], next_of: Mapping[int, Sequence[int]]) -> set[int]:
    """Return what can be reached from `own` by a path whose first step leaves it."""
    reached = {label for start in own for label in next_of.get(start, ()) if label not in own}
    todo = list(reached)
    while todo:
        for label in next_of.get(todo.pop(), ()):
            if label not in reached:
                reached.add(label)
                todo.append(label)
    return reached


def joining(grouped: Grouped, group: int, numbers: Iterable[int]) -> Proposal:
    """Return the proposal that nodes become part of a group."""
    moves = dict.fromkeys(numbers, group)
    is_regrouped = any(grouped.is_group[grouped.group_of[number]] for number in moves)
    return Proposal(_change(grouped, "join", group, moves), moves, 2 * is_regrouped)


def leaving(grouped: Grouped, group: int, numbers: Iterable[int]) -> Proposal:
    """Return the proposal that each of some nodes becomes a task of its own."""
    moves = {number: ~number for number in numbers}
    return Proposal(_change(grouped, "leave", group, moves), moves)


def splitting(grouped: Grouped, group: int, numbers: Iterable[int]) -> Proposal:
    """Return the proposal that nodes become a new group."""
    moves = dict.fromkeys(numbers, len(grouped.names))
    return Proposal(_change(grouped, "split", group, moves), moves)


def _change(
    grouped: Grouped, kind: Literal["join", "leave", "split"], group: int, numbers: Iterable[int]
) -> Change:
    nodes = tuple(grouped.nodes[number].name for number in sorted(numbers))
    return Change(kind, grouped.names[group], nodes)


def _persisting(part: Part, cycle: Sequence[int], tried: int) -> Iterator[Proposal]:
    """Yield ways to cut the first `tried` groups of a cycle by storing datasets."""
    grouped = part.grouped
    ties_by_group: dict[int, list[Edge]] = {group: [] for group in cycle}
    for edge in part.edges:
        group = grouped.group_of[edge[0]]
        if group in ties_by_group and grouped.is_tie(edge):
            ties_by_group[group].append(edge)
    for group in [g for g in cycle if ties_by_group[g]][:tried]:
        members, ties = part.members[group], ties_by_group[group]
        _, sides = _surroundings(part, group)
        alone = [{number} for number in members] if len(members) <= SINGLES_TRIED else []
        cuts = {cut(ties, side) for side in [*sides, *alone]}
        singles = {frozenset([tie[2]]) for tie in ties if tie[2] is not None}
        if len(singles) <= SINGLES_TRIED:
            cuts |= singles
        for datasets in sorted(cuts, key=sorted):
            if 0 < len(datasets) <= NAMED_AT_MOST:
                yield persisting(grouped, group, members, ties, datasets)


def cut(ties: Iterable[Edge], side: Collection[int]) -> frozenset[str]:
    """Return the datasets that tie nodes of one side to the others."""
    return frozenset(
        dataset
        for earlier, later, dataset in ties
        if dataset is not None and (earlier in side) != (later in side)
    )


def persisting(
    grouped: Grouped,
    group: int,
    members: Sequence[int],
    ties: Iterable[Edge],
    datasets: Collection[str],
) -> Proposal:
    """Return the proposal that datasets of a group are stored; the other ties hold."""
    left = [(earlier, later) for earlier, later, dataset in ties if dataset not in datasets]
    first_of = tied(members, [*left, *block_ties(grouped.nodes, members)])
    moves = {number: ~first_of[number] for number in members}
    change = Change("persist", grouped.names[group], datasets=tuple(sorted(datasets)))
    return Proposal(change, moves)
