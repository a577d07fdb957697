"""Types of settings, checked by one JSON Schema made from a target's `target.yaml`.

The same schema, with sections around it, is what `dagforge schema` prints for editors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dagforge.errors import did_you_mean, suggest
from dagforge.target import Setting, Target

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

Finding = tuple[tuple[str, ...], str, str, "str | None"]
"""Path in the layer, code, message, fix."""

TYPE_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
LARGEST = 2**31 - 1
_validators: WeakKeyDictionary[Target, Any] = WeakKeyDictionary()


CALL_KEYS = ("call", "positional", "args")


def is_object(value: object) -> bool:
    """Say whether a value is spelled `{import: ...}` or `{call: ..., args: ...}`."""
    return isinstance(value, dict) and (
        set(value) == {"import"} or ("call" in value and set(value) <= set(CALL_KEYS))
    )


def is_literal(value: object) -> bool:
    """Say whether a value is spelled `{literal: text}`: text that is no template."""
    return isinstance(value, dict) and set(value) == {"literal"} and type(value["literal"]) is str


def untold(value: Any) -> Any:
    """Return a value whose `{literal: ...}` are just their text: nothing reads templates here."""
    if isinstance(value, dict):
        if is_literal(value):
            return value["literal"]
        return {key: untold(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [untold(inner) for inner in value]
    return value


def plain(value: Any) -> Any:
    """Return a value as the schema sees it: `{literal: text}` is its text.

    A null in a mapping stands for a key that merging takes away, and is left out; in a list
    nothing is merged. NaN and infinity, which JSON lacks, become a fraction: no whole number,
    and not null.
    """
    return _plain(value, merged=True)


def _plain(value: Any, merged: bool) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return 0.5
    if isinstance(value, dict):
        if is_literal(value):
            return value["literal"]
        return {
            key: _plain(inner, merged)
            for key, inner in value.items()
            if not (merged and inner is None)
        }
    if isinstance(value, list):
        return [_plain(inner, merged=False) for inner in value]
    return value


def check_types(data: Mapping[str, Any], target: Target) -> Iterator[Finding]:
    """Yield what in a layer has the wrong type, in the order of the layer's paths."""
    checked = {}
    for name, value in data.items():
        setting = target.settings.get(name)
        if setting is None or name == "vars":
            continue
        if setting.argument and is_object(value):
            continue
        checked[name] = plain(value) if isinstance(value, (dict, list, float)) else value
    if not checked:
        return
    validator = _validator(target)
    if validator.is_valid(checked):
        return
    errors = list(validator.iter_errors(checked))
    # What has the wrong type has no right value either: one mistake, told once.
    mistyped = {tuple(error.instance_path) for error in errors if error.kind.name == "type"}
    findings = [
        finding
        for error in errors
        if error.kind.name in ("type", "enum") or tuple(error.instance_path) not in mistyped
        for finding in _findings(error, target, _at(data, error.instance_path))
        if not (error.kind.name == "type" and _has_enum(error, target))
        and not (error.kind.name == "required" and _is_misspelt(error, target))
    ]
    yield from sorted(findings, key=lambda finding: (finding[0], finding[2]))


def _at(data: Any, path: Iterable[str | int]) -> Any:
    for part in path:
        data = data[part]
        if is_literal(data):
            data = data["literal"]
    return data


def _has_enum(error: ValidationError, target: Target) -> bool:
    return "enum" in _schema_at(error, target)


def _is_misspelt(error: ValidationError, target: Target) -> bool:
    """Say whether what is missing is there under an unknown name, which is told already."""
    kind: Any = error.kind
    properties = _schema_at(error, target).get("properties", {})
    written: Any = error.instance
    unknown = [key for key in written if key not in properties]
    return any(suggest(key, properties) == kind.property for key in unknown)


def _validator(target: Target) -> Any:
    cached = _validators.get(target)
    if cached is None:
        import jsonschema_rs

        properties = {name: _bounded(setting.schema) for name, setting in target.settings.items()}
        validator = jsonschema_rs.validator_for({"type": "object", "properties": properties})
        cached = _validators[target] = validator
    return cached


def _bounded(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a setting's schema in which whole numbers fit into a column of Airflow's database."""
    types = schema.get("type", ())
    if "integer" not in ([types] if isinstance(types, str) else types):
        return schema
    return {"minimum": -LARGEST - 1, "maximum": LARGEST, **schema}


def _findings(error: ValidationError, target: Target, value: Any) -> Iterator[Finding]:
    path = tuple(str(part) for part in error.instance_path)
    name = ".".join(path)
    kind: Any = error.kind
    rule = kind.name
    expected: Any = getattr(kind, "value", None)
    if rule == "type":
        wanted = _types(error, target)
        message = f"'{name}' must be {wanted}, not {describe(value)}"
        setting = target.settings[path[0]] if len(path) == 1 else None
        yield path, "wrong-type", message, _type_fix(value, kind.types, setting)
    elif rule == "enum":
        fix = did_you_mean(str(value), map(str, expected)) if value is not None else None
        allowed = ", ".join(str(option) for option in expected)
        yield (
            path,
            "wrong-value",
            f"'{name}' cannot be {describe(value)}",
            fix or f"one of {allowed}",
        )
    elif rule == "additionalProperties":
        properties = _schema_at(error, target).get("properties", {})
        for key in sorted(kind.unexpected):
            yield (
                (*path, key),
                "unknown-setting",
                f"'{name}' has no '{key}'",
                _MISPLACED.get((path[0], key)) or did_you_mean(key, properties),
            )
    elif rule == "required":
        yield path, "missing-setting", f"'{name}' needs '{kind.property}'", None
    elif rule in ("minimum", "maximum"):
        word = "at least" if rule == "minimum" else "at most"
        yield (
            path,
            "wrong-value",
            f"'{name}' must be {word} {kind.limit}, not {_short(str(value))}",
            None,
        )
    elif rule in ("minItems", "minLength"):
        yield path, "wrong-value", f"'{name}' must not be empty", None
    elif rule == "maxLength":
        message = f"'{name}' is {len(value)} characters long, {kind.limit} are allowed"
        yield path, "wrong-value", message, None
    elif rule == "pattern":
        yield (
            path,
            "wrong-value",
            f"'{name}' cannot be {describe(value)}",
            _PATTERN_FIXES.get(expected, f"it must match {expected}"),
        )
    else:
        yield path, "wrong-value", f"'{name}': {error.message}", None


_MISPLACED = {
    ("machines", "cpu"): "put it below requests or limits: requests: {cpu: ...}",
    ("machines", "memory"): "put it below requests or limits: limits: {memory: ...}",
}

_PATTERN_FIXES = {
    r"\S": "say why",
    r"^\S+$": "write each word of the command by itself, such as [uv, run, kedro]",
    "^[^/%&><]*$": "leave out /, %, &, < and >, which Prefect does not take in names",
    "^[0-9]+([.][0-9]+)*$": 'write a release such as "10.11"',
    r"^(downstream|upstream|absolute|\w+([.]\w+)+)$": "write downstream, upstream, absolute or an "
    "import path",
}


def _schema_at(error: ValidationError, target: Target) -> Mapping[str, Any]:
    schema: Any = {
        "properties": {name: setting.schema for name, setting in target.settings.items()}
    }
    for part in list(error.schema_path)[:-1]:
        schema = schema[part]
    return schema  # type: ignore[no-any-return]  # walked by the library's own path


def _types(error: ValidationError, target: Target) -> str:
    types = _schema_at(error, target)["type"]
    names = [TYPE_NAMES[name] for name in ([types] if isinstance(types, str) else types)]
    if len(error.instance_path) == 1:
        setting = target.settings[str(error.instance_path[0])]
        names[:0] = _spelling(setting)
        if setting.value in ("duration", "date", "schedule"):
            names = [name for name in names if name not in ("text", "a number")]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def _spelling(setting: Setting) -> list[str]:
    by_value = {
        "duration": "a duration such as 5m",
        "date": "a date such as 2024-01-31",
        "schedule": "a schedule such as @daily",
        "object": "an object {import: ...} or {call: ...}",
    }
    return [by_value[setting.value]] if setting.value in by_value else []


def _type_fix(value: Any, types: Iterable[str], setting: Setting | None) -> str | None:
    wanted = set(types)
    if value is None:
        return "give it a value, or remove the line"
    if setting is not None and setting.value in _TYPED_FIXES:
        number = type(value) is int or (type(value) is float and math.isfinite(value))
        fix = "write the unit: {0}m or {0}s" if setting.value == "duration" and number else None
        return (fix or _TYPED_FIXES[setting.value]).format(_short(str(value)))
    if isinstance(value, float) and "integer" in wanted:
        return "write a whole number"
    if isinstance(value, (bool, int, float)) and "string" in wanted:
        return quote(value)
    if isinstance(value, str) and setting is not None and setting.value == "object":
        return f'write {{import: "{_short(value)}"}}'
    if isinstance(value, str) and wanted & {"integer", "number", "boolean"}:
        return "drop the quotes" if _is_scalar_text(value, wanted) else None
    if isinstance(value, str) and "array" in wanted:
        is_command = setting is not None and "prefixItems" in setting.schema
        return f"[{', '.join(value.split()) if is_command else value}]"
    return None


def quote(value: Any) -> str | None:
    """Return the fix for a scalar that should have been text; None for what is no scalar."""
    if isinstance(value, float):
        return "quote it"  # how it was written is not known: 1.10 is the number 1.1
    if isinstance(value, bool):
        return f'quote it: "{str(value).lower()}"'
    return f'quote it: "{_short(str(value))}"' if isinstance(value, int) else None


_TYPED_FIXES = {
    "duration": "write it like 30s, 5m, 1h30m, 2d or PT5M",
    "date": "write 2024-01-31 or 2024-01-31T06:00",
    "schedule": 'write a cron such as "0 6 * * *", a preset such as "@daily", or a duration such '
    "as 6h",
}


def _is_scalar_text(text: str, wanted: set[str]) -> bool:
    if "boolean" in wanted and text.lower() in ("true", "false"):
        return True
    try:
        number = float(text)
    except ValueError:
        return False
    return "number" in wanted or ("integer" in wanted and number.is_integer())


def describe(value: Any) -> str:
    """Return a value as a message shows it, shortened."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "empty text" if value == "" else f"the text {_short(value)!r}"
    if isinstance(value, (int, float)):
        return f"the number {_short(str(value))}"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    return type(value).__name__


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def editor_schema(targets: Iterable[Target]) -> dict[str, Any]:
    """Return the JSON Schema of a settings file for editors.

    Args:
        targets: one an orchestrator; a `dagforge.yml` may hold the settings of all.
    """
    known: dict[str, Any] = {}
    task_only: dict[str, Any] = {}
    for target in targets:
        for setting in target.settings.values():
            entry = _as_written(setting.schema, setting.templated, merged=True)
            entry["description"] = setting.doc
            if setting.has_default:
                entry["default"] = setting.default
            if setting.argument:
                entry = _with_type(entry, "object")
            for name in (setting.name, *setting.aliases):
                named = entry
                if name != setting.name:
                    named = {
                        **entry,
                        "description": f"Another name of {setting.name}. {setting.doc}",
                    }
                known.setdefault(name, named)
                if setting.scope == "task":
                    task_only.setdefault(name, named)
    task = {"type": ["object", "null"], "properties": task_only}
    section = {
        "type": ["object", "null"],
        "properties": {
            **known,
            "for_tags": {
                "description": "Settings of the tasks that have a tag, by tag.",
                "type": ["object", "null"],
                "additionalProperties": {"$ref": "#/$defs/task"},
            },
            "for_tasks": {
                "description": "Settings of single tasks or nodes, by name.",
                "type": ["object", "null"],
                "additionalProperties": {"$ref": "#/$defs/task"},
            },
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "DagForge settings",
        "description": "`default:` and a section for each pipeline.",
        "type": ["object", "null"],
        "additionalProperties": {"$ref": "#/$defs/section"},
        "$defs": {"section": section, "task": task},
    }


def _as_written(schema: Mapping[str, Any], templated: bool, *, merged: bool) -> dict[str, Any]:
    """Return a schema that takes what a file may hold before layers are merged.

    That is null for a key that is taken away, and `{literal: text}` for the texts in a templated
    setting; both without an anyOf, whose errors say nothing.

    Args:
        schema: of the merged value.
        templated: the setting's texts are templates.
        merged: the mappings in it are merged with those of other layers, as none in a list is.
    """
    written = dict(schema)
    if "items" in schema:
        written["items"] = _inner(schema["items"], templated, merged=False)
    if isinstance(schema.get("additionalProperties"), Mapping):
        written["additionalProperties"] = _inner(
            schema["additionalProperties"], templated, merged=merged
        )
    if "properties" in schema:
        written["properties"] = {
            name: _inner(inner, templated, merged=merged)
            for name, inner in schema["properties"].items()
        }
    return written


def _inner(schema: Mapping[str, Any], templated: bool, *, merged: bool) -> dict[str, Any]:
    written = _as_written(schema, templated, merged=merged)
    types = _types_of(schema)
    if templated and "string" in types and "object" not in types:
        written = _with_type(written, "object") | _LITERAL
    if merged:
        written = _with_type(written, "null")
        if "enum" in schema:
            written["enum"] = [*schema["enum"], None]
    return written


_LITERAL = {
    "properties": {"literal": {"type": "string"}},
    "required": ["literal"],
    "additionalProperties": False,
}


def _types_of(schema: Mapping[str, Any]) -> list[str]:
    types = schema.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _with_type(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the schema with one more type, such as `object` for `{import: ...}`."""
    types = _types_of(schema)
    return schema if not types or name in types else {**schema, "type": [*types, name]}
