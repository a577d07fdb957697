"""Parameters that a run of the DAG can give other values, and how they reach the tasks.

What the definition declares (a signature, Hamilton's inputs) is one, and what the settings list by
the name of a parameter that a node reads. What the form of the orchestrator shows is what runs: the
values go to the tasks with every run, over those of the project in the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dagforge.ir import Node, Parameter, is_parameter
from dagforge.planning.deployment import Parameter as FlowParameter
from dagforge.planning.deployment import identifier, is_stored
from dagforge.planning.planner import Planner, reporter
from dagforge.settings.schema import is_object
from dagforge.target import Target
from dagforge.values import Instance, RunValue

_PREFIX = "params:"
# JSON Schema's types as Python spells them.
_ANNOTATIONS: Mapping[str, str] = {
    "boolean": "bool",
    "integer": "int",
    "number": "float",
    "string": "str",
    "array": "list",
    "object": "dict",
    "null": "None",
}


class Names:
    """Names of parameters, to be asked which of them nodes read."""

    def __init__(self, names: Iterable[str]) -> None:
        self._place = {name: place for place, name in enumerate(names)}
        # By each name: itself, and those that are a part of it.
        self._inside: dict[str, list[str]] = {}
        for name in self._place:
            for holder in _holders(name):
                self._inside.setdefault(holder, []).append(name)

    def read_by(self, nodes: Iterable[Node]) -> list[str]:
        """Return those that nodes read, or that hold or are a part of what they read, in order."""
        found: set[str] = set()
        for node in nodes:
            for name in filter(is_parameter, node.inputs):
                if name == "parameters":
                    return list(self._place)
                read = name.removeprefix(_PREFIX)
                found.update(self._inside.get(read, ()))
                found.update(holder for holder in _holders(read) if holder in self._place)
        return sorted(found, key=self._place.__getitem__)


def _holders(name: str) -> Iterator[str]:
    """Yield `a`, `a.b` and `a.b.c` for the last of them."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])


@dataclass(slots=True)
class RunParameters:
    """The parameters of one DAG's runs.

    Attributes:
        declared: by the definition, and read by a node of the pipeline.
        keys: what the orchestrator calls each that a task may be handed.
        stored: of these keys, those that the orchestrator keeps values of.
        names: of `keys`.
    """

    declared: list[Parameter]
    keys: Mapping[str, str]
    stored: frozenset[str]
    names: Names


def run_parameters(planner: Planner) -> RunParameters:
    """Return the parameters of a DAG's runs, found once for all of its tasks."""
    if planner.run_parameters is None:
        planner.run_parameters = _found(planner)
    return planner.run_parameters


def _found(planner: Planner) -> RunParameters:
    pipeline = planner.pipeline
    read = Names(pipeline.parameters).read_by(pipeline.nodes) if pipeline.parameters else []
    declared = [pipeline.parameters[name] for name in read]
    facts = planner.target.facts.get("run_parameters")
    if facts is None:
        return RunParameters(declared, {}, frozenset(), Names(()))
    given = planner.settings.for_dag().get(facts["setting"])
    listed: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    is_code = bool(facts.get("identifiers"))
    spell = identifier if is_code else str
    keys = {name: spell(name) for name in read}
    # A flow's argument is listed by its own name: it is the declared one, given another default.
    taken = set(keys.values())
    keys |= {name: spell(name) for name in listed if spell(name) not in taken}
    stored = {spell(name) for name, value in listed.items() if is_code and is_stored(value)}
    return RunParameters(declared, keys, frozenset(stored), Names(keys))


def params_of(planner: Planner, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the DAG's params: those that the settings list, over what the definition declares.

    Args:
        planner: of the DAG.
        given: typed values of the settings.
    """
    if "Param" not in planner.target.imports:
        return dict(given)
    params: dict[str, Any] = {}
    for parameter in run_parameters(planner).declared:
        if parameter.name in given:
            continue
        section, _, last = parameter.name.rpartition(".")
        facts = {} if parameter.required else {"default": parameter.default}
        facts.update(parameter.schema)
        if section:
            # A heading in the form, so that the parameters of one task stand together.
            facts.update(title=last, section=section)
        params[parameter.name] = Instance("Param", facts)
    return {**params, **given}


def check_required(planner: Planner, schedule: object) -> None:
    """Refuse a schedule where a run needs a value that only a person can give."""
    if schedule is None:
        return
    given = planner.settings.for_dag().get(parameters_setting(planner.target))
    for parameter in run_parameters(planner).declared:
        if parameter.required and not (isinstance(given, Mapping) and parameter.name in given):
            planner.problems.error(
                "required-parameter",
                f"the parameter '{parameter.name}' has no value, and the DAG runs by a schedule",
                parameter.origin,
                fix=f"give it a default, or a value in parameters.yml: {parameter.name}: ...",
            )
    if "Param" in planner.target.imports and isinstance(given, Mapping):
        _check_defaults(planner, given)


def _check_defaults(planner: Planner, given: Mapping[str, Any]) -> None:
    """Refuse defaults that their own schema does not take: Airflow loads none with a schedule."""
    name_of_setting, layers = parameters_setting(planner.target), planner.settings.dag_layers
    report = reporter(planner.problems, planner.settings, name_of_setting, layers)
    for name, entry in given.items():
        if not isinstance(entry, Mapping) or "default" not in entry or is_object(entry):
            continue
        schema = {
            key: value for key, value in entry.items() if key not in ("default", "description")
        }
        import jsonschema_rs

        if not jsonschema_rs.meta.is_valid(schema):
            continue
        try:
            jsonschema_rs.validate(schema, entry["default"])
        except jsonschema_rs.ValidationError as error:
            message = f"the default of '{name}' is not what its schema takes: {error.message}"
            fix = "Airflow runs it by a schedule, which needs a default: write one that fits"
            report((name, "default"), "wrong-value", message, fix)


def parameters_setting(target: Target) -> str:
    """Return the setting that lists parameters of runs; empty where there is none."""
    return str(target.facts.get("run_parameters", {}).get("setting", ""))


def flow_parameters(
    planner: Planner, given: Mapping[str, FlowParameter]
) -> dict[str, FlowParameter]:
    """Return the flow's signature: what the definition declares, then what the settings list."""
    found: dict[str, FlowParameter] = {}
    taken = planner.target.facts.get("reserved_parameters", ())
    for parameter in run_parameters(planner).declared:
        key = identifier(parameter.name)
        if key in given:
            continue
        if key in found or key in taken:
            planner.problems.error(
                "id-collision",
                f"the parameter '{parameter.name}' would be called '{key}' in the flow's"
                " signature, which is taken",
                parameter.origin,
                fix="rename it",
            )
            continue
        found[key] = FlowParameter(
            _annotation(parameter.schema), parameter.default, parameter.required
        )
    # Python wants those without a default first.
    ordered = sorted(found.items(), key=lambda item: not item[1].required)
    return {**dict(ordered), **given}


def value_for(
    planner: Planner, nodes: Sequence[Node], *, native: bool, expanded: bool
) -> RunValue | None:
    """Return what hands a task the parameters that its nodes read; None where they read none.

    Args:
        planner: of the DAG.
        nodes: of the task.
        native: fields are rendered to Python objects, not to text.
        expanded: what starts the command replaces `$(NAME)` in it.
    """
    found = run_parameters(planner)
    keys = tuple((name, found.keys[name]) for name in found.names.read_by(nodes))
    if not keys:
        return None
    stored = any(key in found.stored for _, key in keys)
    return RunValue("parameters", keys, native, expanded, stored)


def _annotation(schema: Mapping[str, Any]) -> str | None:
    """Return a schema's type as an annotation; None where any value will do."""
    kinds = schema.get("type")
    if kinds is None:
        return None
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    words = []
    for kind in kinds:
        inner = schema.get("items" if kind == "array" else "additionalProperties")
        word = _ANNOTATIONS[kind]
        inside = _annotation(inner) if isinstance(inner, Mapping) else None
        if inside is not None:
            word = f"list[{inside}]" if kind == "array" else f"dict[str, {inside}]"
        words.append(word)
    return " | ".join(words)
