"""Where a setting comes from: the layers that give it, the winner first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagforge.commands.show import as_json, counted, one_line, shortened, table
from dagforge.commands.stage_data import Data, place, task_layers
from dagforge.errors import UsageError, did_you_mean
from dagforge.frozen import frozen
from dagforge.resolve import is_atomic, value_at

if TYPE_CHECKING:
    from dagforge.build import Build, Source, Stages
    from dagforge.ir import NodeGroup
    from dagforge.planning.model import Task
    from dagforge.resolve import Layer
    from dagforge.target import Setting, Target

VARS = "vars"
MACHINE = "machine"
"""No setting of its own: the machine that a task's tags choose."""


@frozen
class Subject:
    """The DAG or the task whose settings are asked for.

    Attributes:
        name: as it is written in a path.
        group: of the task; None when the DAG is meant.
        layers: that hold for it, low to high.
        values: what they give, merged, by canonical name.
    """

    name: str
    stages: Stages
    group: NodeGroup | None
    task: Task | None
    layers: tuple[Layer, ...]
    values: Mapping[str, Any]

    @property
    def target(self) -> Target:
        """The target that is compiled for."""
        return self.stages.settings.target


def pipeline_of(path: str, source: Source) -> str:
    """Return the pipeline that a path begins with; names may hold dots, the longest is meant.

    Raises:
        UsageError: no such pipeline.
    """
    for name, _ in _begins_with(path, source.pipelines):
        return name
    first = path.partition(".")[0]
    fix = did_you_mean(first, source.pipelines)
    if first in source.target.canonical:
        fix = f"begin with a pipeline: {min(source.pipelines)}.{path}"
    raise UsageError.of("unknown-pipeline", f"there is no pipeline '{first}'", fix=fix)


def explain_path(found: Build, path: str, form: str) -> str:
    """Return the layers that give a setting, the winner first, or all settings with their winner.

    Args:
        found: the pipeline that the path begins with, compiled.
        path: `pipeline[.task][.setting[.key ...]]`. Names may hold dots: of several that fit, the
            longest is meant.
        form: `text` or `json`.

    Raises:
        UsageError: no such task, setting or key.
    """
    subject, rest = _find_subject(found, path)
    if not rest:
        answer = _all_settings(subject)
        return as_json(answer) if form == "json" else "\n".join(_all_settings_text(answer))
    if rest == MACHINE and subject.task is not None and MACHINE not in subject.target.canonical:
        answer = _machine(subject)
    else:
        answer = _one_setting(subject, rest)
    return as_json(answer) if form == "json" else "\n".join(_one_setting_text(answer))


# --- what is asked for


def _find_subject(found: Build, path: str) -> tuple[Subject, str]:
    """Return whose settings are meant, and what follows its name."""
    (stages,) = found.stages
    name = stages.pipeline.name
    return _find_task(stages, name, path[len(name) + 1 :])


def _find_task(stages: Stages, name: str, rest: str) -> tuple[Subject, str]:
    settings = stages.settings
    of_dag = Subject(name, stages, None, None, settings.dag_layers, settings.for_dag())
    if not rest:
        return of_dag, ""
    tasks: dict[str, tuple[NodeGroup, Task]] = {}
    for group, task in zip(stages.groups, stages.dag.tasks, strict=True):
        for known in (task.task_id, group.name, *(node.name for node in group.nodes)):
            tasks.setdefault(known, (group, task))
    below = list(_begins_with(rest, tasks))
    for task_name, remainder in below:
        subject = _of_task(stages, f"{name}.{task_name}", *tasks[task_name])
        if remainder and _setting_name(subject, remainder) is not None:
            return subject, remainder
    if _setting_name(of_dag, rest) is not None:
        return of_dag, rest
    if below:
        task_name, remainder = below[0]
        return _of_task(stages, f"{name}.{task_name}", *tasks[task_name]), remainder
    first = rest.partition(".")[0]
    raise UsageError.of(
        "unknown-setting",
        f"'{name}' has no task '{first}', and there is no setting of that name",
        fix=did_you_mean(first, [*tasks, *of_dag.target.canonical]),
    )


def _of_task(stages: Stages, name: str, group: NodeGroup, task: Task) -> Subject:
    layers = task_layers(stages.settings, group, task)
    return Subject(name, stages, group, task, layers, task.settings)


def _begins_with(path: str, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each name that a path begins with and what follows it, the longest first."""
    for name in sorted(names, key=len, reverse=True):
        if path == name:
            yield name, ""
        elif path.startswith(f"{name}."):
            yield name, path[len(name) + 1 :]


def _setting_name(subject: Subject, rest: str) -> tuple[tuple[str, ...], str] | None:
    """Return the path of the setting that `rest` begins with and what follows it, or None."""
    known = subject.target.canonical
    for name, remainder in _begins_with(rest, known):
        return (known[name],), remainder
    if rest == MACHINE and subject.task is not None:
        return (MACHINE,), ""
    free = {name for layer in subject.layers for name in layer.data.get(VARS, ())}
    for name, remainder in _begins_with(rest, free):
        return (VARS, name), remainder
    return None


def _path_of(subject: Subject, rest: str) -> tuple[str, ...]:
    """Return the path of a setting, or of a key in one.

    Raises:
        UsageError: there is no such setting or key.
    """
    found = _setting_name(subject, rest)
    if found is None:
        first = rest.partition(".")[0]
        raise UsageError.of(
            "unknown-setting",
            f"there is no setting '{first}'",
            fix=did_you_mean(first, subject.target.canonical),
        )
    path, rest = found
    setting = subject.target.settings[path[0]]
    if subject.task is not None and setting.scope == "dag":
        raise UsageError.of(
            "dag-setting",
            f"'{setting.name}' is a setting of the DAG, not of a task",
            fix=f"dagforge explain {subject.stages.pipeline.name}."
            + ".".join([*path, *([rest] if rest else [])]),
        )
    while rest:
        keys = _keys_at(subject.layers, path) | _schema_keys(setting, path[1:])
        step = next(_begins_with(rest, keys), None)
        if step is None:
            first = rest.partition(".")[0]
            what = (
                f"'{'.'.join(path)}' has no '{first}'"
                if keys
                else f"'{'.'.join(path)}' is no mapping"
            )
            raise UsageError.of("unknown-setting", what, fix=did_you_mean(first, keys))
        path, rest = (*path, step[0]), step[1]
    return path


def _keys_at(layers: Iterable[Layer], path: Sequence[str]) -> set[str]:
    keys: set[str] = set()
    for layer in layers:
        try:
            value = value_at(layer.data, path)
        except (KeyError, TypeError):
            continue
        if isinstance(value, dict):
            keys.update(value)
    return keys


def _schema_keys(setting: Setting, path: Sequence[str]) -> set[str]:
    schema: Any = setting.schema
    for part in path:
        schema = schema.get("properties", {}).get(part) or schema.get("additionalProperties")
        if not isinstance(schema, dict):
            return set()
    return set(schema.get("properties", ()))


# --- answers


def _chain(layers: Iterable[Layer], path: tuple[str, ...]) -> list[Data]:
    """Return every layer that gives the value at `path`, or hides it, the winner first."""
    chain = []
    for layer in reversed(tuple(layers)):
        value: Any = layer.data
        depth = 0
        while depth < len(path) and isinstance(value, dict) and path[depth] in value:
            value = value[path[depth]]
            depth += 1
        if depth == 0 or (depth < len(path) and isinstance(value, dict) and not is_atomic(value)):
            continue
        at = place(layer.place(path[:depth]))
        chain.append({"value": value, "layer": layer.label, "at": at})
    return chain


def _one_setting(subject: Subject, rest: str) -> Data:
    path = _path_of(subject, rest)
    setting = subject.target.settings[path[0]]
    chain = _chain(subject.layers, path)
    answer: Data = {
        "path": f"{subject.name}.{'.'.join(path)}",
        "set": bool(chain),
        "value": _value(subject.values, path),
        "chain": chain,
        "doc": None if path[0] == VARS else setting.doc,
        "notes": [],
    }
    if path[0] != VARS:
        answer["notes"] = list(_notes(subject, setting, path, answer))
    return answer


def _value(values: Mapping[str, Any], path: Sequence[str]) -> Any:
    try:
        return value_at(values, path)
    except (KeyError, TypeError):
        return None


def _notes(
    subject: Subject, setting: Setting, path: tuple[str, ...], answer: Data
) -> Iterator[str]:
    target = subject.target
    orchestrator = target.orchestrator.capitalize()
    if setting.argument and not setting.exists_in(target.version):
        yield f"{orchestrator} {target.version} has no such argument"
    elif not answer["set"]:
        default = f": {orchestrator}'s own default holds" if setting.argument else ""
        yield "nobody sets it" + (default if len(path) == 1 else "")
    planned = _planned(subject, setting, path)
    if planned and planned[0] != answer["value"]:
        yield f"the plan makes it {one_line(planned[0])}"
    if subject.task is None and setting.scope == "task":
        own_values = [
            f"{task.task_id} ({shortened(one_line(_value(task.settings, path)))})"
            for task in subject.stages.dag.tasks
            if _value(task.settings, path) != answer["value"]
        ]
        if own_values:
            yield f"{counted(len(own_values), 'task')} with another value: {', '.join(own_values)}"


def _planned(subject: Subject, setting: Setting, path: Sequence[str]) -> tuple[Any, ...]:
    """Return what the DAG is given, in a tuple, where that is a plain value; else nothing."""
    dag = subject.stages.dag
    if len(path) > 1 or setting.scope != "dag":
        return ()
    if setting.name == "dag_id":
        return (dag.dag_id,)
    argument = subject.target.arguments.get(setting.name)
    values = dag.deployment if setting.group == "deployment" else dag.arguments
    value = values.get(argument) if argument else None
    return (value,) if isinstance(value, (str, int, float)) else ()


def _machine(subject: Subject) -> Data:
    """Return the machine of a task, and the tags that chose it."""
    group, task = subject.group, subject.task
    assert group is not None and task is not None
    prefixes = subject.values["resources_tag_prefix"]
    prefixes = (prefixes,) if isinstance(prefixes, str) else tuple(prefixes)
    chain = [
        {
            "value": tag.removeprefix(prefix),
            "layer": f"tag '{tag}' of node {node.name}",
            "at": place(node.origin / "tags" / index),
        }
        for node in group.nodes
        for index, tag in enumerate(node.tags)
        for prefix in prefixes
        if tag.startswith(prefix)
    ]
    notes = []
    if not chain and task.machine is not None:
        notes.append(f"no node has a machine tag: '{task.machine}' is for all such tasks")
    elif task.machine is None:
        notes.append("the task has no machine")
    names = list(dict.fromkeys([task.machine, *(row["value"] for row in chain)]))
    for name in names:
        sizes = _value(subject.values, ("machines", name)) if name else None
        if sizes is not None:
            notes.append(f"{name}: {one_line(sizes)}")
    return {
        "path": f"{subject.name}.{MACHINE}",
        "set": bool(chain),
        "value": task.machine,
        "chain": chain,
        "doc": "The machine that the tags of a task's nodes choose, a key of machines.",
        "notes": notes,
    }


def _all_settings(subject: Subject) -> Data:
    listed: Data = {}
    for name in subject.values:
        paths: list[tuple[str, ...]] = [(name,)]
        if name == VARS:
            paths = [(VARS, free) for free in subject.values[VARS]]
        elif subject.task is not None and subject.target.settings[name].scope == "dag":
            continue
        for path in paths:
            winner = _chain(subject.layers, path)[0]
            listed[".".join(path)] = {**winner, "value": _value(subject.values, path)}
    return {"path": subject.name, "settings": listed}


# --- text


def _one_setting_text(answer: Data) -> Iterator[str]:
    yield f"{answer['path']} = {one_line(answer['value'])}" if answer["set"] else answer["path"]
    rows = [
        [f"  {one_line(row['value'])}", row["at"] or "-", row["layer"]] for row in answer["chain"]
    ]
    yield from table(rows).splitlines()
    yield from answer["notes"]
    if answer["doc"]:
        yield answer["doc"]


def _all_settings_text(answer: Data) -> Iterator[str]:
    yield answer["path"]
    rows = [
        [f"  {name}", shortened(one_line(entry["value"])), entry["at"] or "-", entry["layer"]]
        for name, entry in answer["settings"].items()
    ]
    yield from table(rows).splitlines()
