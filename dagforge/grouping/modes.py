"""The ways to tell nodes together: which group each node is in, and how to say what to change.

A new way is one entry of `MODES`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dagforge.errors import Origin, Place, Problems, SourceLocation, did_you_mean
from dagforge.frozen import frozen
from dagforge.ir import Grouping, Node, Pipeline
from dagforge.order import Edge, block_ties, listed, quoted, smallest_first, tied

if TYPE_CHECKING:
    from dagforge.grouping.cycles import Change


@dataclass(slots=True)
class Assigned:
    """Which group each node is in, by the node's number.

    Attributes:
        group_of: nodes in no group are left out.
        in_doubt: nodes whose group cannot be told; already reported.
        tying: datasets that tie nodes together; None where the mode does not go by datasets.
        named: nodes that stand in a setting as the first of their group.
    """

    group_of: dict[int, str] = field(default_factory=dict)
    in_doubt: set[int] = field(default_factory=set)
    tying: frozenset[str] | None = None
    named: frozenset[int] = frozenset()


@frozen
class Context:
    """What a mode goes by.

    Attributes:
        nodes: sorted by name, acyclic.
        edges: between positions in `nodes`.
        whole: the pipeline before a part of it was selected; settings may name its nodes too.
    """

    pipeline: Pipeline
    whole: Pipeline
    by: Grouping
    nodes: Sequence[Node]
    edges: Sequence[Edge]


@frozen
class Grouped:
    """A pipeline with a group for each node.

    Attributes:
        nodes: sorted by name.
        edges: between positions in `nodes`.
        group_of: number of the group of each node.
        names: name of each group, sorted; of the node when it is in no group.
        is_group: by group, False for a node in no group.
        from_block: groups that no setting made, only a block.
        tying: datasets that tie nodes together; None where a grouping does not go by datasets.
        named: nodes that lend their name to a setting, so that they must stay first in a group.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    group_of: Sequence[int]
    names: Sequence[str]
    is_group: Sequence[bool]
    from_block: frozenset[int] = frozenset()
    tying: frozenset[str] | None = None
    named: frozenset[int] = frozenset()

    def is_tie(self, edge: Edge) -> bool:
        """Say whether the edge is a reason for its nodes to be in one group."""
        return self.tying is not None and edge[2] in self.tying

    def has_group(self, name: str) -> bool:
        """Say whether a group, not just a node in none, has this name."""
        position = bisect_left(self.names, name)
        while position < len(self.names) and self.names[position] == name:
            if self.is_group[position]:
                return True
            position += 1
        return False


@frozen
class Wording:
    """What a mode may say when it puts changes into words.

    Attributes:
        node_of: nodes by name.
        first_of: the first node by name of each group.
        at: where the problem is shown, so that a place in the same file is just a line.
    """

    by: Grouping
    node_of: Mapping[str, Node]
    first_of: Mapping[str, Node]
    at: SourceLocation | None = None


@frozen
class Mode:
    """A way to group.

    Attributes:
        assign: returns the groups, and reports what cannot be told.
        say: returns the changes as one instruction, alternatives joined by `or`; None where the
            mode has no words for them.
        place: returns what puts a node into its group.
    """

    assign: Callable[[Context, Problems], Assigned]
    say: Callable[[Sequence[Change], Wording], str | None]
    place: Callable[[Node, Grouping], Place] = lambda node, _: node.origin


def _by_tags(context: Context, problems: Problems) -> Assigned:
    assigned = Assigned()
    for number, node in enumerate(context.nodes):
        tags = _grouping_tags(node, context.by)
        if not tags:
            continue
        for tag, name in tags.items():
            if not name.strip():
                problems.error(
                    "group-name",
                    f"tag '{tag}' of node '{node.name}' names no group",
                    _place_of_tag(node, tag),
                    fix=f"write a name after '{tag}', or drop the tag",
                )
                assigned.in_doubt.add(number)
        if len(set(tags.values())) > 1:
            problems.error(
                "two-groups",
                f"node '{node.name}' has {len(tags)} grouping tags, {quoted(tags)}",
                _place_of_tag(node, list(tags)[1]),
                fix="a node runs in one task: keep one of them",
            )
            assigned.in_doubt.add(number)
        elif number not in assigned.in_doubt:
            assigned.group_of[number] = next(iter(tags.values()))
    return assigned


def _grouping_tags(node: Node, by: Grouping) -> dict[str, str]:
    """Return the group that each grouping tag of a node names, in the order of the tags."""
    groups: dict[str, str] = {}
    for tag in node.tags:
        if tag.startswith(by.prefixes):
            groups[tag] = tag.removeprefix(_prefix_of(tag, by))
    return groups


def _prefix_of(tag: str, by: Grouping) -> str:
    """Return the longest prefix that the tag begins with."""
    return max((prefix for prefix in by.prefixes if tag.startswith(prefix)), key=len)


def _place_of_tag(node: Node, tag: str) -> Origin:
    """Return the place of a tag, or of its node where tags have no place of their own."""
    place = node.origin / "tags" / node.tags.index(tag)
    try:
        place.location()
    except (LookupError, TypeError):
        return node.origin
    return place


def _place_by_tags(node: Node, by: Grouping) -> Place:
    tag = next(iter(_grouping_tags(node, by)), None)
    return node.origin if tag is None else _place_of_tag(node, tag)


def _say_tags(changes: Sequence[Change], wording: Wording) -> str:
    parts: list[str] = []
    for change in changes:
        tag = _tag_of_group(change.group, wording)
        if change.kind == "join":
            parts.append(_say_tag_join(change, tag, wording))
        elif change.kind == "leave":
            places = [f"{name}{_line_of_tag(name, wording)}" for name in change.nodes]
            shown = "that tag" if parts and parts[-1].endswith(f"'{tag}' too") else f"'{tag}'"
            parts.append(f"drop {shown} from {listed(places)}")
        else:
            new = _unused(tag, wording)
            places = [f"{name}{_line_of_tag(name, wording)}" for name in change.nodes]
            parts.append(f"tag {listed(places)} '{new}' instead of '{tag}'")
    return ", or ".join(parts)


def _say_tag_join(change: Change, tag: str, wording: Wording) -> str:
    nodes_by_old_tag: dict[str | None, list[str]] = {}
    for name in change.nodes:
        old = next(iter(_grouping_tags(wording.node_of[name], wording.by)), None)
        nodes_by_old_tag.setdefault(old, []).append(name)
    parts = []
    for old, names in sorted(nodes_by_old_tag.items(), key=lambda item: item[0] or ""):
        if old is None:
            parts.append(f"tag {listed(names)} '{tag}' too")
        else:
            places = [f"{name}{_line_of_tag(name, wording)}" for name in names]
            parts.append(f"tag {listed(places)} '{tag}' instead of '{old}'")
    return " and ".join(parts)


def _tag_of_group(group: str, wording: Wording) -> str:
    """Return the tag as the first member of the group has it."""
    return next(iter(_grouping_tags(wording.first_of[group], wording.by)))


def _line_of_tag(name: str, wording: Wording) -> str:
    """Return where the node's grouping tag stands, as an addition in brackets."""
    place = _place_by_tags(wording.node_of[name], wording.by)
    location = place.location() if isinstance(place, Origin) else place
    if location is None or location.line is None:
        return ""
    if wording.at is not None and wording.at.file == location.file:
        return f" (line {location.line})"
    return f" ({location.file}:{location.line})"


def _unused(tag: str, wording: Wording) -> str:
    """Return a tag for a new group, with a name that nothing has."""
    prefix = _prefix_of(tag, wording.by)
    group = tag.removeprefix(prefix)
    taken = {*wording.first_of, *wording.node_of}
    count = 2
    while f"{group}_{count}" in taken:
        count += 1
    return f"{prefix}{group}_{count}"


def _by_namespace(context: Context, problems: Problems) -> Assigned:
    """Group by the top-level namespace, as Kedro's `group_nodes_by("namespace")` does."""
    assigned = Assigned()
    for number, node in enumerate(context.nodes):
        if not node.namespace:
            continue
        name = node.namespace.partition(".")[0]
        if name.strip():
            assigned.group_of[number] = name
        else:
            problems.error(
                "group-name",
                f"namespace '{node.namespace}' of node '{node.name}' begins with no name",
                node.origin,
                fix="a namespace is written as names with dots between them",
            )
            assigned.in_doubt.add(number)
    return assigned


def _say_namespace(changes: Sequence[Change], _: Wording) -> str:
    words = {
        "join": "put {nodes} into namespace '{group}'",
        "leave": "take {nodes} out of namespace '{group}'",
        "split": "give {nodes} a namespace of their own instead of '{group}'",
    }
    return _say(changes, words)


def _by_module(context: Context, _: Problems) -> Assigned:
    """Group by the module of the function, in full, so that names stay when modules are added."""
    return Assigned(
        {number: node.module for number, node in enumerate(context.nodes) if node.module}
    )


def _say_module(changes: Sequence[Change], _: Wording) -> str:
    words = {
        "join": "with {nodes} under '{group}'",
        "leave": "without {nodes}",
        "split": "with {nodes} under a name of their own",
    }
    return "write 'grouping' as a mapping of tasks to nodes, " + _say(changes, words)


def _by_memory(context: Context, problems: Problems) -> Assigned:
    """Group what is tied by datasets that live in memory, and blocks.

    A dataset without a catalog entry lives in memory. A group is named after its first node.
    """
    nodes, by = context.nodes, context.by
    datasets = context.pipeline.datasets
    tying = frozenset(
        dataset
        for _, _, dataset in context.edges
        if dataset is not None and not (dataset in datasets and datasets[dataset].persisted)
    )
    ties = [(earlier, later) for earlier, later, dataset in context.edges if dataset in tying]
    first_of = tied(range(len(nodes)), [*ties, *block_ties(nodes, range(len(nodes)))])
    size = [0] * len(nodes)
    for component in first_of.values():
        size[component] += 1
    grouped = {number: component for number, component in first_of.items() if size[component] > 1}
    inside = [
        (earlier, later)
        for earlier, later, _ in context.edges
        if grouped.get(earlier, -1) == grouped.get(later, -2)
    ]
    head_of: dict[int, int] = {}
    for number in smallest_first(len(nodes), inside):
        if number in grouped:
            head_of.setdefault(grouped[number], number)
    heads = {nodes[number].name: number for number in head_of.values()}
    _check_memory_names(context, heads, problems)
    group_of = {}
    for number, component in grouped.items():
        head = nodes[head_of[component]].name
        group_of[number] = by.names.get(head, head)
    named = frozenset(number for name, number in heads.items() if name in by.names)
    return Assigned(group_of, tying=tying, named=named)


def _check_memory_names(context: Context, heads: Mapping[str, int], problems: Problems) -> None:
    """Report names for groups that are not there, and one name for two groups."""
    known = {node.name for node in context.whole.nodes}
    left_out = known - {node.name for node in context.nodes}
    heads_by_name: dict[str, list[str]] = {}
    for head in heads:
        heads_by_name.setdefault(context.by.names.get(head, head), []).append(head)
    for name in sorted(context.by.names.keys() - heads.keys() - left_out):
        at = context.by.named_at.get(name) or context.by.origin
        if name in known:
            message = f"node '{name}' is not the first node of a group in memory"
            problems.error(
                "unknown-node",
                f"{message}, so it gives no group a name",
                at,
                fix=did_you_mean(name, heads),
            )
        else:
            _report_unknown(name, heads, at, context, problems)
    for name, alike in sorted(heads_by_name.items()):
        if len(alike) > 1:
            problems.error(
                "group-name",
                f"the groups that begin with {quoted(sorted(alike))} are both named '{name}'",
                next(filter(None, map(context.by.named_at.get, alike)), context.by.origin),
                fix="give each group a name of its own",
            )


def _say_memory(changes: Sequence[Change], _: Wording) -> str | None:
    (change,) = changes
    if change.kind != "persist":
        return None
    noun = "dataset" if len(change.datasets) == 1 else "datasets"
    return f"persist {noun} {listed(change.datasets)} in the catalog"


def _by_nothing(_: Context, __: Problems) -> Assigned:
    return Assigned()


def _say_nothing(_: Sequence[Change], __: Wording) -> None:
    return None


def _by_map(context: Context, problems: Problems) -> Assigned:
    """Group as a mapping says: an item is a node, else a module, else a dataset that one writes."""
    assigned = Assigned()
    numbers_by_item = _items(context.nodes)
    known = _items(context.whole.nodes) if context.whole is not context.pipeline else {}
    tasks_by_number: dict[int, list[str]] = {}
    for task in sorted(context.by.tasks):
        items = context.by.tasks[task]
        origin = context.by.origin
        at = origin / task if origin else None
        if not task.strip():
            problems.error("group-name", "a group of the grouping has no name", at)
        if not items:
            problems.error(
                "empty-group",
                f"grouping gives task '{task}' no nodes",
                at,
                fix=f"list its nodes, or drop '{task}'",
            )
        for position, item in enumerate(items):
            if item not in numbers_by_item and item not in known:
                place = at / position if at else None
                _report_unknown(item, numbers_by_item, place, context, problems)
            for number in numbers_by_item.get(item, ()):
                tasks = tasks_by_number.setdefault(number, [])
                if task not in tasks:
                    tasks.append(task)
    for number, tasks in sorted(tasks_by_number.items()):
        if len(tasks) == 1:
            assigned.group_of[number] = tasks[0]
        else:
            problems.error(
                "two-groups",
                f"node '{context.nodes[number].name}' is in {len(tasks)} groups, {quoted(tasks)}",
                context.by.origin / tasks[1] if context.by.origin else None,
                fix="a node runs in one task: keep one of them",
            )
            assigned.in_doubt.add(number)
    if context.pipeline.on_demand and not problems.found:
        _take_what_is_needed(context, assigned)
    return assigned


def _take_what_is_needed(context: Context, assigned: Assigned) -> None:
    """Put nodes that no task lists into the one that needs them; of several, into the first.

    What is needed by nobody stays a task of its own.
    """
    order = smallest_first(len(context.nodes), [edge[:2] for edge in context.edges])
    place = {number: position for position, number in enumerate(order)}
    first: dict[str, int] = {}
    for number, task in assigned.group_of.items():
        first[task] = min(first.get(task, len(order)), place[number])
    consumers: dict[int, list[int]] = {}
    for earlier, later, _ in context.edges:
        consumers.setdefault(earlier, []).append(later)
    for number in reversed(order):
        if number in assigned.group_of or number in assigned.in_doubt:
            continue
        tasks = {
            assigned.group_of[each]
            for each in consumers.get(number, ())
            if each in assigned.group_of
        }
        if tasks:
            assigned.group_of[number] = min(tasks, key=lambda task: (first[task], task))
    # What nobody needs, such as a saver, may belong to something that somebody does.
    task_of_block = {
        context.nodes[number].block: task for number, task in sorted(assigned.group_of.items())
    }
    for number in order:
        block = context.nodes[number].block
        if number not in assigned.group_of and block is not None and block in task_of_block:
            assigned.group_of[number] = task_of_block[block]


def _items(nodes: Iterable[Node]) -> dict[str, list[int]]:
    """Return what an item of a mapping may name, with the positions of the nodes it stands for."""
    by_node: dict[str, list[int]] = {}
    by_module: dict[str, list[int]] = {}
    by_output: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        by_node[node.name] = [number]
        if node.module:
            by_module.setdefault(node.module, []).append(number)
        for dataset in node.outputs:
            by_output[dataset] = [number]
    return {**by_output, **by_module, **by_node}


def _say_map(changes: Sequence[Change], _: Wording) -> str:
    words = {
        "join": "list {nodes} under '{group}' in 'grouping'",
        "leave": "take {nodes} out of '{group}' in 'grouping'",
        "split": "list {nodes} under a name of their own instead of '{group}' in 'grouping'",
    }
    return _say(changes, words)


def _report_unknown(
    name: str, known: Iterable[str], at: Place, context: Context, problems: Problems
) -> None:
    problems.error(
        "unknown-node",
        f"grouping names '{name}', which pipeline '{context.pipeline.name}' does not have",
        at,
        fix=did_you_mean(name, known),
    )


def _say(changes: Iterable[Change], words: Mapping[str, str]) -> str:
    return ", or ".join(
        words[change.kind].format(nodes=listed(change.nodes), group=change.group)
        for change in changes
    )


MODES: Mapping[str, Mode] = {
    "tags": Mode(_by_tags, _say_tags, _place_by_tags),
    "namespace": Mode(_by_namespace, _say_namespace),
    "module": Mode(_by_module, _say_module),
    "memory": Mode(_by_memory, _say_memory),
    "none": Mode(_by_nothing, _say_nothing),
    "map": Mode(_by_map, _say_map),
}
