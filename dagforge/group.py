"""Merge nodes that run as one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dagforge.errors import Origin, PipelineError, Place, Problems
from dagforge.group_cycles import (
    Change,
    GroupCycle,
    GroupCycleError,
    Grouped,
    GroupLink,
    Part,
    Proposal,
    explain_cycles,
    joining,
    leaving,
    persisting,
    runners_of,
    splitting,
)
from dagforge.group_modes import MODES, Assigned, Context, Mode, Wording
from dagforge.ir import Grouping, Node, NodeGroup, Operator, Pipeline
from dagforge.order import (
    check_acyclic,
    edges_between,
    nodes_by_name,
    shortened,
    smallest_first,
)

__all__ = ["Change", "GroupCycle", "GroupCycleError", "GroupLink", "group", "task_links"]

FIXES_TRIED = 20


def group(pipeline: Pipeline, by: Grouping, whole: Pipeline | None = None) -> tuple[NodeGroup, ...]:
    """Merge nodes that run as one task.

    Linear in nodes and edges but for sorting; the explanation of a cycle has a fixed budget.

    Args:
        pipeline: acyclic, node names unique.
        by: how nodes are told together.
        whole: the pipeline that `pipeline` was selected from; what `by` says about its other
            nodes is no mistake.

    Returns:
        Groups in topological order, ties by name; every node is in exactly one.

    Raises:
        GroupCycleError: the grouped graph has a cycle; holds it in order, with the datasets behind
            each step.
        PipelineError: a node is in two groups, a group has no name or that of a node outside it,
            mixes what cannot share a task, or parts a block. Both hold every problem there is.
    """
    nodes = nodes_by_name(pipeline)
    context = Context(pipeline, whole or pipeline, by, nodes, edges_between(nodes))
    problems = Problems()
    assigned = MODES[by.by].assign(context, problems)
    grouped = _number_groups(context, assigned, problems)
    group_of = grouped.group_of
    order = smallest_first(
        len(grouped.names),
        (
            (group_of[earlier], group_of[later])
            for earlier, later, _ in grouped.edges
            if group_of[earlier] != group_of[later]
        ),
    )
    review = _Review(context, assigned, grouped, problems)
    review.check_names()
    review.check_runners()
    review.check_blocks()
    if len(order) < len(grouped.names):
        review.fail_with_cycles()
    problems.raise_errors(PipelineError)
    return _groups_in_order(pipeline, grouped, order)


def task_links(pipeline: Pipeline, groups: Sequence[NodeGroup]) -> tuple[GroupLink, ...]:
    """Return the order between groups, sorted by the names of upstream and downstream.

    Args:
        pipeline: what was grouped.
        groups: every node is in exactly one, names unique.

    Returns:
        One link a pair, with the sorted datasets behind it; none where only `after` says so.
    """
    nodes = nodes_by_name(pipeline)
    names = sorted(group.name for group in groups)
    number_of = {name: number for number, name in enumerate(names)}
    task_of_node = {node.name: number_of[group.name] for group in groups for node in group.nodes}
    task_of = [task_of_node[node.name] for node in nodes]
    datasets_by_pair: dict[int, set[str]] = {}
    for earlier, later, dataset in edges_between(nodes):
        upstream, downstream = task_of[earlier], task_of[later]
        if upstream != downstream:
            # One number for the pair: 60,000 of them sort in a third of the time of tuples.
            datasets = datasets_by_pair.setdefault(upstream * len(names) + downstream, set())
            if dataset is not None:
                datasets.add(dataset)
    return tuple(
        GroupLink(
            names[pair // len(names)],
            names[pair % len(names)],
            tuple(sorted(datasets_by_pair[pair])),
        )
        for pair in sorted(datasets_by_pair)
    )


def _number_groups(context: Context, assigned: Assigned, problems: Problems) -> Grouped:
    """Return the grouping by numbers, with a group for each block that no setting placed.

    Edges of nodes in doubt are left out: whatever is decided about them, a cycle that is found
    without them is one.
    """
    nodes = context.nodes
    block_of = _free_blocks(context, assigned, problems)
    group_of = assigned.group_of | block_of
    keys = [
        (group_of[number], True) if number in group_of else (node.name, False)
        for number, node in enumerate(nodes)
    ]
    groups = sorted(set(keys))
    number_of = {key: number for number, key in enumerate(groups)}
    edges = context.edges
    if assigned.in_doubt:
        edges = [
            edge
            for edge in edges
            if edge[0] not in assigned.in_doubt and edge[1] not in assigned.in_doubt
        ]
    return Grouped(
        nodes=nodes,
        edges=edges,
        group_of=[number_of[key] for key in keys],
        names=[name for name, _ in groups],
        is_group=[is_group for _, is_group in groups],
        from_block=frozenset(number_of[block, True] for block in block_of.values()),
        tying=assigned.tying,
        named=assigned.named,
    )


def _free_blocks(context: Context, assigned: Assigned, problems: Problems) -> dict[int, str]:
    """Return the blocks of several nodes of which none was given a group, by node."""
    members: dict[str, list[int]] = {}
    for number, node in enumerate(context.nodes):
        if node.block is not None:
            members.setdefault(node.block, []).append(number)
    placed = assigned.group_of.keys() | assigned.in_doubt
    names = set(assigned.group_of.values())
    free: dict[int, str] = {}
    for block, numbers in sorted(members.items()):
        if len(numbers) < 2 or not placed.isdisjoint(numbers):
            continue
        if block in names:
            problems.error(
                "group-name",
                f"group '{block}' is named like a block of nodes that are not in it",
                context.nodes[numbers[0]].origin,
                fix="give the group another name",
            )
            assigned.in_doubt.update(numbers)
            continue
        free.update(dict.fromkeys(numbers, block))
    return free


def _groups_in_order(
    pipeline: Pipeline, grouped: Grouped, order: Sequence[int]
) -> tuple[NodeGroup, ...]:
    group_of = grouped.group_of
    inside = [
        (earlier, later)
        for earlier, later, _ in grouped.edges
        if group_of[earlier] == group_of[later]
    ]
    # By the edges inside groups alone: what a node outside is called moves nothing in a group.
    node_order = smallest_first(len(grouped.nodes), inside)
    if len(node_order) < len(grouped.nodes):
        check_acyclic(pipeline)
    members: list[list[Node]] = [[] for _ in grouped.names]
    for number in node_order:
        members[group_of[number]].append(grouped.nodes[number])
    return tuple(
        NodeGroup(
            name=grouped.names[number],
            nodes=tuple(members[number]),
            tags=tuple(sorted({tag for node in members[number] for tag in node.tags})),
            is_group=grouped.is_group[number],
        )
        for number in order
    )


@dataclass(slots=True)
class _Review:
    """The checks of a grouping, all of which report what they find.

    Attributes:
        fixes_left: how many more fixes may be checked against the whole graph.
        whole: the graph that fixes are checked against, made when the first one is.
        wording: what fixes are put into words with, made when the first one is.
    """

    context: Context
    assigned: Assigned
    grouped: Grouped
    problems: Problems
    fixes_left: int = FIXES_TRIED
    whole: Part | None = None
    wording: Wording | None = None

    def check_names(self) -> None:
        """Report groups that are named like a node outside any group."""
        grouped = self.grouped
        solo_of = {
            grouped.names[group]: number
            for number, group in enumerate(grouped.group_of)
            if not grouped.is_group[group] and number not in self.assigned.in_doubt
        }
        for group, members in self._members().items():
            name = grouped.names[group]
            if name in solo_of:
                at = self._place(members[0])
                fix = self._checked(joining(grouped, group, [solo_of[name]]), at)
                self.problems.error(
                    "group-name",
                    f"group '{name}' is named like node '{name}', which is in no group",
                    at,
                    fix="rename one of them" + (f", or {fix}" if fix else ""),
                )

    def check_runners(self) -> None:
        """Report groups of nodes that cannot share a task."""
        for group, members in self._members().items():
            nodes = [self.grouped.nodes[number] for number in members]
            if len(nodes) < 2 or len(runners_of(nodes)) == 1:
                continue
            numbers_by_runner: dict[str, list[int]] = {}
            for number, node in zip(members, nodes, strict=True):
                action = node.action
                runner = "operator" if isinstance(action, Operator) else action.runner
                numbers_by_runner.setdefault(runner, []).append(number)
            lines = [
                f"  {runner}: {self._names(numbers)}"
                for runner, numbers in sorted(numbers_by_runner.items())
            ]
            odd = self._odd_ones(members, numbers_by_runner)
            at = self._place(odd[0])
            proposal = self._sorted_out(group, members, odd, numbers_by_runner)
            name = self.grouped.names[group]
            self.problems.error(
                "group-mixed",
                "\n".join([f"group '{name}' holds nodes that cannot share a task", *lines]),
                at,
                fix=self._checked(proposal, at),
            )

    @staticmethod
    def _odd_ones(members: Sequence[int], numbers_by_runner: dict[str, list[int]]) -> list[int]:
        """Return the nodes that the most frequent runner does not run; all where there is none."""
        runners = [runner for runner in sorted(numbers_by_runner) if runner != "operator"]
        if not runners:
            return list(members)
        main = max(runners, key=lambda runner: len(numbers_by_runner[runner]))
        return [number for number in members if number not in numbers_by_runner[main]]

    def _sorted_out(
        self,
        group: int,
        members: Sequence[int],
        odd: Sequence[int],
        numbers_by_runner: dict[str, list[int]],
    ) -> Proposal | None:
        """Return the proposal that leaves one runner in each group."""
        grouped = self.grouped
        if grouped.tying is not None:
            return self._stored_between_runners(group, members)
        if "operator" in numbers_by_runner or len(odd) == 1 or len(numbers_by_runner) > 2:
            return leaving(grouped, group, odd)
        return splitting(grouped, group, odd)

    def _stored_between_runners(self, group: int, members: Sequence[int]) -> Proposal | None:
        """Return the proposal to store what one runner writes and another reads."""
        grouped = self.grouped
        inside = set(members)
        ties = [edge for edge in grouped.edges if edge[0] in inside and grouped.is_tie(edge)]
        runner_of = {number: runners_of([grouped.nodes[number]])[0] for number in members}
        datasets = {
            dataset
            for earlier, later, dataset in ties
            if dataset is not None and runner_of[earlier] != runner_of[later]
        }
        proposal = persisting(grouped, group, members, ties, datasets)
        runners: dict[int, set[str]] = {}
        for number, part in proposal.moves.items():
            runners.setdefault(part, set()).add(runner_of[number])
        return proposal if all(len(together) == 1 for together in runners.values()) else None

    def check_blocks(self) -> None:
        """Report blocks whose nodes are not all in one group."""
        grouped = self.grouped
        members: dict[str, list[int]] = {}
        for number, node in enumerate(grouped.nodes):
            if node.block is not None and number not in self.assigned.in_doubt:
                members.setdefault(node.block, []).append(number)
        for block, numbers in sorted(members.items()):
            count: dict[int, int] = {}
            for number in numbers:
                group = grouped.group_of[number]
                count[group] = count.get(group, 0) + 1
            if len(count) == 1:
                continue
            main = max(sorted(count), key=lambda group: (grouped.is_group[group], count[group]))
            others = [number for number in numbers if grouped.group_of[number] != main]
            lines = [
                f"  {grouped.nodes[number].name}: {self._group_name(number)}" for number in numbers
            ]
            at = self._place(others[0])
            self.problems.error(
                "block-parted",
                "\n".join(
                    [
                        f"the nodes of block '{block}' must share a task",
                        *shortened(lines, "  ... {} more ..."),
                    ]
                ),
                at,
                fix=self._checked(joining(grouped, main, others), at),
            )

    def fail_with_cycles(self) -> None:
        """Report every cycle of groups and raise it all.

        Raises:
            PipelineError: the nodes have a cycle.
            GroupCycleError: the groups have one.
        """
        check_acyclic(self.context.pipeline)
        cycles = []
        for explained in explain_cycles(self.grouped):
            at = self.mode.place(explained.node, self.context.by)
            fix = self._say(explained.cycle.changes, at)
            if fix and not explained.cycle.is_all:
                fix += "\nthis removes the cycle shown; these groups are in others too"
            self.problems.error(
                "group-cycle",
                f"grouping makes a cycle in pipeline '{self.context.pipeline.name}'"
                f"\n{explained.detail}",
                at,
                fix=fix,
            )
            cycles.append(explained.cycle)
        raise GroupCycleError(self.problems, cycles)

    @property
    def mode(self) -> Mode:
        """The way of grouping that is reviewed."""
        return MODES[self.context.by.by]

    def _members(self) -> dict[int, list[int]]:
        """Return the nodes of each group, without the nodes that are in none."""
        members: dict[int, list[int]] = {}
        for number, group in enumerate(self.grouped.group_of):
            if self.grouped.is_group[group]:
                members.setdefault(group, []).append(number)
        return members

    def _place(self, number: int) -> Place:
        return self.mode.place(self.grouped.nodes[number], self.context.by)

    def _names(self, numbers: Sequence[int]) -> str:
        names = [self.grouped.nodes[number].name for number in numbers]
        return ", ".join(shortened(names, "{} more"))

    def _group_name(self, number: int) -> str:
        group = self.grouped.group_of[number]
        is_group = self.grouped.is_group[group]
        return f"in group '{self.grouped.names[group]}'" if is_group else "in no group"

    def _checked(self, proposal: Proposal | None, at: Place) -> str | None:
        """Return a proposal in words if the whole pipeline can be grouped with it."""
        if proposal is None or not self.fixes_left:
            return None
        self.fixes_left -= 1
        if self.whole is None:
            self.whole = Part.whole(self.grouped)
        if not self.whole.accepts(proposal):
            return None
        return self._say([proposal.change], at)

    def _say(self, changes: Sequence[Change], at: Place) -> str | None:
        if not changes:
            return None
        if self.wording is None:
            self.wording = self._make_wording()
        location = at.location() if isinstance(at, Origin) else at
        return self.mode.say(changes, replace(self.wording, at=location))

    def _make_wording(self) -> Wording:
        nodes, names = self.grouped.nodes, self.grouped.names
        return Wording(
            by=self.context.by,
            node_of={node.name: node for node in nodes},
            first_of={
                names[group]: nodes[members[0]] for group, members in self._members().items()
            },
        )
