"""The tasks of a DAG, one for each group of nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dagforge.errors import (
    Origin,
    Problem,
    did_you_mean,
)
from dagforge.frozen import frozen
from dagforge.ir import Node, NodeGroup, Operator, Work
from dagforge.planning.contract import contract
from dagforge.planning.handover import is_kedro
from dagforge.planning.kedro_run import (
    command_words,
    own_parameters,
    pipelines_of,
    quiet_layer,
    starts_kedro,
    with_task_variables,
)
from dagforge.planning.machines import Machine
from dagforge.planning.names import (
    TaskId,
    digest,
    slug,
)
from dagforge.planning.planner import Planner, argument_of, converted, task_context
from dagforge.planning.run_parameters import value_for
from dagforge.planning.sizes import machine_of, machine_unused
from dagforge.resolve import Layer
from dagforge.settings.convert import (
    Context,
    literal,
    templated_value,
)
from dagforge.settings.schema import describe, untold
from dagforge.values import RunText, RunValue

OPERATOR = "operator"


TAGS_ANNOTATION = "dagforge/tags"


# Linux refuses a single argument of 128 KiB and more (MAX_ARG_STRLEN).
LONGEST_ARGUMENT = 128 * 1024 - 1


# The beginning of what Airflow fills in; other braces are for other programs.
AIRFLOW_TEMPLATE = re.compile(
    r"\{\{-?\s*(?:ds|ts|run_id|dag|dag_run|data_interval_\w+|logical_date|execution_date|params"
    r"|var|conn|macros|task|task_instance|ti|prev_\w+|next_\w+)\b"
)


Word = str | RunText | RunValue
RUN_ID = RunValue("run_id")


STRUCTURE = RunValue("structure")


@frozen
class Draft:
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


def draft(planner: Planner, group: NodeGroup) -> Draft:
    """Return the task of a group of nodes; what is wrong with it goes to the planner."""
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
    own_machine = bool(facts.get("own_machine"))
    by_kedro = starts_kedro(group, data, own_machine=own_machine)
    quiet = quiet_layer(planner, kind) if by_kedro else None
    if quiet is not None:
        layers = (quiet, *layers)
        data = settings.merged(layers)
    has_resources = bool(facts.get("resources"))
    machine = machine_of(planner, group, data) if has_resources or planner.machines else None
    if not has_resources and kind != OPERATOR:
        machine_unused(planner, group, data)
    for name in facts.get("required", ()):
        if data.get(name) in (None, "") and planner.once("required", kind, name):
            planner.problems.error(
                "missing-setting",
                f"a task in a {kind} needs '{name}' (first: '{group.name}')",
                group.nodes[0].origin,
                fix=f"set `{name}:` under `default:` in conf/base/{target.settings_family}.yml",
            )
    arguments = arguments_of(planner, kind, data, layers, machine if has_resources else None)
    command: tuple[Any, ...] = ()
    own: frozenset[str] = frozenset()
    operator = str(facts.get("operator", ""))
    runs = "operator"
    if isinstance(action, Operator):
        operator = action.path
        of_operator = _operator_arguments(planner, group, action, task_context(planner, data))
        arguments = {**arguments, **of_operator}
        own = frozenset(of_operator)
    else:
        if data.get("python") and not own_machine and not by_kedro:
            data = {**data, "entrypoint": [data["python"], "-m", "dagforge"]}
        expands = bool(facts.get("expands"))
        command = _command(
            planner, group, data, task_id, hash_of_contract, expands=expands, by_kedro=by_kedro
        )
        by_itself = action.runner == "command" and len(group.nodes) == 1
        in_process = not by_itself and not by_kedro and data["entrypoint"] == ["dagforge"]
        runs = "nodes" if in_process else "command"
        if by_kedro:
            arguments = with_task_variables(planner, arguments, data, task_id, hash_of_contract)
        arguments = _with_tags(planner, group, kind, arguments, task_context(planner, data))
    return Draft(
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
    planner: Planner,
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


def _unknown_kind(planner: Planner, group: NodeGroup, kind: str, layers: tuple[Layer, ...]) -> None:
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


def _task_id(planner: Planner, group: NodeGroup, data: Mapping[str, Any]) -> TaskId:
    limits = planner.target.facts["names"]["task_id"]
    name = group.name
    fits = re.fullmatch(limits["pattern"].strip("^$"), name) is not None
    if data.get("task_id_style") == "kedro-airflow" or not fits:
        name = slug(name) or f"task-{digest(group.name)}"
    if len(name) > limits["max_length"]:
        name = f"{name[: limits['max_length'] - 9]}-{digest(group.name)}"
    return TaskId(name)


def check_task_ids(planner: Planner, drafts: Sequence[Draft]) -> None:
    """Refuse two groups that would be one task."""
    first_by_id: dict[str, Draft] = {}
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


def check_own_keys(planner: Planner, groups: Sequence[NodeGroup]) -> None:
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


def arguments_of(
    planner: Planner,
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
    context = task_context(planner, data)
    if machine is not None:
        data = _with_machine(data, machine)
    arguments: dict[str, Any] = {}
    for setting in target.settings_for("task", kind):
        if setting.name not in data:
            continue
        argument = argument_of(planner, setting, layers)
        if argument is None:
            continue
        arguments[argument] = converted(planner, setting, data[setting.name], layers, context)
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
    planner: Planner,
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
    planner: Planner, group: NodeGroup, action: Operator, context: Context
) -> Mapping[str, Any]:
    node = group.nodes[0]
    at = node.origin / "operator" / "arguments"
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

    for name, value in action.arguments.items():
        setting = planner.target.settings.get(name)
        if setting is None or setting.scope != "task" or setting.value != "duration":
            continue
        # What has its unit in its name is a number of seconds to the operator too.
        if isinstance(value, str) and setting.unit is None:
            message = f"'{name}' is passed on as it is, and {describe(value)} is no timedelta"
            report((name,), "wrong-value", message, "write it under `settings:` beside `operator:`")
    return {
        name: templated_value(value, context, report, (name,))
        for name, value in action.arguments.items()
        if name != "task_id"
    }


def _command(
    planner: Planner,
    group: NodeGroup,
    data: Mapping[str, Any],
    task_id: TaskId,
    hash_of_contract: str,
    *,
    expands: bool,
    by_kedro: bool,
) -> tuple[Any, ...]:
    """Return the task's command: node names, never tags, so that the image decides nothing.

    Args:
        planner: of the DAG.
        group: the nodes.
        data: settings of the task.
        task_id: of the task.
        hash_of_contract: what the task expects of its image.
        expands: whether what starts the command replaces `$(NAME)` in it.
        by_kedro: whether Kedro is started, not DagForge.
    """
    first = group.nodes[0].action
    assert isinstance(first, Work)
    context = task_context(planner, data)
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
    if by_kedro:
        pipelines = ",".join(pipelines_of(group))
        if expands:
            pipelines, nodes = _unexpanded(pipelines), _unexpanded(nodes)
        kedro = command_words(planner, group, data, nodes, pipelines)
        return tuple(literal(word, context) if isinstance(word, str) else word for word in kedro)
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
    if is_kedro(group.nodes[0]):
        own = own_parameters(planner, data)
        words += [] if own is None else ["--params", own]
        words += ["--conf", data["conf_source"]] if data.get("conf_source") else []
    parameters = value_for(planner, group.nodes, native=context.native, expanded=expands)
    if parameters is not None:
        words += ["--params", parameters]
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


def _warn_of_templates(planner: Planner, node: Node, command: Sequence[Any]) -> None:
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


def common_arguments(planner: Planner, drafts: Sequence[Draft]) -> dict[str, Any]:
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
    of_dag = arguments_of(planner, drafts[0].kind, planner.settings.for_dag(), layers, None)
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
        if argument in of_dag and any(same(value, of_dag[argument]) for value in values):
            common[argument] = of_dag[argument]
        elif all(same(value, values[0]) for value in values):
            common[argument] = values[0]
    return common


def same(one: Any, other: Any) -> bool:
    """Say whether two values are written alike; 1, 1.0 and True are equal but not alike."""
    return one is other or (type(one) is type(other) and repr(one) == repr(other))
