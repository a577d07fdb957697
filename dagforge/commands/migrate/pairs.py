"""Old DAGs beside new ones: which belong together, and how their tasks differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from dagforge.commands.migrate.arguments import values_in, values_of
from dagforge.commands.migrate.ids import OldIds, grouping_notes, old_ids
from dagforge.commands.migrate.model import Claim, DagRows, NewDag, Note, OldSetup, Pair, Row
from dagforge.commands.migrate.old_files import pipeline_of
from dagforge.errors import DagForgeError, Problem, SourceLocation
from dagforge.kedro_airflow.dag_files import (
    DagFile,
    NotRead,
    OldDag,
    OldTask,
    read_dag_file,
    unescaped,
)
from dagforge.kedro_airflow.template import render_kedro_template

if TYPE_CHECKING:
    from dagforge.build import Build, Request, Stages
    from dagforge.planning.model import DagPlan
    from dagforge.resolve import Settings

_SHOWN = 3


# --- the new DAGs


def new_dags(
    compiled: Iterable[Stages], request: Request, found: Build
) -> tuple[dict[str, NewDag], frozenset[str]]:
    """Return the new DAGs by pipeline, and the names that a kedro-airflow template asked for.

    With such a template it is the file that says which ids there are. A pipeline for which the
    template fails is left out: what is wrong is told elsewhere.
    """
    dags: dict[str, NewDag] = {}
    reads: set[str] = set()
    for each in compiled:
        settings, dag = each.settings, each.dag
        if request.jinja_file is None:
            dags[dag.pipeline.name] = _of_plan(dag, settings)
            continue
        try:
            rendered = render_kedro_template(
                dag,
                request.jinja_file,
                settings=settings,
                package_name=found.project.package,
                root=request.root,
                warn=_ignore,
            )
            reads |= rendered.reads
            read = read_dag_file(rendered.text.encode(), f"{dag.stem}.py")
        except (DagForgeError, NotRead):
            continue
        if read.dags:
            dags[dag.pipeline.name] = _of_file(read.dags[0], read.file, dag, settings)
    return dags, frozenset(reads)


def _ignore(problem: Problem) -> None:
    """Take a warning that `attempt` has told already."""
    del problem


def _of_plan(dag: DagPlan, settings: Settings) -> NewDag:
    return NewDag(
        dag.dag_id,
        f"{dag.stem}.py",
        {str(task.task_id): task.nodes for task in dag.tasks},
        frozenset((edge.upstream, edge.downstream) for edge in dag.edges),
        values_of(dag, settings.target),
    )


def _of_file(written: OldDag, file: str, dag: DagPlan, settings: Settings) -> NewDag:
    """Return what a kedro-airflow template made of a plan, which is read like an old file."""
    by_plan = {str(task.task_id): task.nodes for task in dag.tasks}
    plan = NewDag(dag.dag_id, file, by_plan, frozenset(), {})
    ids = old_ids(written, dag.pipeline, plan)
    return NewDag(
        written.dag_id or dag.dag_id,
        file,
        {task_id: tuple(sorted(nodes)) for nodes, task_id in ids.id_of.items()},
        frozenset(written.edges),
        {**values_of(dag, settings.target), **values_in(written, settings.target)},
    )


# --- pairs


def pair_up(
    setup: OldSetup, found: Build, names: tuple[str, ...], new: Mapping[str, NewDag]
) -> tuple[list[Pair], list[Claim], list[Note]]:
    """Return each new DAG with the old one of its pipeline, and notes on old ones without one.

    Every pipeline with an old DAG claims its dag_id, whether it compiles or not.

    Args:
        setup: the old ones.
        found: the project, compiled as far as it can be.
        names: of its pipelines.
        new: those that can be compiled.
    """
    stages_of = {each.pipeline.name: each for each in found.stages}
    pairs: dict[str, Pair] = {}
    claims: dict[str, Claim] = {}
    notes: list[Note] = []
    for file in setup.files:
        at = SourceLocation(file.file)
        if not file.dags:
            message = "no DAG can be read in this file, which makes them when it is loaded"
            notes.append(Note("not known", "file", message, at))
            continue
        pipeline = pipeline_of(file, names, found.project.package)
        if pipeline is None:
            message = "this file does not say which pipeline it is made of, and is left alone"
            notes.append(Note("not known", "file", message, file.dags[0].at))
        elif pipeline not in names:
            message = f"there is no pipeline '{pipeline}' any more; nothing takes this file's place"
            notes.append(Note("changes", "file", message, file.dags[0].at))
        elif pipeline in claims:
            message = f"this is one more DAG of pipeline '{pipeline}', which becomes one DAG"
            notes.append(Note("changes", "file", message, file.dags[0].at))
        else:
            old = file.dags[0]
            notes += (
                Note("not known", "file", f"{_one_more(each)}, which is not compared", each.at)
                for each in file.dags[1:]
            )
            claims[pipeline] = Claim(pipeline, old.dag_id, file.file)
            if pipeline in stages_of and pipeline in new:
                pairs[pipeline] = Pair(file, old, stages_of[pipeline], new[pipeline])
            else:
                message = f"pipeline '{pipeline}' does not compile, so this file is not compared"
                notes.append(Note("not known", "file", message, old.at))
    found_pairs = [pairs[name] for name in names if name in pairs]
    return found_pairs, [claims[name] for name in names if name in claims], notes


def _one_more(dag: OldDag) -> str:
    name = f" '{dag.dag_id}'" if dag.dag_id else ""
    return f"this is one more DAG{name} of the file"


def escaping_notes(files: Iterable[DagFile]) -> Iterator[Note]:
    """Give a note for each text that kedro-airflow changed on its way into a file."""
    for file in files:
        for escaped in file.escaped:
            text = unescaped(escaped.value)
            message = f"{escaped.value!r} was escaped as if it were HTML; it is {text!r}"
            yield Note("was wrong", "quoting", message, escaped.at)


def pair_notes(pair: Pair, old: OldIds) -> Iterator[Note]:
    """Give what is to be said of an old DAG beside the new one, ids apart."""
    if not pair.old.dag_id:
        message = "this dag_id is made when the file is loaded; whether it stays is not known"
        yield Note("not known", "dag_id", message, pair.old.at)
    for at in pair.old.computed:
        message = "task_ids are made here when the file is loaded; whether they stay is not known"
        yield Note("not known", "task_id", message, at)
    for task in old.doubled:
        message = f"a second task '{task.task_id}': Airflow refuses the file, or runs one of them"
        yield Note("was wrong", "task_id", message, task.at)
    more = len(old.gone) - _SHOWN
    for number, task in enumerate(old.gone[:_SHOWN], 1):
        message = f"nothing that task '{task.task_id}' runs is in pipeline '{pair.pipeline}'"
        message += "; there is no such task here"
        message += f" (and {more} more like it)" if number == _SHOWN and more > 0 else ""
        yield Note("changes", "task_id", message, task.at)
    yield from grouping_notes(pair, old)
    yield from _order_notes(pair, old)


def _order_notes(pair: Pair, old: OldIds) -> Iterator[Note]:
    """Give a note where tasks that are the same wait for others than before.

    Only of files of kedro-airflow's own templates: others write the order in many ways.
    """
    if pair.file.release is None:
        return
    for at in pair.old.unread[:1]:
        message = "the order is made here when the file is loaded; whether it stays is not known"
        yield Note("not known", "order", message, at)
    at_of: dict[str, OldTask] = {task.task_id: task for task in pair.old.tasks}
    edges = set(pair.old.edges)
    for one, other in sorted(edges):
        if one < other and (other, one) in edges:
            yield Note(
                "was wrong",
                "order",
                f"'{one}' and '{other}' wait for each other: Airflow refuses the file",
                at_of[one].at,
            )
    now = {frozenset(nodes): task_id for task_id, nodes in pair.new.nodes_by_task.items()}
    same = {now[nodes]: task_id for nodes, task_id in old.id_of.items() if nodes in now}
    new = {(same[a], same[b]) for a, b in pair.new.edges if a in same and b in same}
    known = set(same.values())
    before = {(a, b) for a, b in edges if a in known and b in known}
    for words, differing in (
        # What cannot be read may have said so.
        ("waits for", [] if pair.old.unread else sorted(new - before)),
        ("no longer waits for", sorted(before - new)),
    ):
        for one, other in differing[:_SHOWN]:
            more = len(differing) - _SHOWN
            told = f"'{other}' {words} '{one}'" + (
                f" (and {more} more like it)" if more > 0 else ""
            )
            yield Note("changes", "order", told, at_of[other].at)


# --- what becomes of ids


def rows_of(pair: Pair, old: OldIds, kept: Mapping[str, NewDag]) -> DagRows:
    """Return what becomes of each task of a pair, as things are and with what is proposed.

    Args:
        pair: old and new.
        old: the old tasks by their nodes.
        kept: the DAGs with the proposed settings.
    """
    later = kept.get(pair.pipeline, pair.new)
    now_of, kept_of = _ids_by_node(pair.new), _ids_by_node(later)
    nodes_of = {task_id: nodes for nodes, task_id in old.id_of.items()}
    rows: list[Row] = []
    taken: set[str] = set()
    for task in pair.old.tasks:
        nodes = nodes_of.get(task.task_id, frozenset())
        now = {now_of[node] for node in nodes}
        then = {kept_of[node] for node in nodes}
        taken |= then
        rows.append(Row(task.task_id, _joined(now), _joined(then), task.at))
    for task_id in later.nodes_by_task:
        if task_id not in taken:
            first = later.nodes_by_task[task_id][0]
            rows.append(Row(None, now_of.get(first), task_id, None))
    return DagRows(pair, later.dag_id, tuple(rows))


def id_notes(dag: DagRows, owner_of: Mapping[str, Claim]) -> Iterator[Note]:
    """Give a note where ids of a DAG and of its tasks change.

    Args:
        dag: old and new.
        owner_of: the pipeline that keeps each old dag_id.
    """
    old, new = dag.pair.old, dag.pair.new
    owner = owner_of.get(old.dag_id)
    if owner is not None and owner.pipeline != dag.pair.pipeline:
        message = (
            f"dag_id '{old.dag_id}' is that of {owner.file} too, of which Airflow kept one; "
            f"it stays with pipeline '{owner.pipeline}', and this DAG is '{dag.kept}' now"
        )
        yield Note("was wrong", "dag_id", message, old.at)
    elif old.dag_id and old.dag_id != new.dag_id:
        message = (
            f"dag_id '{old.dag_id}' becomes '{new.dag_id}', under which Airflow has no history"
        )
        keep = f"dag_id: {old.dag_id}" if dag.kept == old.dag_id else None
        yield Note("changes", "dag_id", message, old.at, keep)
    changed = [row for row in dag.rows if row.old is not None and row.now not in (row.old, None)]
    if changed:
        first = changed[0]
        kept = all(row.kept == row.old for row in changed)
        count = f"{len(changed)} task_ids change" if len(changed) > 1 else "a task_id changes"
        yield Note(
            "changes",
            "task_id",
            f"{count}: '{first.old}' becomes '{first.now}'"
            + (", and so on" if len(changed) > 1 else ""),
            first.at,
            "the settings below" if kept else None,
        )


def _ids_by_node(dag: NewDag) -> dict[str, str]:
    return {node: task_id for task_id, nodes in dag.nodes_by_task.items() for node in nodes}


def _joined(task_ids: set[str]) -> str | None:
    return " + ".join(sorted(task_ids)) or None
