"""What differs between two states of a project's DAGs, told by meaning.

A task keeps its identity by its task_id. One that is gone is looked for under another name: by the
nodes that it runs, by what these do, then by the nodes that it shares with a new one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from fractions import Fraction
from typing import Any, Final, TypeVar

from dagforge.compare.outline import DagOutline, Key, NodeOutline, TaskOutline
from dagforge.frozen import frozen
from dagforge.planning.machines import quantity

T = TypeVar("T")
RUN_FACTS: Final = ("schedule", "start_date", "end_date", "catchup")
"""Values of a DAG that decide when it runs."""


@frozen
class Nothing:
    """Stands where one side has no value; null is one."""


NOTHING: Final = Nothing()


@frozen
class Change:
    """One value that differs.

    Attributes:
        key: what it is called, outermost first.
        old: NOTHING where there was none.
        new: NOTHING where there is none any more.
    """

    key: Key
    old: Any
    new: Any


@frozen
class Pair:
    """A name before and after."""

    old: str
    new: str


@frozen
class Moved:
    """A node that runs in another task."""

    node: str
    old_task: str
    new_task: str


@frozen
class NodeChange:
    """A node that does something else, or reads or writes something else."""

    old: NodeOutline
    new: NodeOutline


@frozen
class EdgeChange:
    """An order between two tasks, by their new names, that came, went or has another reason.

    Attributes:
        old: datasets that caused it; None where there was none.
        new: datasets that cause it; None where there is none any more.
    """

    upstream: str
    downstream: str
    old: tuple[str, ...] | None
    new: tuple[str, ...] | None


@frozen
class Sum:
    """What all tasks of a DAG request of a resource, one after the other."""

    resource: str
    old: Fraction
    new: Fraction


@frozen
class DagChange:
    """A DAG that is on both sides and differs.

    Attributes:
        facts: values of the DAG, schedule and dates among them.
        added: task_ids.
        removed: task_ids.
        renamed: task_ids.
        moved: nodes that are in both, by their new name.
        new_nodes: names; of tasks that are there on both sides.
        gone_nodes: the same.
        edges: between tasks that are there on both sides.
        tasks: what differs by new task_id, resources by `requests.cpu` and the like.
        sums: resources whose sum differs.
    """

    old: DagOutline
    new: DagOutline
    facts: tuple[Change, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[Pair, ...] = ()
    moved: tuple[Moved, ...] = ()
    new_nodes: tuple[str, ...] = ()
    gone_nodes: tuple[str, ...] = ()
    renamed_nodes: tuple[Pair, ...] = ()
    nodes: tuple[NodeChange, ...] = ()
    edges: tuple[EdgeChange, ...] = ()
    tasks: Mapping[str, tuple[Change, ...]] = field(default_factory=dict)
    sums: tuple[Sum, ...] = ()

    @property
    def same_id(self) -> bool:
        """Whether Airflow knows both sides as one DAG."""
        return self.old.dag_id == self.new.dag_id


@frozen
class Shared:
    """One change that many tasks have alike.

    Attributes:
        tasks: task_ids by dag_id.
    """

    change: Change
    tasks: Mapping[str, tuple[str, ...]]

    @property
    def count(self) -> int:
        """In how many tasks it is."""
        return sum(map(len, self.tasks.values()))


@frozen
class Broken:
    """Something that a DAG or a task relies on and that is gone.

    Attributes:
        dag_id: of who relies on it.
        task_id: of who relies on it; None for the DAG as a whole.
        on: `dag`, `task`, `asset` or `dataset`.
        name: of what is gone; `dag_id.task_id` for a task.
        now: under which name it is still there, None when it is not.
        at: where the reliance is written; empty where that is not known.
    """

    dag_id: str
    task_id: str | None
    on: str
    name: str
    now: str | None = None
    at: str = ""


@frozen
class Difference:
    """Everything that differs.

    Attributes:
        dags: that are on both sides and differ, in the order of the new side.
        same: how many are on both sides and do not differ.
        shared: changes told once for several tasks; they are in `dags` too.
        broken: who relies on something that is gone.
    """

    added: tuple[DagOutline, ...]
    removed: tuple[DagOutline, ...]
    dags: tuple[DagChange, ...]
    same: int
    shared: tuple[Shared, ...]
    broken: tuple[Broken, ...]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.dags)


def compare(old: Sequence[DagOutline], new: Sequence[DagOutline]) -> Difference:
    """Return what differs between two sides.

    A DAG is the same one when its pipeline is of one name, or else its dag_id, or else most of its
    tasks.
    """
    pairs, removed, added = match(
        old,
        new,
        (
            lambda dag: dag.pipeline,
            lambda dag: dag.dag_id,
            lambda dag: tuple(dag.tasks) if len(dag.tasks) > 1 else None,
        ),
        lambda dag: {name for task in dag.tasks.values() for name in task.nodes},
    )
    place = {id(dag): number for number, dag in enumerate(new)}
    pairs.sort(key=lambda pair: place[id(pair[1])])
    changes = [change for one, other in pairs if (change := compare_dags(one, other)) is not None]
    return Difference(
        tuple(added),
        tuple(removed),
        tuple(changes),
        len(pairs) - len(changes),
        tuple(shared_changes(changes)),
        tuple(broken(old, new, pairs)),
    )


def match(
    old: Iterable[T],
    new: Iterable[T],
    keys: Sequence[Callable[[T], Any]],
    parts: Callable[[T], set[str]] | None,
) -> tuple[list[tuple[T, T]], list[T], list[T]]:
    """Return the pairs that are one thing on both sides, and what is left of either side.

    Args:
        old: one side.
        new: the other side.
        keys: what two must have alike, the surest first; None is alike to nothing, and neither is
            a key that several have.
        parts: what those that no key has paired are made of: one that shares at least half of all
            its parts with another is taken for it.
    """
    left, right = list(old), list(new)
    pairs: list[tuple[T, T]] = []
    for key in keys:
        by_key: dict[Any, list[T]] = {}
        for each in left:
            by_key.setdefault(key(each), []).append(each)
        times = Counter(key(each) for each in right)
        rest: list[T] = []
        for each in right:
            wanted = key(each)
            found = by_key.get(wanted, ())
            if wanted is None or len(found) != 1 or times[wanted] != 1:
                rest.append(each)
                continue
            pairs.append((found[0], each))
        taken = {id(one) for one, _ in pairs}
        left = [each for each in left if id(each) not in taken]
        right = rest
    for one, other in () if parts is None else _alike(left, right, parts):
        pairs.append((one, other))
        left = [each for each in left if each is not one]
        right = [each for each in right if each is not other]
    return pairs, left, right


def _alike(
    left: Sequence[T], right: Sequence[T], parts: Callable[[T], set[str]]
) -> list[tuple[T, T]]:
    """Return pairs that share at least half of their parts, each in one pair at most."""
    owner: dict[str, int] = {}
    made_of = [parts(each) for each in left]
    for number, names in enumerate(made_of):
        owner.update(dict.fromkeys(names, number))
    pairs: list[tuple[T, T]] = []
    taken: set[int] = set()
    for each in right:
        names = parts(each)
        shared = Counter(owner[name] for name in names if name in owner)
        for number, count in shared.most_common(1):
            if number not in taken and 2 * count >= len(names | made_of[number]):
                taken.add(number)
                pairs.append((left[number], each))
    return pairs


# --- one DAG


def compare_dags(old: DagOutline, new: DagOutline) -> DagChange | None:
    """Return what differs between two states of one DAG, None when nothing does."""
    if old == new:
        return None
    node_pairs, gone, come = match(
        list(old.nodes.values()),
        list(new.nodes.values()),
        (lambda node: node.name, lambda node: (node.does, node.inputs, node.outputs)),
        None,
    )
    new_name = {one.name: other.name for one, other in node_pairs if one.name != other.name}
    pairs, removed, added = match_tasks(old, new, new_name)
    tasks = {}
    common = different(old.common, new.common)
    for one, other in pairs:
        found = _task_changes(old, new, one, other, common)
        if found:
            tasks[other.task_id] = found
    new_id = {one.task_id: other.task_id for one, other in pairs}
    task_of_old = {node: task.task_id for task in old.tasks.values() for node in task.nodes}
    task_of_new = {node: task.task_id for task in new.tasks.values() for node in task.nodes}
    moved = [
        Moved(now, before, task_of_new[now])
        for node, before in task_of_old.items()
        if (now := new_name.get(node, node)) in task_of_new
        and new_id.get(before, before) != task_of_new[now]
    ]
    kept = {other.task_id for _, other in pairs}
    change = DagChange(
        old=old,
        new=new,
        facts=tuple(_dag_facts(old, new)),
        added=tuple(task.task_id for task in added),
        removed=tuple(task.task_id for task in removed),
        renamed=tuple(
            Pair(one.task_id, other.task_id) for one, other in pairs if one.task_id != other.task_id
        ),
        moved=tuple(moved),
        new_nodes=tuple(node.name for node in come if task_of_new.get(node.name) in kept),
        gone_nodes=tuple(node.name for node in gone if task_of_old.get(node.name) in new_id),
        renamed_nodes=tuple(Pair(*names) for names in new_name.items()),
        nodes=tuple(
            NodeChange(one, other)
            for one, other in node_pairs
            if (one.does, one.inputs, one.outputs) != (other.does, other.inputs, other.outputs)
        ),
        edges=tuple(_edge_changes(old, new, new_id, kept)),
        tasks=tasks,
        sums=tuple(_sums(old, new)),
    )
    names = (old.dag_id, old.pipeline) == (new.dag_id, new.pipeline)
    return None if names and change == DagChange(old, new) else change


def match_tasks(
    old: DagOutline, new: DagOutline, new_name: Mapping[str, str]
) -> tuple[list[tuple[TaskOutline, TaskOutline]], list[TaskOutline], list[TaskOutline]]:
    """Return the tasks that are one on both sides, those that are gone, and those that came.

    Args:
        old: one side.
        new: the other side.
        new_name: nodes that are called otherwise now, by their old name.
    """
    old_ids = {id(task) for task in old.tasks.values()}

    def nodes(task: TaskOutline) -> tuple[str, ...]:
        names = task.nodes
        if id(task) in old_ids:
            names = tuple(new_name.get(name, name) for name in names)
        return tuple(sorted(names))

    pairs, removed, added = match(
        list(old.tasks.values()),
        list(new.tasks.values()),
        (lambda task: task.task_id, lambda task: nodes(task) or None),
        lambda task: set(nodes(task)),
    )
    place = {task_id: number for number, task_id in enumerate(new.tasks)}
    pairs.sort(key=lambda pair: place[pair[1].task_id])
    return pairs, removed, added


def different(old: Mapping[Key, Any], new: Mapping[Key, Any]) -> list[Key]:
    """Return the keys whose values differ, in the order of the new side, then of the old."""
    if old == new:
        return []
    keys = [*new, *(key for key in old if key not in new)]
    return [key for key in keys if not _equal(old.get(key, NOTHING), new.get(key, NOTHING))]


def _equal(old: Any, new: Any) -> bool:
    # 1, 1.0 and True are equal, and not the same in a file.
    return old is new or (old == new and type(old) is type(new))


def _dag_facts(old: DagOutline, new: DagOutline) -> list[Change]:
    def all_of(dag: DagOutline) -> dict[Key, Any]:
        dated: dict[Key, Any] = {(name,): getattr(dag, name) for name in RUN_FACTS}
        return {**dated, **dag.facts}

    before, after = all_of(old), all_of(new)
    return [
        Change(key, before.get(key, NOTHING), after.get(key, NOTHING))
        for key in different(before, after)
    ]


def _task_changes(
    old: DagOutline, new: DagOutline, one: TaskOutline, other: TaskOutline, common: Iterable[Key]
) -> tuple[Change, ...]:
    changes = []
    # Of a generated file this is all that is known of what its nodes do.
    by_file = not (old.nodes and new.nodes) and one.nodes == other.nodes
    if by_file and one.contract and other.contract not in ("", one.contract):
        changes.append(Change(("contract",), one.contract, other.contract))
    if not common and one.facts == other.facts and one.sizes == other.sizes:
        return tuple(changes)
    keys = dict.fromkeys((*common, *other.facts, *one.facts))
    for key in keys:
        before = one.facts.get(key, old.common.get(key, NOTHING))
        after = other.facts.get(key, new.common.get(key, NOTHING))
        if not _equal(before, after):
            changes.append(Change(key, before, after))
    for key in different(one.sizes, other.sizes):
        before, after = one.sizes.get(key, NOTHING), other.sizes.get(key, NOTHING)
        changes.append(Change(key, before, after))
    return tuple(changes)


def _edge_changes(
    old: DagOutline, new: DagOutline, new_id: Mapping[str, str], kept: set[str]
) -> Iterable[EdgeChange]:
    before = {
        (new_id[upstream], new_id[downstream]): datasets
        for (upstream, downstream), datasets in old.edges.items()
        if upstream in new_id and downstream in new_id
    }
    after = {
        edge: datasets
        for edge, datasets in new.edges.items()
        if edge[0] in kept and edge[1] in kept
    }
    for edge in sorted(before.keys() | after.keys()):
        if before.get(edge) != after.get(edge):
            yield EdgeChange(*edge, before.get(edge), after.get(edge))


def requested(dag: DagOutline) -> dict[str, Fraction]:
    """Return the sum of the requests of all tasks, by resource."""
    # Thousands of tasks share a handful of machines.
    times = Counter(
        (resource, text)
        for task in dag.tasks.values()
        for (side, resource), text in task.sizes.items()
        if side == "requests"
    )
    sums: dict[str, Fraction] = {}
    for (resource, text), count in times.items():
        sums[resource] = sums.get(resource, Fraction(0)) + count * (quantity(text) or 0)
    return sums


def _sums(old: DagOutline, new: DagOutline) -> Iterable[Sum]:
    before, after = requested(old), requested(new)
    for resource in sorted(before.keys() | after.keys()):
        pair = before.get(resource, Fraction(0)), after.get(resource, Fraction(0))
        if pair[0] != pair[1]:
            yield Sum(resource, *pair)


# --- all DAGs


def shared_changes(dags: Sequence[DagChange]) -> list[Shared]:
    """Return the changes that two tasks or more have alike, the most frequent first."""
    found: dict[str, tuple[Change, dict[str, list[str]]]] = {}
    for dag in dags:
        for task_id, changes in dag.tasks.items():
            for change in changes:
                # Values may be lists, which have no hash; all of them show what they are.
                _, tasks = found.setdefault(repr(change), (change, {}))
                tasks.setdefault(dag.new.dag_id, []).append(task_id)
    shared = [
        Shared(change, {dag_id: tuple(ids) for dag_id, ids in tasks.items()})
        for change, tasks in found.values()
    ]
    return sorted((each for each in shared if each.count > 1), key=lambda each: -each.count)


def broken(
    old: Sequence[DagOutline],
    new: Sequence[DagOutline],
    pairs: Iterable[tuple[DagOutline, DagOutline]],
) -> list[Broken]:
    """Return who on the new side relies on something that only the old side had.

    Args:
        old: all DAGs of one side.
        new: all DAGs of the other side.
        pairs: which of them are one.
    """
    was = {dag.dag_id: dag for dag in old}
    now = {dag.dag_id: dag for dag in new}
    renamed = {one.dag_id: other for one, other in pairs}
    outlets = _outlets(old) - _outlets(new)
    written = {uri for dag in old for uri in dag.writes.values()}
    written -= {uri for dag in new for uri in dag.writes.values()}
    found: list[Broken] = []
    for dag in new:
        found += [
            Broken(dag.dag_id, None, "asset", asset)
            for asset in dict.fromkeys(dag.assets)
            if asset in outlets
        ]
        found += [
            Broken(dag.dag_id, None, "dataset", name)
            for name, uri in dag.reads.items()
            if uri in written
        ]
        for task in dag.tasks.values():
            other = task.waiting
            if other is None or other.dag_id not in was:
                continue
            where = dag.dag_id, task.task_id
            if other.dag_id not in now:
                after = renamed.get(other.dag_id)
                new_id = None if after is None else after.dag_id
                found.append(Broken(*where, "dag", other.dag_id, new_id, other.at))
                continue
            gone = [
                name
                for name in other.task_ids
                if name in was[other.dag_id].tasks and name not in now[other.dag_id].tasks
            ]
            found += [
                Broken(*where, "task", f"{other.dag_id}.{name}", None, other.at) for name in gone
            ]
    return found


def _outlets(dags: Iterable[DagOutline]) -> set[str]:
    return {asset for dag in dags for task in dag.tasks.values() for asset in task.outlets}
