"""Merge nodes that run as one task."""

from __future__ import annotations

from collections.abc import Sequence

from dagforge.errors import PipelineError, Problems
from dagforge.grouping.modes import MODES, Assigned, Context, Grouped
from dagforge.ir import Grouping, GroupLink, Node, NodeGroup, Pipeline, Work
from dagforge.order import check_acyclic, edges_between, nodes_by_name, smallest_first


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
    is_cyclic = len(order) < len(grouped.names)
    if is_cyclic or not _is_plain(grouped):
        from dagforge.grouping.review import Review

        review = Review(context, assigned, grouped, problems)
        review.check_names()
        review.check_runners()
        review.check_blocks()
        if is_cyclic:
            by_name = range(len(grouped.names))
            review.fail_with_cycles(lambda: _groups_in_order(pipeline, grouped, by_name))
    problems.raise_errors(PipelineError)
    return _groups_in_order(pipeline, grouped, order)


def _is_plain(grouped: Grouped) -> bool:
    """Say whether no name is used twice and every node can share a task with every other."""
    first = grouped.nodes[0].action if grouped.nodes else None
    return len(set(grouped.names)) == len(grouped.names) and all(
        node.block is None
        and isinstance(node.action, Work)
        and isinstance(first, Work)
        and node.action.runner == first.runner
        for node in grouped.nodes
    )


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
