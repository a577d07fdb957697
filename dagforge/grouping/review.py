"""What is wrong with a grouping, and what to change about it; most groupings never get here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dagforge.errors import Origin, Place, Problems
from dagforge.grouping.cycles import (
    Change,
    GroupCycleError,
    Part,
    Proposal,
    explain_cycles,
    joining,
    leaving,
    persisting,
    runners_of,
    splitting,
)
from dagforge.grouping.modes import MODES, Assigned, Context, Grouped, Mode, Wording
from dagforge.ir import NodeGroup, Operator
from dagforge.order import check_acyclic, shortened

FIXES_TRIED = 20


@dataclass(slots=True)
class Review:
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

    def fail_with_cycles(self, groups: Callable[[], Sequence[NodeGroup]]) -> None:
        """Report every cycle of groups and raise it all.

        Args:
            groups: returns all groups, where the nodes have no cycle.

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
        raise GroupCycleError(self.problems, cycles, groups())

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
