"""The plan: what the DAG will hold. The last stage that decides anything.

From here on we speak Airflow: dag_id, task_id, upstream, default_args. Templates only loop over
what stands here and lay it out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dagforge.contract import contract, structure_hash
from dagforge.convert import (
    Context,
    convert,
    literal,
    native_cron_meaning,
    templated_value,
)
from dagforge.deployment import DEPLOYED, Deployment, Parameter, deploy
from dagforge.errors import (
    Origin,
    Problem,
    Problems,
    TargetError,
    Warn,
    did_you_mean,
)
from dagforge.frozen import frozen
from dagforge.group import task_links
from dagforge.handover import Apart, check_handover
from dagforge.ir import Node, NodeGroup, Operator, Pipeline, Work
from dagforge.machines import Machine, contradict, larger, machine, quantity
from dagforge.names import (
    Identifier,
    PodName,
    TaskId,
    digest,
    identifiers,
    module_stem,
    pod_names,
    slug,
)
from dagforge.resolve import Layer, Settings
from dagforge.schema import describe, untold
from dagforge.target import Setting, Target
from dagforge.values import Constant, Date, Model, RunValue

OPERATOR = "operator"
DEFAULT_MACHINE = "__default__"
DEFAULT_PIPELINE = "__default__"
TAGS_ANNOTATION = "dagforge/tags"
# Linux refuses a single argument of 128 KiB and more (MAX_ARG_STRLEN).
LONGEST_ARGUMENT = 128 * 1024 - 1
# Python reads `a >> b >> c` by recursion.
LONGEST_CHAIN = 10
# The beginning of what Airflow fills in; other braces are for other programs.
AIRFLOW_TEMPLATE = re.compile(
    r"\{\{-?\s*(?:ds|ts|run_id|dag|dag_run|data_interval_\w+|logical_date|execution_date|params"
    r"|var|conn|macros|task|task_instance|ti|prev_\w+|next_\w+)\b"
)
Word = str | RunValue
RUN_ID = RunValue("run_id")
STRUCTURE = RunValue("structure")


@frozen
class Task:
    """One task of a DAG.

    Attributes:
        task_id: unique in the DAG.
        variable: its Python name in the generated file.
        kind: which `tasks/<kind>.py.jinja` writes it.
        operator: its class, a name of the target's imports or an import path.
        nodes: names of the nodes that it runs, in order; one for an operator.
        command: the whole command, program first; empty for an operator.
        runs: `nodes` (DagForge runs them, in the worker's own process where it can), `command`
            or `operator`.
        pod_name: of its pod, before the operator's own suffix.
        machine: name of its machine, None without one.
        resources: the constant that holds its resources, None without any.
        arguments: of its operator, beyond those that `default_args` or the template gives.
        upstream: task_ids, sorted.
        downstream: task_ids, sorted.
        contract: hash of what the task reads and writes through which callables.
        settings: everything that holds for it, by canonical name, as YAML gave it.
    """

    task_id: TaskId
    variable: Identifier
    kind: str
    operator: str
    nodes: tuple[str, ...]
    tags: tuple[str, ...]
    command: tuple[Any, ...]
    runs: str
    pod_name: PodName
    machine: str | None
    resources: Constant | None
    arguments: Mapping[str, Any]
    upstream: tuple[TaskId, ...]
    downstream: tuple[TaskId, ...]
    contract: str
    settings: Mapping[str, Any]


@frozen
class Edge:
    """An order between two tasks and the datasets that cause it."""

    upstream: TaskId
    downstream: TaskId
    datasets: tuple[str, ...]


@frozen
class DagPlan:
    """One DAG, which becomes one file.

    Attributes:
        stem: name of the file without its ending.
        variable: Python name for the DAG, where the orchestrator needs one.
        env: environment; None for base alone.
        arguments: of the DAG's (flow's) constructor, beyond its id and `default_args`.
        deployment: of the deployment, where the orchestrator has one; empty without.
        source: of what fetches the file for the deployment; None when nothing has to.
        parameters: of the flow, where the orchestrator's flows take some.
        default_args: what every task has in common.
        constants: values that stand once at the top of the file, by their Python name.
        tasks: in topological order, ties by name.
        edges: sorted.
        variables: Python name by task_id.
        vars: free variables for templates.
        settings: what holds for the DAG, by canonical name, as YAML gave it.
    """

    dag_id: str
    stem: str
    variable: Identifier
    pipeline: Pipeline
    env: str | None
    description: str | None
    arguments: Mapping[str, Any]
    deployment: Mapping[str, Any]
    source: Mapping[str, Any] | None
    parameters: Mapping[str, Parameter]
    default_args: Mapping[str, Any]
    constants: Mapping[str, Any]
    tasks: tuple[Task, ...]
    edges: tuple[Edge, ...]
    vars: Mapping[str, Any]
    settings: Mapping[str, Any]
    catchup: bool = False

    @property
    def structure(self) -> Mapping[str, Any]:
        """What the DAG is made of, without settings: tasks, their nodes and contracts, edges."""
        return {
            "dag_id": self.dag_id,
            "pipeline": self.pipeline.name,
            "tasks": [
                {"task_id": task.task_id, "nodes": list(task.nodes), "contract": task.contract}
                for task in self.tasks
            ],
            "edges": [
                {
                    "upstream": edge.upstream,
                    "downstream": edge.downstream,
                    "datasets": list(edge.datasets),
                }
                for edge in self.edges
            ],
        }

    @property
    def structure_hash(self) -> str:
        """Hash of the structure, which every record of a run names."""
        return structure_hash(self.structure)

    @property
    def summary(self) -> str:
        """The text of the file's docstring."""
        name = self.pipeline.name
        title = self.dag_id if name == DEFAULT_PIPELINE else f"{self.dag_id}: {name}"
        return f"{title}.\n\n{self.description}" if self.description else f"{title}."

    @property
    def runs_nodes(self) -> bool:
        """Whether a task runs nodes in the worker's own process."""
        return any(task.kind == "worker" and task.runs == "nodes" for task in self.tasks)

    @property
    def runs_commands(self) -> bool:
        """Whether a task starts a command in the worker."""
        return any(task.kind == "worker" and task.runs == "command" for task in self.tasks)

    @property
    def upstream_by_variable(self) -> Mapping[Identifier, tuple[Identifier, ...]]:
        """Variables of the tasks right before each task; empty for the first ones."""
        variable_of = {task.task_id: task.variable for task in self.tasks}
        return {
            task.variable: tuple(variable_of[task_id] for task_id in task.upstream)
            for task in self.tasks
        }

    @property
    def chains(self) -> tuple[tuple[tuple[Identifier, ...], ...], ...]:
        """The edges as statements, each of steps one after the other, in the order of the tasks.

        A step is one task or several. Tasks with one and the same task after them share a step;
        Airflow takes no two steps of several tasks beside each other.
        """
        place_of = {task.task_id: place for place, task in enumerate(self.tasks)}
        after: dict[int, list[int]] = {}
        for edge in self.edges:
            after.setdefault(place_of[edge.upstream], []).append(place_of[edge.downstream])
        statements: dict[tuple[tuple[int, ...], int | None], list[int]] = {}
        for upstream, downstream in sorted(after.items()):
            following = tuple(sorted(downstream))
            alone = upstream if len(following) > 1 else None
            statements.setdefault((following, alone), []).append(upstream)
        after_step = {tuple(before): following for (following, _), before in statements.items()}
        chains: list[list[tuple[int, ...]]] = []
        while after_step:
            step = next(iter(after_step))
            chain = [step]
            while step in after_step and len(chain) < LONGEST_CHAIN:
                step = after_step.pop(step)
                chain.append(step)
            chains.append(chain)
        return tuple(
            tuple(tuple(self.tasks[place].variable for place in step) for step in chain)
            for chain in chains
        )


@dataclass(slots=True)
class _Planner:
    """What the parts of one plan have in common."""

    pipeline: Pipeline
    settings: Settings
    target: Target
    problems: Problems
    context: Context
    machines: Mapping[str, Machine]
    settings_env: str | None
    dag_path: str = ""
    behind_annotations: frozenset[str] = frozenset()
    kind_layers: dict[str, Layer] = field(default_factory=dict)
    arguments: dict[tuple[int, str, str | None], Mapping[str, Any]] = field(default_factory=dict)
    told: set[tuple[str, ...]] = field(default_factory=set)
    told_in_run: set[str] = field(default_factory=set)

    def once(self, *key: str) -> bool:
        """Say whether this is the first time that somebody asks for `key`."""
        if key in self.told:
            return False
        self.told.add(key)
        return True

    def once_a_run(self, key: str) -> bool:
        """Say whether `key` is asked for the first time in all plans of a run."""
        if key in self.told_in_run:
            return False
        self.told_in_run.add(key)
        return True


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
    planner = _Planner(
        pipeline, settings, target, problems, _context(settings, target, problems), {}, env
    )
    if told is not None:
        planner.told_in_run = told
    planner.machines = _machines(planner, dag_settings)
    if "annotations" in target.settings:
        planner.behind_annotations = target.arguments_after("annotations")
    dag_id = _dag_id(planner, project)
    planner.dag_path = f"{slug(project) or digest(project)}/{dag_id}"
    drafts = [_draft(planner, group) for group in groups]
    _check_task_ids(planner, drafts)
    _check_own_keys(planner, groups)

    links = task_links(pipeline, groups)
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
    check_handover(pipeline, apart, links, settings, problems)
    arguments, given = _dag_arguments(planner, links)
    deployment = deploy(given, settings, env=env, problems=problems)
    constants, constant_of = _constants(planner, drafts)
    reserved = {
        *target.imports,
        *constants,
        *deployment.parameters,
        *target.facts.get("reserved", ()),
    }
    variables = identifiers(
        (draft.task_id for draft in drafts),
        reserved,
        suffixes=target.facts.get("variable_suffixes", ()),
        max_length=target.facts["names"]["variable"]["max_length"],
    )
    default_args = _default_args(planner, drafts)
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
                or not _same(value, default_args[name])
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
        stem=stem,
        variable=variable,
        pipeline=pipeline,
        env=env,
        description=pipeline.description,
        arguments=arguments,
        deployment=deployment.arguments,
        source=_source(deployment, target, stem, variable),
        parameters=deployment.parameters,
        default_args=default_args,
        constants=constants,
        tasks=tasks,
        edges=tuple(edges),
        vars=dag_settings.get("vars", {}),
        settings=dag_settings,
        catchup=bool(dag_settings.get("catchup", False)),
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
    pipeline: Pipeline, settings: Settings, *, project: str, env: str | None, warn: Warn
) -> None:
    """Refuse what the settings of a DAG say wrongly, where there are no tasks to plan.

    Args:
        pipeline: the nodes.
        settings: of the pipeline, perhaps without those that were refused before.
        project: name of the project.
        env: environment; None for base alone.
        warn: takes what is doubtful but no error.

    Raises:
        TargetError: with everything that the target cannot hold.
    """
    problems = Problems()
    target = settings.target
    data, layers = settings.for_dag(), settings.dag_layers
    context = _context(settings, target, problems)
    planner = _Planner(pipeline, settings, target, problems, context, {}, env)
    _machines(planner, data)
    _dag_id(planner, project)
    _, given = _dag_arguments(planner, ())
    deploy(given, settings, env=env, problems=problems)
    if data["run_in"] in target.kinds:
        _arguments(planner, data["run_in"], data, layers, None)
    for problem in problems:
        if problem.severity == "warning":
            warn(problem)
    problems.raise_errors(TargetError)


# --- the DAG


def _context(settings: Settings, target: Target, problems: Problems) -> Context:
    data = settings.for_dag()
    zone = data.get("timezone", "UTC")
    context = Context(
        target, zone, data.get("cron_meaning") or native_cron_meaning(target), bare_numbers=False
    )
    if "timezone" in data:
        report = _reporter(problems, settings, "timezone", settings.dag_layers)
        convert(target.settings["timezone"], zone, context, report)
    return context


def _reporter(problems: Problems, settings: Settings, name: str, layers: tuple[Layer, ...]) -> Any:
    def report(path: tuple[str, ...], code: str, message: str, fix: str | None) -> None:
        found = settings.explain((name,), layers)
        at = settings.place((name, *path), layers)
        if at is None and found and found[0].layer in settings.top:
            message = f"{found[0].layer.label}: {message}"
        problem = Problem(code, message, at, fix, at_key=code == "unknown-setting")
        # Tasks share most of their settings: what is wrong with one is said once.
        if problem not in problems.found:
            problems.extend([problem])

    return report


def _dag_id(planner: _Planner, project: str) -> str:
    settings = planner.settings
    chosen = settings.for_dag().get("dag_id")
    name = planner.pipeline.name
    limits = planner.target.facts["names"]["dag_id"]
    if chosen is None:
        parts = [project] if name == DEFAULT_PIPELINE else [project, name]
        dag_id = "-".join(slug(part) or digest(part) for part in parts)
        if len(dag_id) > limits["max_length"]:
            dag_id = f"{dag_id[: limits['max_length'] - 9]}-{digest(dag_id)}"
        return dag_id
    if (
        not re.fullmatch(limits["pattern"].strip("^$"), chosen)
        or len(chosen) > limits["max_length"]
    ):
        planner.problems.error(
            "bad-dag-id",
            f"{planner.target.orchestrator.capitalize()} does not take {describe(chosen)} as a "
            "dag_id",
            settings.place(("dag_id",), settings.dag_layers),
            fix=f"letters, digits, '-', '_' and '.', at most {limits['max_length']}: "
            f"'{slug(chosen)[: limits['max_length']] or 'my-dag'}'",
        )
    return str(chosen)


def _dag_arguments(
    planner: _Planner, links: Sequence[Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the arguments of the DAG, and what its deployment is given, in the target's order."""
    settings, target = planner.settings, planner.target
    data = dict(settings.for_dag())
    layers = settings.dag_layers
    if "description" not in data and planner.pipeline.description is not None:
        data["description"] = planner.pipeline.description
    _limit_active_runs(planner, data, links)
    dated = len(settings.explain(("start_date",), layers)) > 1 or "start_date" in settings.lost
    if data.get("catchup") is True and not dated:
        planner.problems.error(
            "no-start-date",
            "catchup needs a start_date of its own: Airflow runs everything since then",
            settings.place(("catchup",), layers),
            fix='write start_date: "2024-01-31" beside it',
            at_key=True,
        )
    arguments: dict[str, Any] = {}
    given: dict[str, Any] = {}
    for setting in target.settings_for("dag"):
        if setting.name not in data:
            continue
        argument = _argument(planner, setting, layers)
        if argument is None:
            continue
        value = _converted(planner, setting, data[setting.name], layers, planner.context)
        (given if setting.group in DEPLOYED else arguments)[argument] = value
    start, end = arguments.get("start_date"), arguments.get("end_date")
    if isinstance(start, Date) and isinstance(end, Date) and _is_before(end, start):
        planner.problems.error(
            "wrong-value",
            "'end_date' is before 'start_date': the DAG would never run",
            settings.place(("end_date",), layers),
            fix="write a later date",
        )
    return arguments, given


def _is_before(one: Date, other: Date) -> bool:
    """Say whether a date is surely before another: only those of one zone are compared."""
    return one.timezone == other.timezone and one.parts < other.parts


def _source(
    deployment: Deployment, target: Target, stem: str, variable: Identifier
) -> Mapping[str, Any] | None:
    """Return what fetches the file for the deployment, with the path of the flow in it."""
    if deployment.source is None:
        return None
    file = str(target.facts["file"]).format(stem=stem)
    folder = deployment.folder.strip("/")
    path = f"{folder}/{file}" if folder else file
    return {**deployment.source, "entrypoint": f"{path}:{variable}"}


def _task_context(planner: _Planner, data: Mapping[str, Any]) -> Context:
    """Return what values mean in a task with these settings."""
    native = False
    for name in planner.target.facts.get("templates", {}).get("native", ()):
        if data.get(name) is not None:
            native = bool(data[name])
    container = data.get("base_container_name")
    if isinstance(container, dict):
        container = container.get("literal")
    if not native and not container:
        return planner.context
    return replace(planner.context, native=native, container=container or planner.context.container)


def _converted(
    planner: _Planner, setting: Setting, value: Any, layers: tuple[Layer, ...], context: Context
) -> Any:
    """Return a setting's typed value; a bare number counts in the orchestrator's files only."""
    settings = planner.settings
    report = _reporter(planner.problems, settings, setting.name, layers)
    if setting.bare:
        found = settings.explain((setting.name,), layers)
        if found and found[0].layer.family == planner.target.settings_family:
            context = replace(context, bare_numbers=True)
    return convert(setting, value, context, report)


def _cannot_express(planner: _Planner, setting: Setting, layers: tuple[Layer, ...]) -> None:
    if not planner.once("cannot-express", setting.name):
        return
    target = planner.target
    when = f"before {setting.since}" if setting.since else f"after {setting.until}"
    planner.problems.warn(
        Problem(
            "cannot-express",
            f"{target.orchestrator.capitalize()} {target.version} has no '{setting.name}'; there "
            f"is none {when}",
            planner.settings.place((setting.name,), layers),
            at_key=True,
        )
    )


def _argument(planner: _Planner, setting: Setting, layers: tuple[Layer, ...]) -> str | None:
    """Return what the setting's argument is called, or None and a warning when there is none."""
    argument = planner.target.arguments.get(setting.name)
    if argument is None:
        _cannot_express(planner, setting, layers)
        return None
    stated = planner.settings.for_dag().get("providers", {})
    missing = planner.target.missing_provider(setting, stated)
    if missing is not None:
        if planner.once("provider", setting.name):
            distribution, release = missing.split(" ")
            planner.problems.warn(
                Problem(
                    "cannot-express",
                    f"'{setting.name}' is left out: it needs {distribution} {release}",
                    planner.settings.place((setting.name,), layers),
                    fix=f'when you have it, say so: `providers: {{{distribution}: "{release}"}}`',
                    at_key=True,
                )
            )
        return None
    return argument


def _limit_active_runs(planner: _Planner, data: dict[str, Any], links: Sequence[Any]) -> None:
    """Let runs follow each other where two at once would overwrite each other's data."""
    settings = planner.settings
    if "max_active_runs" not in settings.target.settings:
        return
    found = settings.explain(("max_active_runs",), settings.dag_layers)
    chosen = found[0] if found and found[0].at is not None else None
    if chosen is None and found and found[0].layer.label.startswith("--"):
        chosen = found[0]
    if data.get("schedule") == "@continuous":
        if chosen is None:
            data["max_active_runs"] = 1
        elif data["max_active_runs"] != 1:
            planner.problems.error(
                "bad-schedule",
                "'@continuous' needs max_active_runs: 1",
                chosen.at,
                fix="set it to 1, or leave it out",
            )
    border = {dataset for link in links for dataset in link.datasets}
    fixed = sorted(
        name
        for name in border
        if (dataset := planner.pipeline.datasets.get(name)) is not None
        and dataset.persisted
        and dataset.uri is not None
        and not dataset.shared
    )
    if not fixed:
        return
    if chosen is None:
        data["max_active_runs"] = 1
    elif data["max_active_runs"] is None or (
        isinstance(data["max_active_runs"], int) and data["max_active_runs"] > 1
    ):
        first = planner.pipeline.datasets[fixed[0]]
        more = f" (and {len(fixed) - 1} more)" if len(fixed) > 1 else ""
        planner.problems.error(
            "shared-path",
            f"runs of '{planner.pipeline.name}' at once would overwrite each other's "
            f"'{fixed[0]}'{more}, which tasks hand over at the fixed path {first.uri}",
            chosen.at,
            fix="set max_active_runs: 1, or `shared: true` on the dataset "
            f"({first.origin.location(key=True)}) when that is meant",
        )


# --- machines


def _machines(planner: _Planner, data: Mapping[str, Any]) -> dict[str, Machine]:
    """Return every machine of the settings by name."""
    settings, layers = planner.settings, planner.settings.dag_layers
    machines: dict[str, Machine] = {}
    for name, entry in data.get("machines", {}).items():
        if entry is None:
            continue
        sound = True
        for side in ("requests", "limits"):
            for resource, text in (entry.get(side) or {}).items():
                size = quantity(text)
                if size is None or size < 0:
                    planner.problems.error(
                        "bad-quantity",
                        f"{describe(text)} is no Kubernetes quantity",
                        settings.place(("machines", name, side, resource), layers),
                        fix="write it like 500m, 2, 250M or 1Gi",
                    )
                    sound = False
        gpu = entry.get("gpu")
        counts = list(gpu.values()) if isinstance(gpu, dict) else [gpu]
        if gpu is not None and not all(re.fullmatch(r"\d+", str(count)) for count in counts):
            planner.problems.error(
                "bad-quantity",
                f"'gpu' of machine '{name}' must be a whole number",
                settings.place(("machines", name, "gpu"), layers),
                fix="gpu: 1",
            )
            sound = False
        # A machine that is refused here is still known to those who ask for it.
        machines[name] = machine(name, entry) if sound else Machine(name)
    return machines


def _prefixes(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = data[key]
    return (value,) if isinstance(value, str) else tuple(value)


def _machine_of(planner: _Planner, group: NodeGroup, data: Mapping[str, Any]) -> Machine | None:
    """Return the machine that a task's tags ask for."""
    prefixes = _prefixes(data, "resources_tag_prefix")
    wanted: dict[str, tuple[Node, int]] = {}
    for node in group.nodes:
        for index, tag in enumerate(node.tags):
            if not tag.startswith(prefixes):
                continue
            name = tag.removeprefix(next(each for each in prefixes if tag.startswith(each)))
            if name not in planner.machines:
                if planner.once("machine", name, node.name):
                    planner.problems.error(
                        "unknown-machine",
                        f"node '{node.name}' asks for the machine '{name}', which no `machines` "
                        "setting has",
                        _place_of_tag(node, index),
                        fix=did_you_mean(name, planner.machines)
                        or "define it under `machines:` in the settings",
                    )
                continue
            wanted.setdefault(name, (node, index))
    if not wanted:
        return planner.machines.get(DEFAULT_MACHINE)
    names = sorted(wanted)
    machines = [planner.machines[name] for name in names]
    for index, first in enumerate(machines):
        for second in machines[index + 1 :]:
            clash = contradict(first, second)
            if clash is not None:
                planner.problems.error(
                    "machine-clash",
                    f"task '{group.name}' has the machines '{first.name}' and '{second.name}', "
                    f"which differ in their {clash}",
                    _place_of_tag(*wanted[second.name]),
                    fix="give its nodes one machine, or take the group apart",
                )
                return None
    if len(machines) == 1:
        return machines[0]
    chosen = larger(machines)
    planner.problems.warn(
        Problem(
            "several-machines",
            f"task '{group.name}' has several machines, "
            + ", ".join(f"'{name}'" for name in names)
            + "; it gets the larger of each resource",
            _place_of_tag(*wanted[names[-1]]),
            fix="give its nodes one machine tag",
        )
    )
    return chosen


def _place_of_tag(node: Node, index: int) -> Origin:
    return node.origin / "tags" / index


def _constants(
    planner: _Planner, drafts: Sequence[_Draft]
) -> tuple[dict[str, Any], dict[str, Constant]]:
    """Return the resources that tasks use, each a module constant, and the constant by machine."""
    machines = {
        draft.machine.name: draft.machine
        for draft in drafts
        if draft.machine is not None
        and draft.has_resources
        and (draft.machine.requests or draft.machine.limits)
    }
    texts = {name: name.strip("_") or name for name in sorted(machines)}
    names = identifiers(
        [text.upper() for text in texts.values()], planner.target.imports, fallback="machine"
    )
    constants: dict[str, Any] = {}
    constant_of: dict[str, Constant] = {}
    for name, text in texts.items():
        constant = str(names[text.upper()]).upper()
        if constant in constants:
            constant = f"{constant}_{digest(name).upper()}"
        fields = {
            side: dict(values)
            for side in ("requests", "limits")
            if (values := getattr(machines[name], side))
        }
        constants[constant] = Model("V1ResourceRequirements", fields)
        constant_of[name] = Constant(constant)
    return constants, constant_of


# --- tasks


@frozen
class _Draft:
    """A task before what all tasks have in common is known."""

    group: NodeGroup
    task_id: TaskId
    kind: str
    operator: str
    command: tuple[Any, ...]
    runs: str
    machine: Machine | None
    has_resources: bool
    arguments: Mapping[str, Any]
    own: frozenset[str]
    settings: Mapping[str, Any]
    contract: str


def _draft(planner: _Planner, group: NodeGroup) -> _Draft:
    settings, target = planner.settings, planner.target
    layers = settings.task_layers(group.name, group.nodes, group.tags)
    for path, sort, first, second in settings.conflicts(group.name, group.nodes, group.tags):
        _report_conflict(planner, group, path, sort, first, second)
    data = settings.merged(layers)
    action = group.nodes[0].action
    hash_of_contract = contract(group.nodes, planner.pipeline)
    task_id = _task_id(planner, group, data)
    kind = OPERATOR if isinstance(action, Operator) else str(data["run_in"])
    facts = target.kinds.get(kind)
    if facts is None:
        _unknown_kind(planner, group, kind, layers)
        facts = {}
    if facts.get("settings"):
        kind_layer = planner.kind_layers.setdefault(
            kind, Layer(f"target {target.name} ({kind})", facts["settings"])
        )
        layers = (kind_layer, *layers)
        data = settings.merged(layers)
    has_resources = bool(facts.get("resources"))
    machine = _machine_of(planner, group, data) if has_resources or planner.machines else None
    if not has_resources and kind != OPERATOR:
        _machine_unused(planner, group, data)
    for name in facts.get("required", ()):
        if data.get(name) in (None, "") and planner.once("required", kind, name):
            planner.problems.error(
                "missing-setting",
                f"a task in a {kind} needs '{name}' (first: '{group.name}')",
                group.nodes[0].origin,
                fix=f"set `{name}:` under `default:` in conf/base/{target.settings_family}.yml",
            )
    arguments = _arguments(planner, kind, data, layers, machine if has_resources else None)
    command: tuple[Any, ...] = ()
    own: frozenset[str] = frozenset()
    operator = str(facts.get("operator", ""))
    runs = "operator"
    if isinstance(action, Operator):
        operator = action.path
        of_operator = _operator_arguments(planner, group, action, _task_context(planner, data))
        arguments = {**arguments, **of_operator}
        own = frozenset(of_operator)
    else:
        if data.get("python") and not facts.get("own_machine"):
            data = {**data, "entrypoint": [data["python"], "-m", "dagforge"]}
        expands = bool(facts.get("expands"))
        command = _command(planner, group, data, task_id, hash_of_contract, expands=expands)
        by_itself = action.runner == "command" and len(group.nodes) == 1
        in_process = not by_itself and data["entrypoint"] == ["dagforge"]
        runs = "nodes" if in_process else "command"
        arguments = _with_tags(planner, group, kind, arguments, _task_context(planner, data))
    return _Draft(
        group=group,
        task_id=task_id,
        kind=kind,
        operator=operator,
        command=command,
        runs=runs,
        machine=machine if has_resources else None,
        has_resources=has_resources,
        arguments=arguments,
        own=own,
        settings=data,
        contract=hash_of_contract,
    )


def _report_conflict(
    planner: _Planner,
    group: NodeGroup,
    path: tuple[str, ...],
    sort: str,
    first: Layer,
    second: Layer,
) -> None:
    name = ".".join(path)
    at, other = second.place(path), first.place(path)
    what = "two of its tags" if sort == "tags" else "two of its nodes"
    where = f" (also {other.location()})" if other is not None else ""
    planner.problems.error(
        "settings-conflict",
        f"task '{group.name}': {what} set '{name}' differently{where}",
        at,
        fix=f"say which holds: `for_tasks: {{{group.name}: {{{name}: ...}}}}`",
    )


def _unknown_kind(
    planner: _Planner, group: NodeGroup, kind: str, layers: tuple[Layer, ...]
) -> None:
    target = planner.target
    if kind == OPERATOR:
        planner.problems.error(
            "cannot-express",
            f"node '{group.name}' is an operator of Airflow, which {target.name} does not have",
            group.nodes[0].origin / "operator",
            fix="compile this pipeline for Airflow, or write the node as `func` or `command`",
            at_key=True,
        )
    elif planner.once("kind", kind):
        planner.problems.error(
            "unknown-kind",
            f"{target.orchestrator} has no tasks that run in '{kind}'",
            planner.settings.place(("run_in",), layers),
            fix=did_you_mean(kind, [name for name in target.kinds if name != OPERATOR]),
        )


def _machine_unused(planner: _Planner, group: NodeGroup, data: Mapping[str, Any]) -> None:
    prefixes = _prefixes(data, "resources_tag_prefix")
    for node in group.nodes:
        for index, tag in enumerate(node.tags):
            if tag.startswith(prefixes) and planner.once_a_run("machine tags"):
                # Where there are machines, they are the one place to point at for all pipelines.
                machines = planner.settings.place(("machines",), planner.settings.dag_layers)
                planner.problems.warn(
                    Problem(
                        "cannot-express",
                        f"machine tags such as '{tag}' mean nothing: {planner.target.name} has no "
                        "resources by task",
                        machines or node.origin / "tags" / index,
                        at_key=machines is not None,
                    )
                )


def _task_id(planner: _Planner, group: NodeGroup, data: Mapping[str, Any]) -> TaskId:
    limits = planner.target.facts["names"]["task_id"]
    name = group.name
    fits = re.fullmatch(limits["pattern"].strip("^$"), name) is not None
    if data.get("task_id_style") == "kedro-airflow" or not fits:
        name = slug(name) or f"task-{digest(group.name)}"
    if len(name) > limits["max_length"]:
        name = f"{name[: limits['max_length'] - 9]}-{digest(group.name)}"
    return TaskId(name)


def _check_task_ids(planner: _Planner, drafts: Sequence[_Draft]) -> None:
    first_by_id: dict[str, _Draft] = {}
    for draft in drafts:
        first = first_by_id.setdefault(draft.task_id, draft)
        if first is not draft:
            other = first.group.nodes[0].origin.location()
            planner.problems.error(
                "id-collision",
                f"'{first.group.name}' ({other}) and '{draft.group.name}' would both be the task "
                f"'{draft.task_id}'",
                draft.group.nodes[0].origin / "name",
                fix="rename one of them",
            )


def _check_own_keys(planner: _Planner, groups: Sequence[NodeGroup]) -> None:
    """Report entries of the pipeline's own `for_tasks` and `for_tags` that match nothing."""
    names = {group.name for group in groups} | {
        node.name for group in groups for node in group.nodes
    }
    tags = {tag for group in groups for tag in group.tags}
    of_pipeline = (
        ("for_tasks", planner.settings.by_task[-1], names, "task or node"),
        ("for_tags", planner.settings.by_tag[-1], tags, "tag"),
    )
    for part, layers_by_key, known, word in of_pipeline:
        for key, layers in layers_by_key.items():
            if key not in known:
                planner.problems.error(
                    "no-match",
                    f"`{part}: {key}` matches nothing: '{planner.pipeline.name}' has no {word} "
                    f"'{key}'",
                    layers[0].origin,
                    fix=did_you_mean(key, known),
                    at_key=True,
                )


def _arguments(
    planner: _Planner,
    kind: str,
    data: Mapping[str, Any],
    layers: tuple[Layer, ...],
    machine: Machine | None,
) -> Mapping[str, Any]:
    """Return the operator's arguments that settings give, in the target's order."""
    key = (id(data), kind, machine.name if machine else None)
    cached = planner.arguments.get(key)
    if cached is not None:
        return cached
    target = planner.target
    context = _task_context(planner, data)
    if machine is not None:
        data = _with_machine(data, machine)
    arguments: dict[str, Any] = {}
    for setting in target.settings_for("task", kind):
        if setting.name not in data:
            continue
        argument = _argument(planner, setting, layers)
        if argument is None:
            continue
        arguments[argument] = _converted(planner, setting, data[setting.name], layers, context)
    # `data` is kept alive by the cache of the settings, so its id stays its own.
    planner.arguments[key] = arguments
    return arguments


def _with_machine(data: Mapping[str, Any], machine: Machine) -> Mapping[str, Any]:
    """Return the settings over what the machine asks of the node that the pod runs on."""
    merged = dict(data)
    if machine.node_selector:
        merged["node_selector"] = {**machine.node_selector, **data.get("node_selector", {})}
    if machine.tolerations:
        own = [each for each in data.get("tolerations", ()) if each not in machine.tolerations]
        merged["tolerations"] = [*machine.tolerations, *own]
    return merged


def _with_tags(
    planner: _Planner,
    group: NodeGroup,
    kind: str,
    arguments: Mapping[str, Any],
    context: Context,
) -> Mapping[str, Any]:
    """Return the arguments with the task's tags as an annotation of its pod."""
    setting = planner.target.settings.get("annotations")
    if setting is None or not group.tags or kind not in (setting.kinds or ()):
        return arguments
    annotations = arguments.get("annotations", {})
    if not isinstance(annotations, dict):
        return arguments
    text = ",".join(group.tags)
    tags = literal(text, context) if setting.templated else text
    merged = {**annotations, TAGS_ANNOTATION: tags}
    if "annotations" in arguments:
        return {**arguments, "annotations": merged}
    front: dict[str, Any] = {}
    for name, value in arguments.items():
        if name in planner.behind_annotations:
            break
        front[name] = value
    return {**front, "annotations": merged, **arguments}


def _operator_arguments(
    planner: _Planner, group: NodeGroup, action: Operator, context: Context
) -> Mapping[str, Any]:
    node = group.nodes[0]
    at = node.origin / "operator" / "arguments"
    if "." not in action.path and action.path not in planner.target.imports:
        planner.problems.error(
            "bad-import",
            f"'{action.path}' is no operator that DagForge knows by its short name",
            node.origin / "operator" / "type",
            fix="write its import path, such as "
            "airflow.providers.amazon.aws.operators.s3.S3ListOperator",
        )
    if "task_id" in action.arguments:
        planner.problems.error(
            "wrong-value",
            f"node '{node.name}': the task_id is the node's name",
            at / "task_id",
            fix="remove this line",
            at_key=True,
        )

    def report(path: tuple[str, ...], code: str, message: str, fix: str | None) -> None:
        place = Origin(at.source, (*at.path, *path))
        planner.problems.error(code, f"node '{node.name}': {message}", place, fix=fix)

    return {
        name: templated_value(value, context, report, (name,))
        for name, value in action.arguments.items()
        if name != "task_id"
    }


def _command(
    planner: _Planner,
    group: NodeGroup,
    data: Mapping[str, Any],
    task_id: TaskId,
    hash_of_contract: str,
    *,
    expands: bool,
) -> tuple[Any, ...]:
    """Return the task's command: node names, never tags, so that the image decides nothing.

    Args:
        planner: of the DAG.
        group: the nodes.
        data: settings of the task.
        task_id: of the task.
        hash_of_contract: what the task expects of its image.
        expands: whether what starts the command replaces `$(NAME)` in it.
    """
    first = group.nodes[0].action
    assert isinstance(first, Work)
    target, context = planner.target, _task_context(planner, data)
    if first.runner == "command" and len(group.nodes) == 1:
        node = group.nodes[0]

        def report(path: tuple[str, ...], code: str, message: str, fix: str | None) -> None:
            place = node.origin / "command" / int(path[0])
            planner.problems.error(code, f"node '{node.name}': {message}", place, fix=fix)

        for index, word in enumerate(untold(list(first.command))):
            size = len(word.encode())
            if size > LONGEST_ARGUMENT:
                planner.problems.error(
                    "long-command",
                    f"a word in 'command' of node '{node.name}' has {size:,} bytes, Linux takes "
                    f"{LONGEST_ARGUMENT:,}",
                    node.origin / "command" / index,
                    fix="put it into a file of the image",
                )
        _warn_of_templates(planner, node, first.command)
        return tuple(templated_value(list(first.command), context, report))
    nodes = ",".join(node.name for node in group.nodes)
    if len(nodes.encode()) > LONGEST_ARGUMENT:
        planner.problems.error(
            "long-command",
            f"task '{group.name}' has {len(group.nodes)} nodes, too many to name in one command "
            f"({len(nodes.encode()):,} bytes, Linux takes {LONGEST_ARGUMENT:,})",
            group.nodes[0].origin,
            fix="take the group apart, or shorten the nodes' names",
        )
    task = f"{planner.dag_path}/{task_id}"
    env = planner.settings_env
    name = planner.pipeline.name
    if expands:
        name, nodes = _unexpanded(name), _unexpanded(nodes)
        env = None if env is None else _unexpanded(env)
    words: list[Word] = [*data["entrypoint"], "run", name, "--nodes", nodes]
    if data.get("project_dir"):
        words += ["--project", data["project_dir"]]
    if env is not None:
        words += ["--env", env]
    if target.facts.get("passes_parameters") and data.get("parameters"):
        words += ["--params", RunValue("parameters")]
    words += ["--task", task, "--run-id", RUN_ID]
    words += ["--contract", hash_of_contract, "--structure", STRUCTURE]
    if data.get("store_url"):
        words += ["--store", data["store_url"]]
    return tuple(literal(word, context) if isinstance(word, str) else word for word in words)


def _unexpanded(name: str) -> str:
    """Return a name so written that Kubernetes hands it to a container as it is.

    It replaces `$(NAME)` by a variable of the container and `$$` by `$`:
    https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container
    """
    return name.replace("$", "$$") if "$$" in name or "$(" in name else name


def _warn_of_templates(planner: _Planner, node: Node, command: Sequence[Any]) -> None:
    """Warn of words that hold a template of Airflow where nothing reads such."""
    if "templates" in planner.target.facts:
        return
    for index, word in enumerate(command):
        if isinstance(word, str) and AIRFLOW_TEMPLATE.search(word):
            planner.problems.warn(
                Problem(
                    "cannot-express",
                    f"node '{node.name}': {describe(word)} is a template of Airflow, which "
                    f"{planner.target.orchestrator.capitalize()} passes on as it stands",
                    node.origin / "command" / index,
                )
            )


def _default_args(planner: _Planner, drafts: Sequence[_Draft]) -> dict[str, Any]:
    """Return the arguments that tasks have in common.

    An argument goes in when every task has it: with the DAG's own value, which some tasks may
    override, or with one value that all tasks share. One that only some kinds take goes in when
    all tasks are of these kinds: Airflow gives `default_args` to every operator that has an
    argument of that name, whatever it means there.
    """
    if planner.target.facts.get("default_args") is False or not drafts:
        return {}
    kinds = {draft.kind for draft in drafts}
    layers = planner.settings.dag_layers
    of_dag = _arguments(planner, drafts[0].kind, planner.settings.for_dag(), layers, None)
    distinct = list({id(draft.arguments): draft.arguments for draft in drafts}.values())
    in_all = set(distinct[0]).intersection(*distinct[1:])
    common: dict[str, Any] = {}
    for setting in planner.target.settings_for("task"):
        argument = planner.target.arguments.get(setting.name)
        if argument not in in_all:
            continue
        if setting.kinds is not None and not kinds <= setting.kinds:
            continue
        values = [arguments[argument] for arguments in distinct]
        if argument in of_dag and any(_same(value, of_dag[argument]) for value in values):
            common[argument] = of_dag[argument]
        elif all(_same(value, values[0]) for value in values):
            common[argument] = values[0]
    return common


def _same(one: Any, other: Any) -> bool:
    """Say whether two values are written alike; 1, 1.0 and True are equal but not alike."""
    return one is other or (type(one) is type(other) and repr(one) == repr(other))


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
    # The sections under `default:` are the same for all pipelines.
    for settings in levels[:1]:
        for part, entries, known, word in (
            ("for_tasks", settings.by_task[0], names, "task or node"),
            ("for_tags", settings.by_tag[0], tags, "tag"),
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
