"""What a report says of a project, before it becomes a page."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

from dagforge.build import Build, Request, Stages, attempt
from dagforge.commands.diff_page import amount, calendar_of, moment_text, planned_runs, spelled
from dagforge.commands.report_page.details import Details, details_of
from dagforge.commands.report_page.runs import History, history_of
from dagforge.commands.stage_data import place
from dagforge.compare.outline import outline
from dagforge.compare.runs import Run, can_tell
from dagforge.drawing.model import By, Panel, Picture
from dagforge.drawing.panels import Grouped, machine_for, machines_of, picture_of, wants_of
from dagforge.errors import DagForgeError, Problem
from dagforge.frozen import frozen
from dagforge.group import group
from dagforge.ir import Grouping, NodeGroup
from dagforge.planning.machines import Machine, quantity
from dagforge.planning.planner import tag_prefixes
from dagforge.resources import templates_dir
from dagforge.runtime.files import Files
from dagforge.target import Target, target_names
from dagforge.values import Every

Kind = Literal["before", "after", "nodes"]
NEXT_RUNS = 5


@frozen
class View:
    """One drawing of a pipeline.

    Attributes:
        kind: `before` without groups, `after` by task, `nodes` with a box around each task.
        panel: of the picture, the only one.
    """

    kind: Kind
    picture: Picture

    @property
    def panel(self) -> Panel:
        """What is drawn."""
        return self.picture.panels[0]


@frozen
class MachineUse:
    """How often a machine is asked for.

    Attributes:
        wants: what it has; empty where nobody says.
        before: tasks if each node were one.
        now: tasks.
    """

    name: str
    wants: str
    before: int
    now: int


@frozen
class Total:
    """What all tasks request together of a resource, as if all ran at once."""

    resource: str
    before: str
    now: str


@frozen
class Schedule:
    """When a pipeline runs.

    Attributes:
        text: as the settings say it; `never` where nothing starts it.
        when: what `runs` are, or why there are none.
        runs: moments in UTC, each with that of its data where it is another one.
    """

    text: str
    when: str
    runs: tuple[str, ...] = ()


@frozen
class PipelineFacts:
    """One pipeline.

    Attributes:
        grouping: by what nodes are told together.
        at: where it is defined.
        nodes: how many.
        tasks: how many.
        views: its drawings.
        history: its runs; None where no store was given.
    """

    name: str
    dag_id: str
    file: str
    description: str | None
    at: str
    grouping: str
    nodes: int
    tasks: int
    schedule: Schedule
    views: tuple[View, ...]
    machines: tuple[MachineUse, ...]
    totals: tuple[Total, ...]
    details: Details
    history: History | None = None


@frozen
class TargetFacts:
    """What a target makes of the same definitions.

    Attributes:
        version: of the orchestrator; None where it is not known.
        problems: what it cannot express, and errors that are not there for the report's target.
        chosen: it is the target that the report is for.
    """

    name: str
    orchestrator: str
    version: str | None
    problems: tuple[Problem, ...]
    chosen: bool


@frozen
class Report:
    """What a page says.

    Attributes:
        env: of the settings.
        warnings: of the build.
    """

    project: str
    env: str
    target: Target
    pipelines: tuple[PipelineFacts, ...]
    targets: tuple[TargetFacts, ...]
    warnings: tuple[Problem, ...]


@frozen
class Store:
    """Where past runs are read from.

    Attributes:
        most: how many runs of each pipeline are told, the newest.
    """

    files: Files
    most: int


def report_of(
    found: Build, request: Request, after: datetime.datetime | None, store: Store | None = None
) -> Report:
    """Return what there is to say of a project.

    Args:
        found: what `request` gives, without errors.
        request: what is asked for.
        after: moment after which next runs are told; None tells the first ones.
        store: where past runs are; None tells none.

    Raises:
        StoreError: the store cannot be read.
    """
    pipelines = []
    for stages in found.stages:
        facts = _pipeline(stages, found.target, after)
        if store is not None:
            history = history_of(store.files, stages.dag, store.most)
            facts = replace(facts, history=history)
        pipelines.append(facts)
    return Report(
        project=found.project.name,
        env=found.conf.env or "base",
        target=found.target,
        pipelines=tuple(pipelines),
        targets=tuple(_targets(found, request)),
        warnings=found.warnings,
    )


def _pipeline(stages: Stages, target: Target, after: datetime.datetime | None) -> PipelineFacts:
    pipeline, dag = stages.pipeline, stages.dag
    settings = stages.settings.for_dag()
    alone = group(pipeline, Grouping(by="none"))
    views = (
        _view("before", Grouped(pipeline, alone, None, settings), "node"),
        _view("after", Grouped(pipeline, stages.groups, dag, settings), "task"),
        _view("nodes", Grouped(pipeline, stages.groups, dag, settings), "node"),
    )
    return PipelineFacts(
        name=pipeline.name,
        dag_id=dag.dag_id,
        file=str(target.facts["file"]).format(stem=dag.stem),
        description=dag.description,
        at=place(pipeline.origin) or "",
        grouping=stages.settings.grouping(pipeline.grouping).by,
        nodes=len(pipeline.nodes),
        tasks=len(dag.tasks),
        schedule=_schedule(stages, target, after),
        views=views,
        machines=tuple(_machine_uses(alone, stages.groups, settings)),
        totals=tuple(_totals(alone, stages.groups, settings)),
        details=details_of(stages, views[2].panel),
    )


def _view(kind: Kind, grouped: Grouped, by: By) -> View:
    return View(kind, picture_of(grouped, (by,)))


# --- machines


def _asked_for(groups: Iterable[NodeGroup], settings: Mapping[str, Any]) -> list[Machine | None]:
    machines, prefixes = machines_of(settings), tag_prefixes(settings, "resources_tag_prefix")
    return [machine_for(each.nodes, machines, prefixes) for each in groups]


def _machine_uses(
    alone: Sequence[NodeGroup], groups: Sequence[NodeGroup], settings: Mapping[str, Any]
) -> Iterator[MachineUse]:
    before, now = (_asked_for(each, settings) for each in (alone, groups))
    counts = [Counter(m.name if m else "" for m in side) for side in (before, now)]
    wants = {each.name: wants_of(each) for each in (*before, *now) if each is not None}
    for name in sorted(counts[0].keys() | counts[1].keys()):
        yield MachineUse(name, wants.get(name, ""), counts[0][name], counts[1][name])


def _totals(
    alone: Sequence[NodeGroup], groups: Sequence[NodeGroup], settings: Mapping[str, Any]
) -> Iterator[Total]:
    before, now = (_sums(_asked_for(each, settings)) for each in (alone, groups))
    for resource in sorted(before.keys() | now.keys()):
        yield Total(
            resource,
            amount(resource, before.get(resource, Fraction(0))),
            amount(resource, now.get(resource, Fraction(0))),
        )


def _sums(machines: Iterable[Machine | None]) -> dict[str, Fraction]:
    sums: dict[str, Fraction] = {}
    for each in machines:
        for resource, text in (each.requests if each else {}).items():
            sums[resource] = sums.get(resource, Fraction(0)) + (quantity(text) or 0)
    return sums


# --- schedule


def _schedule(stages: Stages, target: Target, after: datetime.datetime | None) -> Schedule:
    dag = outline(stages.dag, target)
    text = "never" if dag.schedule is None else spelled(dag.schedule)
    if not can_tell(dag.schedule):
        return Schedule(text, "no run by the clock")
    runs = planned_runs(calendar_of(dag), after, NEXT_RUNS)
    when = "first runs" if after is None else f"next runs after {moment_text(after)}"
    if not runs:
        every = isinstance(dag.schedule, Every) and dag.schedule.meaning == "trigger"
        return Schedule(text, "counted from its first run" if every else f"{when}: none")
    return Schedule(text, when, tuple(map(_run_text, runs)))


def _run_text(run: Run) -> str:
    if run.start == run.at:
        return moment_text(run.at)
    return f"{moment_text(run.at)}, for the data from {moment_text(run.start)}"


# --- targets


def _targets(found: Build, request: Request) -> Iterator[TargetFacts]:
    """Yield every built-in target, the chosen one first, with what it cannot express."""
    own = found.target
    yield _target_facts(own, found.warnings, chosen=True)
    for name in sorted(set(target_names(templates_dir())) - {own.name}):
        other = replace(request, target=name, airflow_version=None, templates=None)
        try:
            built = attempt(other, render_files=False)
        except DagForgeError as error:
            yield TargetFacts(name, "", None, error.problems, chosen=False)
        else:
            yield _target_facts(built.target, built.problems, chosen=False)


def _target_facts(target: Target, problems: Iterable[Problem], *, chosen: bool) -> TargetFacts:
    told = (each for each in problems if each.severity == "error" or each.code == "cannot-express")
    return TargetFacts(target.name, target.orchestrator, target.version, tuple(told), chosen)
