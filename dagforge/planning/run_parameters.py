"""Parameters that a run of the DAG can give other values, and how they reach the tasks.

What the definition declares (a signature, Hamilton's inputs) is one, and what the settings list by
the name of a parameter that a node reads. What the form of the orchestrator shows is what runs: the
values go to the tasks with every run, over those of the project in the image.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dagforge.errors import Problems
from dagforge.ir import Node, Parameter, is_parameter
from dagforge.planning.deployment import Parameter as FlowParameter
from dagforge.planning.deployment import identifier, is_stored
from dagforge.planning.planner import Planner
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


def declared_parameters(planner: Planner) -> list[Parameter]:
    """Return the parameters that the definition declares and a node of the pipeline reads."""
    declared = planner.pipeline.parameters
    if not declared:
        return []
    read = _read_by(planner.pipeline.nodes)
    return [each for each in declared.values() if _is_read(each.name, read)]


def params_of(planner: Planner, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the DAG's params: those that the settings list, over what the definition declares.

    Args:
        planner: of the DAG.
        given: typed values of the settings.
    """
    if "Param" not in planner.target.imports:
        return dict(given)
    params: dict[str, Any] = {}
    for parameter in declared_parameters(planner):
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


def check_required(planner: Planner, schedule: object, problems: Problems) -> None:
    """Refuse a schedule where a run needs a value that only a person can give."""
    if schedule is None:
        return
    given = planner.settings.for_dag().get(_setting(planner) or "")
    for parameter in declared_parameters(planner):
        if parameter.required and not (isinstance(given, Mapping) and parameter.name in given):
            problems.error(
                "required-parameter",
                f"the parameter '{parameter.name}' has no value, and the DAG runs by a schedule",
                parameter.origin,
                fix=f"give it a default, or a value in parameters.yml: {parameter.name}: ...",
            )


def flow_parameters(
    planner: Planner, given: Mapping[str, FlowParameter], problems: Problems
) -> dict[str, FlowParameter]:
    """Return the flow's signature: what the definition declares, then what the settings list."""
    found: dict[str, FlowParameter] = {}
    taken = planner.target.facts.get("reserved_parameters", ())
    for parameter in declared_parameters(planner):
        key = identifier(parameter.name)
        if key in given:
            continue
        if key in found or key in taken:
            problems.error(
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
    setting = _setting(planner)
    if setting is None:
        return None
    given = planner.settings.for_dag().get(setting)
    listed: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    is_code = bool(planner.target.facts["run_parameters"].get("identifiers"))
    spell = identifier if is_code else str
    keys = {each.name: spell(each.name) for each in declared_parameters(planner)}
    # A flow's argument is listed by its own name: it is the declared one, given another default.
    keys |= {name: spell(name) for name in listed if spell(name) not in keys.values()}
    read = _read_by(nodes)
    keys = {name: key for name, key in keys.items() if _is_read(name, read)}
    if not keys:
        return None
    kept = {spell(name) for name, value in listed.items() if is_code and is_stored(value)}
    stored = not kept.isdisjoint(keys.values())
    return RunValue("parameters", tuple(keys.items()), native, expanded, stored)


def _setting(planner: Planner) -> str | None:
    facts = planner.target.facts.get("run_parameters")
    return None if facts is None else str(facts["setting"])


def _read_by(nodes: Iterable[Node]) -> frozenset[str]:
    return frozenset(
        name.removeprefix(_PREFIX) for node in nodes for name in node.inputs if is_parameter(name)
    )


def _is_read(name: str, read: frozenset[str]) -> bool:
    """Say whether a parameter, what holds it, or a part of it is among those that are read."""
    if name in read or "parameters" in read:
        return True
    parts = name.split(".")
    if any(".".join(parts[:end]) in read for end in range(1, len(parts))):
        return True
    return any(each.startswith(f"{name}.") for each in read)


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
