"""Parameters that a definition in Python declares by its signatures: their types and defaults."""

from __future__ import annotations

import datetime
import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from dagforge.conf import Conf
from dagforge.errors import Origin, Problems
from dagforge.frontends.catalog import read_parameters
from dagforge.frontends.words import shown
from dagforge.ir import Parameter, Pipeline

ABSENT: Any = object()
_WORDS = {
    "boolean": "true or false",
    "integer": "an integer",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_FORMATS = {
    "date": "a date such as 2024-01-31",
    "date-time": "a time such as 2024-01-31T12:00:00",
}
_TYPES: Mapping[Any, Mapping[str, Any]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    list: {"type": "array"},
    dict: {"type": "object"},
    type(None): {"type": "null"},
    datetime.date: {"type": "string", "format": "date"},
    datetime.datetime: {"type": "string", "format": "date-time"},
}


def schema_of(annotation: Any, default: Any, *, required: bool) -> dict[str, Any]:
    """Return the JSON Schema of a parameter's values; empty where any will do.

    Args:
        annotation: a type; None without one.
        default: of the signature; its type counts where there is no annotation.
        required: there is no default.
    """
    schema = _schema(annotation) if annotation is not None else {}
    if annotation is None and not required and default is not None:
        schema = dict(_TYPES.get(type(default), {}))
    if schema and not required and default is None:
        schema = _or_null(schema)
    return schema


def _schema(annotation: Any) -> dict[str, Any]:
    if isinstance(annotation, type) and annotation in _TYPES:
        return dict(_TYPES[annotation])
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _schema(parts[0])
    if origin is typing.Literal:
        kinds = list(dict.fromkeys(_TYPES.get(type(part), {}).get("type") for part in parts))
        kind = {"type": kinds[0] if len(kinds) == 1 else kinds} if all(kinds) else {}
        return {**kind, "enum": list(parts)}
    if origin in (typing.Union, types.UnionType):
        return _union([_schema(part) for part in parts])
    if origin is list:
        items = _schema(parts[0])
        return {"type": "array", **({"items": items} if items else {})}
    if origin is dict:
        values = _schema(parts[1])
        return {"type": "object", **({"additionalProperties": values} if values else {})}
    return {}


def _union(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the schema of a union, simple where all but null is one type (`type: [a, null]`)."""
    if not all(schemas):
        return {}
    if all(set(schema) == {"type"} for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    rest = [schema for schema in schemas if schema != {"type": "null"}]
    if len(rest) == 1:
        return _or_null(rest[0])
    return {}


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema that allows null as well."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    found = {**schema, "type": [*kinds, "null"] if "null" not in kinds else kinds}
    if "enum" in schema and None not in schema["enum"]:
        found["enum"] = [*schema["enum"], None]
    return found


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Say whether a value is one that the schema allows."""
    if not schema:
        return True
    import jsonschema_rs

    return bool(
        jsonschema_rs.is_valid(
            dict(schema), value, validate_formats=True, formats={"date-time": _is_time}
        )
    )


def _is_time(text: str) -> bool:
    """Say whether a text is a date and time; as in Airflow, also one without a zone."""
    try:
        datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


def settled(
    declared: Mapping[str, Parameter], conf: Conf, problems: Problems
) -> Mapping[str, Parameter]:
    """Return parameters with what parameters.yml says for their default, if it says anything."""
    if not declared:
        return declared
    values = read_parameters(conf)
    found: dict[str, Parameter] = {}
    for name, parameter in declared.items():
        value = value_at(values, name)
        if value is ABSENT:
            found[name] = parameter
            _check_holder(name, values, conf, problems)
            continue
        parameter = replace(parameter, default=value, required=False)
        found[name] = parameter
        if not fits(value, parameter.schema):
            at = place_of_parameter(conf, name) or parameter.origin
            problems.error(*misfit(parameter, value), at, fix="change the value, or the signature")
    return found


def _check_holder(name: str, values: Mapping[str, Any], conf: Conf, problems: Problems) -> None:
    """Report what stands in parameters.yml where a mapping has to be that holds a parameter."""
    holder = plain_holder(values, name)
    if holder is not None:
        what, value = holder
        at = place_of_parameter(conf, what)
        problems.error(*_no_mapping(name, what, value), at, fix=f"write {name} below {what}")


def plain_holder(values: Mapping[str, Any], name: str) -> tuple[str, Any] | None:
    """Return the first part of a dotted name that is there and no mapping, and its value."""
    found: Any = values
    parts = name.split(".")
    for end, part in enumerate(parts[:-1], start=1):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
        if not isinstance(found, Mapping):
            return ".".join(parts[:end]), found
    return None


def _no_mapping(name: str, holder: str, value: Any) -> tuple[str, str]:
    return (
        "parameter-value",
        f"the parameter {shown(holder)} is {_short(value)}, not a mapping that holds {shown(name)}",
    )


def check_given(pipeline: Pipeline, values: Mapping[str, Any], problems: Problems) -> None:
    """Report the parameters of a run that are missing, or not what the signature says."""
    for parameter in pipeline.parameters.values():
        value = value_at(values, parameter.name)
        holder = plain_holder(values, parameter.name) if value is ABSENT else None
        if holder is not None:
            problems.error(
                *_no_mapping(parameter.name, *holder),
                parameter.origin,
                fix=f"--params {parameter.name}=...",
            )
        elif value is ABSENT and parameter.required:
            problems.error(
                "required-parameter",
                f"the parameter {shown(parameter.name)} has no value",
                parameter.origin,
                fix=f"give it one: --params {parameter.name}=..., or in parameters.yml",
            )
        elif value is not ABSENT and not fits(value, parameter.schema):
            problems.error(
                *misfit(parameter, value),
                parameter.origin,
                fix=f"give it another value: --params {parameter.name}=...",
            )


def misfit(parameter: Parameter, value: Any) -> tuple[str, str]:
    """Return code and message for a value that a parameter does not take."""
    return (
        "parameter-value",
        f"the parameter {shown(parameter.name)} is {_short(value)}, not"
        f" {spelled(parameter.schema)}",
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def spelled(schema: Mapping[str, Any]) -> str:
    """Return a schema in words, such as `an integer`."""
    if "enum" in schema:
        return "one of " + ", ".join(
            json.dumps(each, ensure_ascii=False) for each in schema["enum"]
        )
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    text = " or ".join(_WORDS[kind] for kind in kinds)
    if "format" in schema:
        text = text.replace(_WORDS["string"], _FORMATS[schema["format"]])
    items = schema.get("items")
    return f"{text} (of which each is {spelled(items)})" if items else text


def value_at(values: Mapping[str, Any], name: str) -> Any:
    """Return the value of a dotted name, `ABSENT` without one."""
    if name in values:
        return values[name]
    found: Any = values
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return ABSENT
        found = found[part]
    return found


def place_of_parameter(conf: Conf, name: str) -> Origin | None:
    """Return where a parameter stands in parameters.yml, the environment's before base's."""
    first, *rest = name.split(".")
    for entry in reversed(conf.parameters):
        if isinstance(entry.data, dict) and first in entry.data:
            return entry.origin(first, *rest)
    return None


def parameters_of(pipeline: Pipeline, conf: Conf) -> dict[str, Any]:
    """Return a pipeline's parameters, nested: what parameters.yml says, over its own defaults."""
    defaults = {
        each.name: each.default for each in pipeline.parameters.values() if not each.required
    }
    return merged(nested(defaults), read_parameters(conf))


def merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters laid over others; mappings merge deeply, everything else replaces."""
    found = dict(low)
    for key, value in high.items():
        below = found.get(key)
        found[key] = (
            merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
        )
    return found


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted names as mappings in each other."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        *above, last = name.split(".")
        inner = found
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


def dotted(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted name of each value and the value, of mappings what is in them."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from dotted(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def clash(parameters: Mapping[str, Parameter]) -> tuple[Parameter, Parameter] | None:
    """Return two parameters of which one holds the other, such as `a` and `a.b`."""
    for name, parameter in parameters.items():
        parts = name.split(".")
        for end in range(1, len(parts)):
            outer = parameters.get(".".join(parts[:end]))
            if outer is not None:
                return outer, parameter
    return None
