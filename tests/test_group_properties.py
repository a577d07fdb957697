"""Grouping of random graphs, held against brute force."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagforge.errors import PipelineError
from dagforge.group import group, task_links
from dagforge.grouping.cycles import Change, GroupCycleError
from dagforge.ir import Grouping, Node, NodeGroup, Pipeline
from tests.graphs import node, pipeline, with_nodes

MODES = ("tags", "namespace", "module", "memory", "none", "map")
PROFILE = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@dataclass(frozen=True)
class Case:
    """A pipeline with a grouping, and the group of each node as a test sees it."""

    pipeline: Pipeline
    by: Grouping
    task_of: Mapping[str, str]


def make_case(mode: str, size: int, density: float, groups: int, seed: int, odd: bool) -> Case:
    """Return a random acyclic pipeline; `odd` adds operators, commands and blocks."""
    r = random.Random(seed)
    names = [f"n{number:02}" for number in range(size)]
    r.shuffle(names)
    nodes: list[Node] = []
    persisted = []
    # Groups of neighbours are often acyclic, groups of any nodes hardly ever.
    is_near = r.random() < 0.5
    for i, name in enumerate(names):
        earlier = [other for other in range(i) if r.random() < density]
        outputs = [f"{name}_x", *([f"{name}_y"] if r.random() < 0.3 else [])]
        persisted += [
            dataset for dataset in outputs if r.random() < (0.97 if mode == "memory" else 0.5)
        ]
        inputs = [f"{names[other]}_x" for other in earlier if r.random() < 0.9]
        inputs += [f"{names[other]}_y" for other in earlier if r.random() < 0.3]
        after = [names[other] for other in earlier if r.random() < 0.1]
        number = i * groups // size if is_near and r.random() < 0.97 else r.randrange(groups)
        label = f"g{number}" if r.random() < 0.6 else None
        in_mode = label if mode != "memory" else None
        nodes.append(
            replace(
                node(
                    name,
                    " ".join([*inputs, "params:rate"]),
                    " ".join(outputs),
                    after=" ".join(after),
                    tags=f"daily airflow:{label}" if in_mode else "daily",
                    runner=r.choice(["function"] * 18 + ["command", "operator"])
                    if odd
                    else "function",
                    block=f"b{number}" if odd and in_mode and r.random() < 0.05 else None,
                ),
                namespace=f"{label}.part" if in_mode else None,
                module=label if in_mode else None,
            )
        )
    r.shuffle(nodes)
    whole = pipeline(*nodes, persisted=" ".join(persisted))
    tasks: dict[str, tuple[str, ...]] = {}
    for each in whole.nodes:
        if each.module:
            tasks[each.module] = (*tasks.get(each.module, ()), each.name)
    by = Grouping(mode, tasks=tasks if mode == "map" else {})
    return Case(whole, by, expected_tasks(whole, by))


def expected_tasks(whole: Pipeline, by: Grouping) -> dict[str, str]:
    """Return the task of each node, as simply as it can be said; memory groups by a member."""
    if by.by == "none":
        return {each.name: each.name for each in whole.nodes}
    if by.by != "memory":
        return {each.name: each.module or each.name for each in whole.nodes}
    task_of = {each.name: each.name for each in whole.nodes}
    for (earlier, later), datasets in node_links(whole).items():
        if datasets - whole.datasets.keys():
            old, new = task_of[later], task_of[earlier]
            task_of = {name: new if task == old else task for name, task in task_of.items()}
    return task_of


def node_links(whole: Pipeline) -> dict[tuple[str, str], set[str]]:
    """Return the datasets between each two nodes that depend on each other."""
    links = {}
    for earlier in whole.nodes:
        for later in whole.nodes:
            datasets = set(earlier.outputs) & set(later.inputs)
            if datasets or earlier.name in later.after:
                links[earlier.name, later.name] = datasets
    return links


def expected_links(case: Case) -> dict[tuple[str, str], set[str]]:
    """Return the datasets between each two tasks that depend on each other."""
    links: dict[tuple[str, str], set[str]] = {}
    for (earlier, later), datasets in node_links(case.pipeline).items():
        pair = case.task_of[earlier], case.task_of[later]
        if pair[0] != pair[1]:
            links.setdefault(pair, set()).update(datasets)
    return links


def distances(pairs: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the least number of steps between any two names, from a name to itself too."""
    next_of: dict[str, list[str]] = {}
    for start, end in pairs:
        next_of.setdefault(start, []).append(end)
    steps: dict[tuple[str, str], int] = {}
    for start in next_of:
        reached = next_of[start]
        count = 1
        while reached:
            new = [name for name in reached if (start, name) not in steps]
            steps.update({(start, name): count for name in new})
            reached = [end for name in new for end in next_of.get(name, ())]
            count += 1
    return steps


def restricted(whole: Pipeline, names: set[str]) -> Pipeline:
    return with_nodes(whole, [each for each in whole.nodes if each.name in names])


def changed(case: Case, change: Change) -> tuple[Pipeline, Grouping]:
    """Return the pipeline and grouping after somebody did what a fix says."""
    if change.kind == "persist":
        stored = pipeline(persisted=" ".join(change.datasets)).datasets
        return replace(case.pipeline, datasets={**case.pipeline.datasets, **stored}), case.by
    new = {"join": change.group, "leave": None, "split": "brand_new"}[change.kind]
    task_of: dict[str, str | None] = {each.name: each.module for each in case.pipeline.nodes}
    task_of |= dict.fromkeys(change.nodes, new)
    nodes = [
        replace(
            each,
            tags=("daily", f"airflow:{task_of[each.name]}") if task_of[each.name] else ("daily",),
            namespace=task_of[each.name],
        )
        for each in case.pipeline.nodes
    ]
    tasks: dict[str, tuple[str, ...]] = {}
    for name, task in task_of.items():
        if task:
            tasks[task] = (*tasks.get(task, ()), name)
    is_map = case.by.by in ("map", "module")
    by = replace(case.by, by="map", tasks=tasks) if is_map else case.by
    return with_nodes(case.pipeline, nodes), by


def codes(whole: Pipeline, by: Grouping) -> set[str]:
    """Return the codes of what is wrong with a grouping."""
    try:
        group(whole, by, case_whole(whole, by))
    except PipelineError as error:
        return {problem.code for problem in error.problems}
    return set()


def case_whole(whole: Pipeline, by: Grouping) -> Pipeline:
    """Return a pipeline with every node that the grouping names, for one that was cut down."""
    known = {each.name for each in whole.nodes}
    named = [name for names in by.tasks.values() for name in names if name not in known]
    return with_nodes(whole, [*whole.nodes, *map(node, named)])


def cases(*, odd: bool = False, modes: tuple[str, ...] = MODES) -> st.SearchStrategy[Case]:
    return st.builds(
        make_case,
        mode=st.sampled_from(modes),
        size=st.integers(1, 60),
        density=st.sampled_from([0.01, 0.03, 0.06, 0.15]),
        groups=st.integers(1, 15),
        seed=st.integers(0, 2**32),
        odd=st.just(odd),
    )


def parts(task_of: Mapping[str, str]) -> set[frozenset[str]]:
    """Return the sets of names that share a task."""
    members: dict[str, set[str]] = {}
    for name, task in task_of.items():
        members.setdefault(task, set()).add(name)
    return {frozenset(names) for names in members.values()}


@settings(PROFILE, max_examples=200)
@given(cases())
def test_acyclic_is_grouped_exactly_and_cyclic_is_refused_with_true_cycles(case: Case) -> None:
    links = expected_links(case)
    steps = distances(set(links))
    is_cyclic = any(start == end for start, end in steps)
    try:
        groups = group(case.pipeline, case.by)
    except GroupCycleError as error:
        assert is_cyclic
        check_cycles(case, error, links, steps)
    else:
        assert not is_cyclic
        check_groups(case, groups, links)


def check_groups(
    case: Case, groups: tuple[NodeGroup, ...], links: dict[tuple[str, str], set[str]]
) -> None:
    found = [each.name for one in groups for each in one.nodes]
    assert sorted(found) == sorted(each.name for each in case.pipeline.nodes)
    assert {frozenset(each.name for each in one.nodes) for one in groups} == parts(case.task_of)
    expected_name = {case.task_of[each.name]: one.name for one in groups for each in one.nodes}
    if case.by.by != "memory":
        assert all(task == name for task, name in expected_name.items())
    for one in groups:
        assert one.tags == tuple(sorted({tag for each in one.nodes for tag in each.tags}))
        assert one.is_group or one.nodes[0].name == one.name
    place = {one.name: position for position, one in enumerate(groups)}
    assert len(place) == len(groups)
    found_links = {
        (link.upstream, link.downstream): link.datasets
        for link in task_links(case.pipeline, groups)
    }
    assert list(found_links) == sorted(found_links)
    assert found_links == {
        (expected_name[start], expected_name[end]): tuple(sorted(datasets))
        for (start, end), datasets in links.items()
    }
    # Each task is the first by name of those that could stand at its place.
    for position, one in enumerate(groups):
        before = {other.name for other in groups[:position]}
        free = [
            other.name
            for other in groups[position:]
            if all(start in before for start, end in found_links if end == other.name)
        ]
        assert one.name == min(free)
    order = {name: position for position, name in enumerate(found)}
    assert all(order[start] < order[end] for start, end in node_links(case.pipeline))


def check_cycles(
    case: Case,
    error: GroupCycleError,
    links: dict[tuple[str, str], set[str]],
    steps: dict[tuple[str, str], int],
) -> None:
    # A memory group has the name of one of its nodes, the oracle that of another.
    own_name = {name: case.task_of.get(name, name) for name in case.task_of}
    knots = parts_of_knots(steps)
    assert len(error.cycles) == len(knots)
    assert len([p for p in error.problems if p.code == "group-cycle"]) == len(knots)
    for cycle in error.cycles:
        ring = [own_name.get(step.upstream, step.upstream) for step in cycle.steps]
        assert len(set(ring)) == len(ring)
        for step, start, end in zip(cycle.steps, ring, [*ring[1:], ring[0]], strict=True):
            assert own_name.get(step.downstream, step.downstream) == end
            assert set(step.datasets) == links[start, end]
        knot = next(knot for knot in knots if ring[0] in knot)
        assert len(ring) == min(steps[name, name] for name in knot)


def parts_of_knots(steps: dict[tuple[str, str], int]) -> set[frozenset[str]]:
    """Return the sets of tasks that all wait for each other."""
    return {
        frozenset(end for begin, end in steps if begin == start and (end, start) in steps)
        for start, other in steps
        if start == other
    }


@settings(PROFILE, max_examples=150)
@given(cases(modes=("tags", "namespace", "module", "memory", "map")))
def test_what_a_fix_says_removes_the_cycle(case: Case) -> None:
    check_changes(case)


@PROFILE
@given(cases(odd=True, modes=("tags", "namespace", "map")))
def test_what_a_fix_says_breaks_no_other_rule(case: Case) -> None:
    check_changes(case)


def check_changes(case: Case) -> None:
    try:
        group(case.pipeline, case.by)
    except GroupCycleError as error:
        steps = distances(set(expected_links(case)))
        for cycle in error.cycles:
            ring = {case.task_of.get(step.upstream, step.upstream) for step in cycle.steps}
            start = min(ring)
            if cycle.is_all:
                ring = {end for begin, end in steps if begin == start and (end, start) in steps}
            names = {name for name, task in case.task_of.items() if task in ring}
            old = codes(restricted(case.pipeline, names), case.by)
            assert "group-cycle" in old
            for change in cycle.changes:
                new_pipeline, new_by = changed(case, change)
                new = codes(restricted(new_pipeline, names), new_by)
                assert new <= old - {"group-cycle"}
    except PipelineError:
        pass


def test_a_fix_is_found_for_nearly_every_cycle() -> None:
    found = []
    for seed in range(60):
        case = make_case("tags", 40, 0.05, 6, seed, False)
        try:
            group(case.pipeline, case.by)
        except GroupCycleError as error:
            found += [bool(cycle.changes) for cycle in error.cycles]
    assert len(found) > 30
    assert sum(found) >= 0.9 * len(found)


def outcome(whole: Pipeline, by: Grouping) -> str:
    """Return all that a grouping gives, as text."""
    try:
        groups = group(whole, by)
    except PipelineError as error:
        return str(error)
    shown = [(one.name, [each.name for each in one.nodes], one.tags) for one in groups]
    return f"{shown}\n{task_links(whole, groups)}"


@PROFILE
@given(cases(odd=True), st.randoms(use_true_random=False))
def test_the_order_of_the_definition_changes_nothing(case: Case, r: random.Random) -> None:
    nodes = [
        replace(each, inputs=tuple(r.sample(each.inputs, len(each.inputs))))
        for each in case.pipeline.nodes
    ]
    r.shuffle(nodes)
    tasks = dict(r.sample(sorted(case.by.tasks.items()), len(case.by.tasks)))
    by = replace(case.by, tasks=tasks)
    assert outcome(with_nodes(case.pipeline, nodes), by) == outcome(case.pipeline, case.by)


def print_outcomes() -> None:
    """Print what many groupings give; run by a test in processes with other hash seeds."""
    for seed in range(8):
        for mode in MODES:
            for groups in (4, 12):
                case = make_case(mode, 40, 0.05, groups, seed, seed % 2 == 0)
                print(outcome(case.pipeline, case.by))


def test_the_hash_seed_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_outcomes()
    here = capsys.readouterr().out
    there = subprocess.run(
        [sys.executable, "-c", "from tests.test_group_properties import *; print_outcomes()"],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": "4321"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "group-cycle" in here
    assert there == here
