"""A DAG as dag-factory's YAML has it, turned into a pipeline and its settings.

Each task becomes a node with an operator, in the order of the file. The tasks of task groups keep
their ids, `group.task`, and the order that the groups give them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dagforge.errors import did_you_mean
from dagforge.frontends.words import fault_of_name
from dagforge.frozen import frozen
from dagforge.importing.groups import Groups, read_groups
from dagforge.importing.notes import Notes
from dagforge.importing.objects import (
    World,
    assets,
    callable_in_file,
    callback,
    date,
    duration,
    imported,
    moved,
    relative,
    schedule,
    seconds,
    value_of,
)
from dagforge.reading.parts import Part
from dagforge.settings.convert import check_path
from dagforge.target import Target

CALLBACKS = (
    "on_execute_callback",
    "on_success_callback",
    "on_failure_callback",
    "on_retry_callback",
    "on_skipped_callback",
    "sla_miss_callback",
)
_IN_SECONDS = re.compile(r"(?P<name>\w+)_secs?")
_VARIABLE = re.compile(r"\$(?:\w+|\{\w+\})")
# What dag-factory reads of a task itself.
_OF_TASKS = frozenset(
    {
        "operator",
        "decorator",
        "dependencies",
        "task_group_name",
        "parent_group_name",
        "task_id",
    }
)
_CARRIED_OF_GROUPS = (
    "group_name",
    "dependencies",
    "parent_group_name",
    "default_args",
    "prefix_group_id",
)
_MAPPED = ("expand", "partial")
_LAMBDAS = re.compile(r"\w+_lambda")
# Functions that sensors are given by a name and a file, and what they are for.
_CHECKS = {
    "success_check": "success",
    "failure_check": "failure",
    "response_check": "response_check",
}
_TASK_DECORATORS = (
    "airflow.decorators.task",
    "airflow.sdk.task",
    "airflow.sdk.definitions.decorators.task",
)

# What was tried for the arguments of functions before they stood beside the decorator.
_OLD_ARGUMENTS = ("args", "kwargs", "taskflow_kwargs")


@frozen
class ImportedDag:
    """A DAG of dag-factory.

    Attributes:
        pipeline: description and nodes, as pipelines.yml has them.
        settings: of the pipeline's section.
    """

    name: str
    pipeline: Part
    settings: Mapping[str, Part]


def read_dag(
    name: str, config: Part, default: Part, notes: Notes, world: World
) -> ImportedDag | None:
    """Return a DAG; None where it cannot be carried over, which the notes then say.

    Args:
        name: its dag_id.
        config: what stands under its name.
        default: what the file says for all its DAGs.
        notes: takes what is not carried over.
        world: what else the meaning depends on.
    """
    if not isinstance(config.value, Mapping):
        notes.refuse(f"the DAG '{name}' is no mapping", config.place)
        return None
    fault = fault_of_name(name)
    if name.startswith("_") and not name.startswith("__"):
        fault = "begins with '_', which in pipelines.yml is no pipeline"
    if fault is not None:
        notes.refuse(f"the DAG's name {fault}", config.key_at)
    whole = merged(config, default)
    reader = _TaskReader(name, whole, notes, world)
    nodes = reader.read()
    body: dict[str, Part] = {}
    description = whole.get("description")
    if description is not None:
        body["description"] = description
    body["nodes"] = _at(config.get("tasks"), Part(tuple(nodes), config.at))
    catches_up = whole.get("catchup")
    settings = settings_of(
        config, notes, world, catches_up=catches_up is not None and catches_up.value is True
    )
    _note_variables(config, notes)
    return ImportedDag(name, config.of(body), settings)


def merged(over: Part, under: Part) -> Part:
    """Return a mapping with what another one has beyond it, at any depth, as dag-factory merges."""
    if not isinstance(over.value, Mapping) or not isinstance(under.value, Mapping):
        return over
    own = {
        key: merged(part, under.value[key]) if key in under.value else part
        for key, part in over.items()
    }
    return over.of({**own, **{key: part for key, part in under.items() if key not in own}})


def _at(place: Part | None, part: Part) -> Part:
    """Return a part with the comments of the one whose place it takes."""
    return part if place is None else place.of(part.value)


# --- settings


def settings_of(
    config: Part, notes: Notes, world: World, *, catches_up: bool = False
) -> dict[str, Part]:
    """Return what a DAG, or the defaults of a file, say as settings."""
    reader = _SettingsReader(notes, world, catches_up)
    for key, part in config.items():
        if key not in ("tasks", "task_groups", "default_args", "description"):
            reader.read_of_dag(key, part, config)
    default_args = config.get("default_args") or Part({})
    if not isinstance(default_args.value, Mapping):
        notes.refuse("'default_args' must be a mapping", default_args.place)
    for key, part in default_args.items():
        reader.read_default(key, part, default_args)
    return reader.settings


@dataclass(slots=True)
class _SettingsReader:
    """Turns what stands beside the tasks, and in `default_args`, into settings."""

    notes: Notes
    world: World
    catches_up: bool
    settings: dict[str, Part] = field(default_factory=dict)

    def read_of_dag(self, key: str, part: Part, config: Part) -> None:
        """Read what is the DAG's own."""
        notes, world = self.notes, self.world
        base, _, what = key.rpartition("_")
        if key in ("schedule", "schedule_interval", "timetable"):
            self._keep("schedule", schedule(part, notes, world))
        elif key in ("start_date", "end_date"):
            self._date(key, part)
        elif base in CALLBACKS and what in ("name", "file"):
            if what == "name" and (file := config.get(f"{base}_file")):
                self._callback_of_dag(base, callable_in_file(part, file, notes, world), part)
            elif config.get(f"{base}_name") is None or config.get(f"{base}_file") is None:
                other = f"{base}_{'file' if what == 'name' else 'name'}"
                notes.leave(f"'{key}' is of no use without '{other}'", part.place, f"add {other}")
        elif key in CALLBACKS:
            if part.value is not None:
                self._callback_of_dag(key, callback(part, notes, world), part)
        elif key == "concurrency":
            self._keep("max_active_tasks", part)
        elif key == "timezone":
            self._keep(key, part)
        elif key == "params":
            self._keep(key, _params(part, notes, world))
        elif key == "user_defined_macros":
            self._keep(key, _macros(part, notes, world))
        else:
            self._plain(key, part)

    def read_default(self, key: str, part: Part, default_args: Part) -> None:
        """Read what all tasks have in common."""
        if key in ("start_date", "end_date"):
            if key not in self.settings:
                self._date(key, part)
        elif key == "timezone":
            self.settings.setdefault(key, part)
        else:
            found = task_setting(key, part, default_args, self.notes, self.world)
            if found is not None:
                self.settings[found[0]] = found[1]
            elif not _belongs_to_callback(key, default_args):
                self._not_for_all(key, part)

    def _not_for_all(self, key: str, part: Part) -> None:
        if _setting(key, "dag", self.world.target) or key in ("schedule", "schedule_interval"):
            message = f"'{key}' in default_args is given to tasks, which do not take it"
            self.notes.leave(message, part.place, "write it beside default_args, if it is meant")
        elif not _told(part, self.notes):
            message = f"'{key}' in default_args goes to those operators that take it"
            self.notes.leave(message, part.place, "write it among the arguments of these nodes")

    def _plain(self, key: str, part: Part) -> None:
        """Read what needs no more than its name changed."""
        target = self.world.target
        in_seconds = _IN_SECONDS.fullmatch(key)
        name = _setting(in_seconds["name"], "dag", target) if in_seconds else None
        if name is not None:
            length = seconds(part, key, self.notes)
            if length is not None:
                self._keep(name, length)
            return
        name = _setting(key, "dag", target)
        if name is None:
            if _setting(key, "task", target):
                message = f"'{key}' beside the tasks is not read by dag-factory"
                fix = "write it into default_args, if it is meant"
            else:
                message, fix = f"'{key}' is not read by dag-factory", None
                if key.startswith("doc_md"):
                    message = f"'{key}' has the DAG's documentation in another file"
                    fix = "write it as doc_md"
            self.notes.leave(message, part.place, fix)
        elif target.settings[name].value == "duration":
            length = None if part.value is None else duration(part, key, self.notes)
            if length is not None:
                self._keep(name, length)
        else:
            self._keep(name, value_of(part, self.notes, self.world))

    def _date(self, key: str, part: Part) -> None:
        if part.value is not None:
            needed = key == "start_date" and self.catches_up
            found = date(part, key, self.notes, needed=needed)
            if found is not None:
                self._keep(key, found)

    def _callback_of_dag(self, key: str, value: Part, part: Part) -> None:
        name = _setting(key, "dag", self.world.target)
        if name is None:
            message = f"a DAG has no {key}, and dag-factory does not pass it on"
            self.notes.leave(message, part.place, "write it into default_args, if it is meant")
        else:
            self._keep(name, value)

    def _keep(self, name: str, part: Part) -> None:
        target = self.world.target
        if name not in target.arguments and target.settings[name].argument:
            message = f"Airflow {target.version} has no {name}"
            self.notes.leave(message, part.place)
        else:
            self.settings[name] = part


def _setting(argument: str, scope: str, target: Target) -> str | None:
    """Return the setting that gives a DAG, or every operator, an argument of this name."""
    for setting in target.settings_for(scope, "operator"):
        known = {target.arguments.get(setting.name, setting.name), *setting.argument.values()}
        if argument in known:
            return setting.name
    return None


def _belongs_to_callback(key: str, among: Part) -> bool:
    base, _, what = key.rpartition("_")
    return base in CALLBACKS and what == "file" and among.get(f"{base}_name") is not None


def _told(part: Part, notes: Notes) -> bool:
    """Say whether something was said of a part already."""
    return any(problem.at == part.place for problem in notes.found)


def task_setting(
    key: str, part: Part, among: Part, notes: Notes, world: World
) -> tuple[str, Part] | None:
    """Return the setting that an argument of every operator is; None where it is none.

    Args:
        key: name of the argument, or of what dag-factory makes it from.
        part: its value.
        among: where it stands, with what belongs to it.
        notes: takes what is wrong.
        world: what else the meaning depends on.
    """
    target = world.target
    base, _, what = key.rpartition("_")
    if base in CALLBACKS and what == "name" and (file := among.get(f"{base}_file")):
        name, value = _setting(base, "task", target), callable_in_file(part, file, notes, world)
        return None if name is None else (name, value)
    in_seconds = _IN_SECONDS.fullmatch(key)
    name = _setting(in_seconds["name"] if in_seconds else key, "task", target)
    if name is None:
        return None
    if name not in target.arguments:
        notes.leave(f"Airflow {target.version} has no {key}", part.place)
        return None
    if key in CALLBACKS:
        return None if part.value is None else (name, callback(part, notes, world))
    if key in ("inlets", "outlets"):
        return name, assets(part, notes, world)
    if target.settings[name].value == "duration" and part.value is not None:
        length = (seconds if in_seconds else duration)(part, key, notes)
        return None if length is None else (name, length)
    return name, value_of(part, notes, world)


def _params(part: Part, notes: Notes, world: World) -> Part:
    """Return run parameters; a mapping with a default describes one, other mappings are values."""
    if not isinstance(part.value, Mapping):
        return value_of(part, notes, world)  # told to be no mapping where the setting is read
    made = {}
    for name, entry in part.items():
        path = entry.value.get("__type__") if isinstance(entry.value, Mapping) else None
        if path is not None and str(path.plain).endswith(".Param"):
            fields = {
                key: value_of(inner, notes, world)
                for key, inner in entry.items()
                if key not in ("__type__", "__args__")
            }
            first = [value_of(each, notes, world) for each in entry.get("__args__") or Part(())]
            known = {"default": first[0]} if first else {}
            made[name] = entry.of({"default": Part(None), **known, **fields})
        elif isinstance(entry.value, Mapping) and "default" in entry.value and path is None:
            made[name] = entry.of({"default": value_of(Part(entry.value), notes, world)})
        else:
            made[name] = value_of(entry, notes, world)
    return part.of(made)


def _macros(part: Part, notes: Notes, world: World) -> Part:
    """Return names for templates; text is the path of what it stands for."""
    if isinstance(part.value, Mapping):
        return part.of({key: _macros(inner, notes, world) for key, inner in part.items()})
    if isinstance(part.value, str):
        return imported(part, part.value, notes)
    return value_of(part, notes, world)


def _note_variables(part: Part, notes: Notes) -> None:
    """Say which environment variables dag-factory would fill in; each is told once."""
    told: set[str] = set()
    for key, each in _texts(part, ""):
        for name in _VARIABLE.findall(each.value):
            if name not in told and not key.endswith("_file"):
                told.add(name)
                notes.leave(
                    f"dag-factory fills in {name} where it is set; here it stands as it is",
                    each.place,
                )


def _texts(part: Part, key: str) -> Iterable[tuple[str, Part]]:
    if isinstance(part.value, str):
        yield key, part
    elif isinstance(part.value, Mapping):
        for name, inner in part.items():
            yield from _texts(inner, name)
    else:
        for inner in part:
            yield from _texts(inner, key)


# --- tasks


class _TaskReader:
    """Turns the tasks of a DAG into nodes."""

    def __init__(self, dag: str, config: Part, notes: Notes, world: World) -> None:
        self.dag = dag
        self.config = config
        self.notes = notes
        self.world = world

    def read(self) -> list[Part]:
        """Return the nodes, in the order of the tasks."""
        tasks = self._named("tasks", "task_id", self.config.get("tasks"))
        listed = self._named("task_groups", "group_name", self.config.get("task_groups"))
        groups = read_groups(tasks, listed, self.notes)
        for name, group in groups.by_name.items():
            self._note_group(name, group.config)
        if not tasks:
            self.notes.refuse(f"the DAG '{self.dag}' has no tasks", self.config.place)
        return [self._node(name, task, groups) for name, task in tasks.items()]

    def _named(self, key: str, name_key: str, part: Part | None) -> dict[str, Part]:
        """Return tasks or groups by name, which are a mapping or a list."""
        if part is None:
            return {}
        found: dict[str, Part] = {}
        if isinstance(part.value, Mapping):
            found = dict(part.value)
        elif isinstance(part.value, tuple):
            for each in part:
                name = each.get(name_key)
                if name is None or not isinstance(name.value, str):
                    self.notes.refuse(f"an entry of '{key}' has no '{name_key}'", each.at)
                elif name.value in found:
                    self.notes.refuse(f"there are two of the name '{name.value}'", name.at)
                else:
                    found[name.value] = each
        else:
            self.notes.refuse(f"'{key}' must be a mapping or a list", part.place)
        for name_, each in list(found.items()):
            if not isinstance(each.value, Mapping):
                self.notes.refuse(f"'{name_}' in '{key}' must be a mapping", each.place)
                del found[name_]
        return found

    def _note_group(self, name: str, config: Part) -> None:
        rest = [key for key in config.value if key not in _CARRIED_OF_GROUPS]
        with_it = f", nor is its {rest[0]}" if rest else ""
        self.notes.leave(
            f"the box that Airflow draws around task group '{name}' is not carried over{with_it};"
            " its tasks keep their ids and their order",
            config.place,
        )

    def _node(self, name: str, task: Part, groups: Groups) -> Part:
        task_id = groups.id_of(name)
        pattern = self.world.target.facts["names"]["task_id"]["pattern"]
        fault = None if re.fullmatch(pattern.strip("^$"), task_id) else "Airflow takes no such id"
        if fault is not None:
            self.notes.refuse(f"the task '{task_id}': {fault}", task.place)
        self._refuse_mapped(name, task)
        arguments, settings = self._arguments(name, task, groups)
        operator, arguments = self._operator(name, task, arguments)
        body: dict[str, Part] = {"name": Part(task_id, task.key_at or task.at)}
        body["operator"] = Part(
            {"type": operator, **({"arguments": Part(arguments, task.at)} if arguments else {})},
            task.at,
        )
        after = groups.after(name)
        if after:
            dependencies = task.get("dependencies")
            listed = Part(tuple(Part(each) for each in after), task.at)
            body["after"] = _at(dependencies, listed)
        if settings:
            body["settings"] = Part(settings, task.at)
        # The comment beside the task's key has no other line to stand in.
        above = (*task.before, task.after) if task.after else task.before
        return Part(body, task.place, before=above)

    def _refuse_mapped(self, name: str, task: Part) -> None:
        for key in _MAPPED:
            if task.get(key) is not None:
                self.notes.refuse(
                    f"the task '{name}' is mapped over values ('{key}'), which DagForge does not "
                    "write",
                    task.value[key].place,
                    "write one node that works on the whole list, or keep this DAG in Python",
                )
                return

    def _arguments(
        self, name: str, task: Part, groups: Groups
    ) -> tuple[dict[str, Part], dict[str, Part]]:
        """Return the operator's own arguments, and what every operator takes as settings."""
        arguments: dict[str, Part] = {}
        settings: dict[str, Part] = {}
        for defaults in groups.defaults_of(name):
            for key, part in defaults.items():
                found = task_setting(key, part, defaults, self.notes, self.world)
                if found is not None:
                    settings[found[0]] = found[1]
                elif not _belongs_to_callback(key, defaults):
                    self.notes.leave(f"'{key}' of the task group is not carried over", part.place)
        for key, part in task.items():
            if key in _OF_TASKS or key in _MAPPED or _belongs_to_callback(key, task):
                continue
            base, _, what = key.rpartition("_")
            if _LAMBDAS.fullmatch(key):
                message = f"the task '{name}' has code in '{key}'"
                fix = f"write a function, and give it by {base}_name and {base}_file"
                self.notes.refuse(message, part.place, fix)
            elif base in _CHECKS and what == "file":
                continue
            elif base in _CHECKS and what == "name" and (file := task.get(f"{base}_file")):
                made = callable_in_file(part, file, self.notes, self.world)
                arguments[_CHECKS[base]] = made
            elif key == "variables_as_arguments":
                self._refuse_variables(name, part)
            elif key in ("start_date", "end_date"):
                message = f"'{key}' of a single task is not carried over"
                self.notes.leave(message, part.place, "write it for the DAG")
            else:
                found = task_setting(key, part, task, self.notes, self.world)
                if found is not None:
                    settings[found[0]] = found[1]
                elif not _told(part, self.notes):
                    self._argument(key, part, task, arguments)
        return arguments, settings

    def _argument(self, key: str, part: Part, task: Part, arguments: dict[str, Part]) -> None:
        notes, world = self.notes, self.world
        if key == "python_callable_name":
            file = task.get("python_callable_file")
            if file is not None:
                arguments["python_callable"] = callable_in_file(part, file, notes, world)
            elif task.get("python_callable") is None:
                notes.refuse("'python_callable_name' needs 'python_callable_file'", part.place)
        elif key == "python_callable_file":
            if part.tag:
                arguments["python_callable"] = value_of(part, notes, world)
        elif key in ("python_callable", "execution_date_fn") and _is_text(part):
            arguments[key] = imported(part, part.value, notes)
        elif key in ("execution_date_fn_name", "execution_date_fn_file"):
            file = task.get("execution_date_fn_file")
            if key.endswith("_name") and file is not None:
                arguments["execution_date_fn"] = callable_in_file(part, file, notes, world)
        elif key == "execution_delta" and _is_text(part):
            length = relative(part.value)
            if length is None:
                notes.refuse(f"'{part.value}' is no length of time", part.place)
            else:
                arguments[key] = _timedelta(part, length.total_seconds())
        else:
            arguments[key] = value_of(part, notes, world)

    def _refuse_variables(self, name: str, part: Part) -> None:
        self.notes.refuse(
            f"the task '{name}' reads Airflow Variables whenever its file is loaded",
            part.place,
            'write "{{ var.value.NAME }}" where it belongs: that is read when the task runs',
        )

    def _operator(
        self, name: str, task: Part, arguments: dict[str, Part]
    ) -> tuple[Part, dict[str, Part]]:
        operator, decorator = task.get("operator"), task.get("decorator")
        if operator is None and decorator is not None:
            return self._decorated(name, task, decorator, arguments)
        if operator is None or not isinstance(operator.value, str):
            self.notes.refuse(f"the task '{name}' has no operator", (operator or task).place)
            return Part(""), arguments
        path = self.world.aliases.get(operator.value, operator.value)
        if "." not in path:
            path = self.world.target.imports.get(path, path).partition(" ")[0]
        path = moved(path, self.world.target)
        if not check_path(path):
            known = {**self.world.target.imports, **self.world.aliases}
            self.notes.refuse(
                f"the operator of the task '{name}' is no import path: {path}",
                operator.at,
                did_you_mean(path, [each for each in known if each.endswith("Operator")]),
            )
        return operator.of(path), _http(path, arguments)

    def _decorated(
        self, name: str, task: Part, decorator: Part, arguments: dict[str, Part]
    ) -> tuple[Part, dict[str, Part]]:
        """Return a function of TaskFlow as an operator, whose arguments are the function's."""
        if decorator.value not in _TASK_DECORATORS:
            message = f"the task '{name}' is decorated with {decorator.value}"
            self.notes.refuse(message, decorator.at, "write it with an operator")
        function = arguments.pop("python_callable", None)
        if function is None:
            self.notes.refuse(f"the task '{name}' has no python_callable", task.place)
        for key, part in arguments.items():
            if key in _OLD_ARGUMENTS:
                message = f"dag-factory gives '{key}' of the task '{name}' to no function"
                self.notes.refuse(message, part.place, "write the function's arguments beside it")
            elif _is_text(part) and part.value.startswith("+"):
                self.notes.refuse(
                    f"the task '{name}' is given the result of '{part.value[1:]}' as '{key}'",
                    part.place,
                    "write both as nodes with `func`, and the result as a dataset between them",
                )
        own: dict[str, Part] = {} if function is None else {"python_callable": function}
        if arguments:
            own["op_kwargs"] = Part(arguments, task.at)
        path = self.world.target.imports["PythonOperator"]
        return decorator.of(path), own


def _is_text(part: Part) -> bool:
    return isinstance(part.value, str) and not part.tag


def _timedelta(part: Part, length: float) -> Part:
    whole = int(length) if length == int(length) else length
    arguments = Part({"seconds": Part(whole, part.at)}, part.at)
    return part.of({"call": Part("datetime.timedelta", part.at), "args": arguments})


def _http(path: str, arguments: dict[str, Part]) -> dict[str, Part]:
    """Return the arguments of an HTTP operator with its JSON as the text that is sent."""
    headers, data = arguments.get("headers"), arguments.get("data")
    if not path.endswith("HttpOperator") or headers is None or data is None:
        return arguments
    content_type = str((headers.plain or {}).get("Content-Type", "")).lower()
    if "application/json" not in content_type or not isinstance(data.value, Mapping):
        return arguments
    return {**arguments, "data": data.of(json.dumps(data.plain))}
