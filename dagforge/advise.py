"""Which grouping costs what, and a cheaper one to paste: advice, which changes nothing itself."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from dagforge.advice.assumptions import Assumptions
from dagforge.advice.graph import ANY, Graph, merged, task_seconds
from dagforge.advice.nodes import BY_TAGS, Nodes, Planned, nodes_of
from dagforge.advice.propose import propose
from dagforge.advice.settings import Facts
from dagforge.advice.simulate import Estimate, estimate
from dagforge.errors import Problem, VerificationError, Warn
from dagforge.frozen import frozen
from dagforge.group import group
from dagforge.ir import Grouping, Pipeline
from dagforge.order import smallest_first


@frozen
class Task:
    """A task of a grouping.

    Attributes:
        name: of the group, or of the node when it is in none.
        nodes: names, in the order in which they run.
        seconds: how long it takes, its pod's start included.
        machines: what its nodes ask for, sorted.
        is_group: False for a node in no group.
    """

    name: str
    nodes: tuple[str, ...]
    seconds: float
    machines: tuple[str, ...]
    is_group: bool


@frozen
class Advice:
    """What groupings of a pipeline cost.

    Attributes:
        grouping: how it is grouped now.
        alone: each node a task of its own, as far as that can be.
        present: as it is grouped now.
        proposal: the cheapest that was found.
        tasks: of the proposal, in topological order.
        is_new: the proposal differs from the present grouping.
        assumptions: what was assumed.
        facts: what was known.
    """

    pipeline: Pipeline
    grouping: Grouping
    alone: Estimate
    present: Estimate
    proposal: Estimate
    tasks: tuple[Task, ...]
    is_new: bool
    assumptions: Assumptions
    facts: Facts

    @property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes of each group of the proposal, by its name."""
        return {task.name: task.nodes for task in self.tasks if task.is_group}


def advise(planned: Planned, assumptions: Assumptions, facts: Facts, warn: Warn) -> Advice:
    """Return what the groupings of a pipeline cost, and one that costs little.

    Args:
        planned: the pipeline as it is grouped now.
        assumptions: what holds where nothing is known.
        facts: what is known of nodes and datasets.
        warn: takes what keeps the proposal from being cheaper than the present grouping.

    Raises:
        VerificationError: the proposal is none that `group` takes.
    """
    nodes = nodes_of(planned, assumptions, facts)
    parts = nodes.parts
    present = _in_parts(nodes.present, nodes.bound)
    known = [_by_namespace(parts)]
    if present is not None:
        known.append(present)
    found = propose(parts, assumptions, known)
    task_of = [found[part] for part in nodes.bound]
    advice = Advice(
        planned.pipeline,
        planned.settings.grouping(),
        alone=_estimated(nodes.graph, nodes.alone, assumptions),
        present=_estimated(nodes.graph, nodes.present, assumptions),
        proposal=_estimated(nodes.graph, task_of, assumptions),
        tasks=_tasks(nodes, task_of),
        is_new=_as_sets(nodes.present) != _as_sets(task_of),
        assumptions=assumptions,
        facts=facts,
    )
    _check(planned.pipeline, advice)
    if advice.proposal.cost > advice.present.cost:
        warn(
            Problem(
                "advice-limits",
                f"the present grouping of '{planned.pipeline.name}' costs less than the proposal: "
                "it has tasks that are longer than is proposed, or of several machines",
                planned.pipeline.origin,
                fix="raise --max-task-minutes, or give --mix-machines",
            )
        )
    return advice


def _in_parts(task_of: Sequence[int], bound: Sequence[int]) -> list[int] | None:
    """Return the task of each part, None where a part is in several."""
    tasks: dict[int, int] = {}
    for task, part in zip(task_of, bound, strict=True):
        if tasks.setdefault(part, task) != task:
            return None
    return [tasks[part] for part in range(len(tasks))]


def _by_namespace(parts: Graph) -> list[int]:
    """Return a task for each namespace and kind; parts outside any are alone."""
    first_of: dict[tuple[str, str, int], int] = {}
    return [
        first_of.setdefault((parts.hint[part], parts.name[part], parts.kind[part]), part)
        if parts.hint[part] != ANY
        else part
        for part in range(parts.size)
    ]


def _estimated(graph: Graph, task_of: Sequence[int], assumptions: Assumptions) -> Estimate:
    found = estimate(merged(graph, task_of, max(task_of, default=-1) + 1), assumptions)
    assert found is not None, "a grouping that was compiled or proposed has no cycle"
    return found


def _as_sets(task_of: Sequence[int]) -> set[frozenset[int]]:
    return {frozenset(members) for members in _members(task_of).values()}


def _members(task_of: Sequence[int]) -> dict[int, list[int]]:
    members: dict[int, list[int]] = {}
    for number, task in enumerate(task_of):
        members.setdefault(task, []).append(number)
    return members


def _tasks(nodes: Nodes, task_of: Sequence[int]) -> tuple[Task, ...]:
    """Return the tasks in topological order, ties by their first node."""
    count = max(task_of, default=-1) + 1
    grouped = merged(nodes.graph, task_of, count)
    seconds = task_seconds(grouped)
    inside = [pair for pair in nodes.graph.pairs() if task_of[pair[0]] == task_of[pair[1]]]
    members: list[list[int]] = [[] for _ in range(count)]
    for number in smallest_first(len(nodes.nodes), inside):
        members[task_of[number]].append(number)
    names = _names(nodes, members, grouped)
    return tuple(
        Task(
            names[task],
            tuple(nodes.nodes[number].name for number in members[task]),
            seconds[task],
            tuple(sorted({name for n in members[task] if (name := nodes.machines[n])})),
            len(members[task]) > 1 or grouped.name[task] != ANY,
        )
        for task in smallest_first(count, sorted(grouped.pairs()))
    )


def _names(nodes: Nodes, members: Sequence[Sequence[int]], grouped: Graph) -> list[str]:
    """Return a name for each task: its tag's, its namespace's where nothing else is called so.

    Otherwise that of its first node, which does not move when other nodes come and go.
    """
    own = {node.name for node in nodes.nodes}
    tagged = {name for name in grouped.name if name}
    namespaces = [name for name in grouped.hint if name]
    names = []
    for task, numbers in enumerate(members):
        name, hint = grouped.name[task], grouped.hint[task]
        if not name and len(numbers) > 1 and namespaces.count(hint) == 1:
            name = "" if hint in own | tagged else hint
        first = nodes.nodes[numbers[0]].name
        names.append(name or (_unused(first, own | tagged) if first in tagged else first))
    return names


def _unused(name: str, taken: Container[str]) -> str:
    count = 2
    while f"{name}_{count}" in taken:
        count += 1
    return f"{name}_{count}"


def _check(pipeline: Pipeline, advice: Advice) -> None:
    """Put the proposal through the stage that it is meant for.

    Raises:
        VerificationError: that makes other groups of it.
    """
    tasks = {name: nodes for name, nodes in advice.groups.items() if advice.is_new}
    if not tasks:
        return
    groups = group(pipeline, Grouping("map", tasks=tasks))
    made = {each.name: {node.name for node in each.nodes} for each in groups}
    if made != {task.name: set(task.nodes) for task in advice.tasks}:
        raise VerificationError.of(
            "advice-differs",
            f"the groups proposed for '{pipeline.name}' are not those that the proposal gives",
            at=pipeline.origin,
        )


def tag_of(advice: Advice, name: str) -> str:
    """Return the grouping tag for a group, in the spelling that the pipeline's front-end takes."""
    prefixes = advice.grouping.prefixes
    if advice.pipeline.front_end == "kedro":
        # Kedro takes letters, digits, hyphens, underscores and full stops.
        prefixes = tuple(prefix for prefix in prefixes if ":" not in prefix) or prefixes
    return f"{prefixes[0]}{name}"


def tags_of(advice: Advice) -> Mapping[str, tuple[str, ...]]:
    """Return the tags of the nodes whose tags the proposal changes, by name, in task order."""
    nodes = {node.name: node for node in advice.pipeline.nodes}
    prefixes = advice.grouping.prefixes if advice.grouping.by == BY_TAGS else ()
    changed = {}
    for name, members in advice.groups.items():
        for member in members:
            node = nodes[member]
            if any(tag.startswith(prefixes) for tag in node.tags):
                continue
            others = [tag for tag in node.tags if not tag.startswith(advice.grouping.prefixes)]
            changed[member] = (tag_of(advice, name), *others)
    return changed
