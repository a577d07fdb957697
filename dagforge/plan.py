"""The plan: what the DAG will hold. The last stage that decides anything.

From here on we speak Airflow: dag_id, task_id, upstream, default_args. Templates only loop over
what stands here and lay it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from dagforge.conf import BASE
from dagforge.errors import (
    Problems,
    TargetError,
    Warn,
    did_you_mean,
)
from dagforge.group import task_links
from dagforge.ir import NodeGroup, Pipeline
from dagforge.planning.borders import kept_at_borders
from dagforge.planning.constants import constants_of
from dagforge.planning.dag import dag_arguments, flow_source, id_of_dag
from dagforge.planning.deployment import deploy
from dagforge.planning.handover import Apart, check_handover
from dagforge.planning.kedro_run import warn_of_colons
from dagforge.planning.model import DagPlan, Edge, Task
from dagforge.planning.names import (
    TaskId,
    digest,
    identifiers,
    module_stem,
    pod_names,
    slug,
)
from dagforge.planning.planner import Planner, dag_context
from dagforge.planning.run_parameters import flow_parameters
from dagforge.planning.sizes import machine_of, machines_of
from dagforge.planning.tasks import (
    arguments_of,
    check_own_keys,
    check_task_ids,
    common_arguments,
    draft,
    same,
)
from dagforge.resolve import Settings
from dagforge.target import Target


def plan(
    pipeline: Pipeline,
    groups: Sequence[NodeGroup],
    settings: Settings,
    *,
    project: str,
    env: str | None,
    warn: Warn,
    told: set[str] | None = None,
) -> DagPlan:
    """Return the DAG that `groups` make with `settings`, on their target.

    Args:
        pipeline: the nodes and their datasets.
        settings: of the pipeline.
        groups: of `group.group`, in topological order.
        project: name of the project, the beginning of a dag_id.
        env: environment; None for base alone.
        warn: takes what is doubtful but no error.
        told: what one warning says for all plans of a run, added to; None for a plan by itself.

    Raises:
        TargetError: with everything that the target cannot hold or that is missing for it.
    """
    problems = Problems()
    target = settings.target
    dag_settings = settings.for_dag()
    planner = Planner(
        pipeline, settings, target, problems, dag_context(settings, target, problems), {}, env
    )
    if told is not None:
        planner.told_in_run = told
    planner.machines = machines_of(planner, dag_settings)
    if "annotations" in target.settings:
        planner.behind_annotations = target.arguments_after("annotations")
    dag_id = id_of_dag(planner, project)
    place = slug(project) or digest(project)
    planner.dag_path = f"{place}/{dag_id}"
    planner.run_path = f"{place}/{env or BASE}/{dag_id}"
    links = task_links(pipeline, groups)
    warn_of_colons(planner)
    planner.kept = kept_at_borders(pipeline, links, settings, problems)
    drafts = [draft(planner, group) for group in groups]
    check_task_ids(planner, drafts)
    check_own_keys(planner, groups)

    task_id_of = {draft.group.name: draft.task_id for draft in drafts}
    edges = sorted(
        (
            Edge(task_id_of[link.upstream], task_id_of[link.downstream], link.datasets)
            for link in links
        ),
        key=lambda edge: (edge.upstream, edge.downstream),
    )
    apart = [
        Apart(draft.group, draft.settings)
        for draft in drafts
        if target.kinds.get(draft.kind, {}).get("own_machine")
    ]
    check_handover(pipeline, apart, links, settings, problems, planner.kept)
    arguments, given = dag_arguments(planner, links)
    deployment = deploy(given, settings, env=env, problems=problems)
    parameters = flow_parameters(planner, deployment.parameters)
    constants, constant_of = constants_of(planner, drafts)
    reserved = {
        *target.imports,
        *constants,
        *parameters,
        *target.facts.get("reserved", ()),
    }
    variables = identifiers(
        (draft.task_id for draft in drafts),
        reserved,
        suffixes=target.facts.get("variable_suffixes", ()),
        max_length=target.facts["names"]["variable"]["max_length"],
    )
    default_args = common_arguments(planner, drafts)
    for problem in problems:
        if problem.severity == "warning":
            warn(problem)
    problems.raise_errors(TargetError)

    pods = pod_names(dag_id, [draft.group.name for draft in drafts])
    upstream: dict[str, list[TaskId]] = {}
    downstream: dict[str, list[TaskId]] = {}
    for edge in edges:
        upstream.setdefault(edge.downstream, []).append(edge.upstream)
        downstream.setdefault(edge.upstream, []).append(edge.downstream)
    tasks = tuple(
        Task(
            task_id=draft.task_id,
            variable=variables[draft.task_id],
            kind=draft.kind,
            operator=draft.operator,
            nodes=tuple(node.name for node in draft.group.nodes),
            tags=draft.group.tags,
            command=draft.command,
            runs=draft.runs,
            pod_name=pods[draft.group.name],
            machine=draft.machine.name if draft.machine else None,
            resources=constant_of.get(draft.machine.name) if draft.machine else None,
            arguments={
                name: value
                for name, value in draft.arguments.items()
                if name in draft.own
                or name not in default_args
                or not same(value, default_args[name])
            },
            upstream=tuple(upstream.get(draft.task_id, ())),
            downstream=tuple(downstream.get(draft.task_id, ())),
            contract=draft.contract,
            settings=draft.settings,
        )
        for draft in drafts
    )
    stem = module_stem(dag_id)
    flow_names = {*reserved, *variables.values()}
    variable = identifiers([stem], flow_names, fallback="dag")[stem]
    planned = DagPlan(
        dag_id=dag_id,
        project=place,
        stem=stem,
        variable=variable,
        pipeline=pipeline,
        env=env,
        description=pipeline.description,
        arguments=arguments,
        deployment=deployment.arguments,
        source=flow_source(deployment, target, stem, variable),
        parameters=parameters,
        default_args=default_args,
        constants=constants,
        tasks=tasks,
        edges=tuple(edges),
        vars=dag_settings.get("vars", {}),
        settings=dag_settings,
        catchup=bool(dag_settings.get("catchup", False)),
        kept=planner.kept,
    )
    return _with_structure(planned, target)


def _with_structure(dag: DagPlan, target: Target) -> DagPlan:
    """Return the plan with its hash where the orchestrator shows it with every run."""
    name = target.facts.get("structure_param")
    if name is None or not any(task.runs == "nodes" or task.command for task in dag.tasks):
        return dag
    arguments = dict(dag.arguments)
    params = {**arguments.get("params", {}), name: dag.structure_hash}
    arguments.setdefault("doc_md", f"{dag.summary}\n\nStructure `{dag.structure_hash}`.")
    arguments["params"] = params
    order = {argument: index for index, argument in enumerate(target.arguments.values())}
    ordered = dict(sorted(arguments.items(), key=lambda item: order.get(item[0], -1)))
    return replace(dag, arguments=ordered)


def check_settings(
    pipeline: Pipeline,
    settings: Settings,
    groups: Sequence[NodeGroup] = (),
    *,
    project: str,
    env: str | None,
    warn: Warn,
) -> None:
    """Refuse what the settings of a DAG say wrongly, where there are no tasks to plan.

    Args:
        pipeline: the nodes.
        settings: of the pipeline, perhaps without those that were refused before.
        groups: that cannot be tasks, since there is no order between them; their machines are
            looked at all the same.
        project: name of the project.
        env: environment; None for base alone.
        warn: takes what is doubtful but no error.

    Raises:
        TargetError: with everything that the target cannot hold.
    """
    problems = Problems()
    target = settings.target
    data, layers = settings.for_dag(), settings.dag_layers
    context = dag_context(settings, target, problems)
    planner = Planner(pipeline, settings, target, problems, context, {}, env)
    planner.machines = machines_of(planner, data)
    for each in groups:
        own = settings.merged(settings.task_layers(each.name, each.nodes, each.tags))
        if target.kinds.get(str(own["run_in"]), {}).get("resources"):
            machine_of(planner, each, own)
    id_of_dag(planner, project)
    _, given = dag_arguments(planner, ())
    deploy(given, settings, env=env, problems=problems)
    if data["run_in"] in target.kinds:
        arguments_of(planner, data["run_in"], data, layers, None)
    for problem in problems:
        if problem.severity == "warning":
            warn(problem)
    problems.raise_errors(TargetError)


def check_for_keys(planned: Iterable[tuple[Settings, Sequence[NodeGroup]]]) -> None:
    """Refuse entries under `default:` whose tag or task no pipeline has.

    Args:
        planned: settings and groups of every pipeline of the project.

    Raises:
        TargetError: with all of them.
    """
    names: set[str] = set()
    tags: set[str] = set()
    levels: list[Settings] = []
    for settings, groups in planned:
        levels.append(settings)
        for group in groups:
            names.add(group.name)
            names.update(node.name for node in group.nodes)
            tags.update(group.tags)
    problems = Problems()
    # The sections under `default:` are the same for all pipelines. What a package says of tags and
    # tasks that this project lacks may be meant for another one.
    for settings in levels[:1]:
        for part, entries, known, word in (
            ("for_tasks", settings.by_task[-2], names, "task or node"),
            ("for_tags", settings.by_tag[-2], tags, "tag"),
        ):
            for key, layers in entries.items():
                if key not in known:
                    problems.error(
                        "no-match",
                        f"`{part}: {key}` matches nothing: no pipeline has a {word} '{key}'",
                        layers[0].origin,
                        fix=did_you_mean(key, known),
                        at_key=True,
                    )
    problems.raise_errors(TargetError)
