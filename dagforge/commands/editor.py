"""JSON Schemas of the files that people write, for their editors.

`type: [a, b]` and never `anyOf`, whose errors say nothing.
"""

from __future__ import annotations

from typing import Any

from dagforge.resources import templates_dir
from dagforge.settings.schema import editor_schema
from dagforge.target import orchestrators, read_target

Schema = dict[str, Any]
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def settings_schema(target: str | None) -> Schema:
    """Return the schema of a settings file.

    Args:
        target: only what this target knows; None for the settings of all orchestrators, of which
            a `dagforge.yml` may hold any.

    Raises:
        UsageError: there is no such target.
    """
    templates = templates_dir()
    if target is not None:
        return editor_schema([read_target(target, templates)])
    first_targets = [next(iter(facts["targets"])) for facts in orchestrators(templates).values()]
    return editor_schema(read_target(name, templates) for name in first_targets)


def _text(description: str, **more: Any) -> Schema:
    return {"type": "string", "minLength": 1, "description": description, **more}


def _names(description: str, *, of: str = "#/$defs/name") -> Schema:
    """Return the schema of a name or a list of names."""
    return {
        "type": ["string", "array", "null"],
        "items": {"$ref": of},
        "uniqueItems": True,
        "description": description,
    }


_FUNCTION = r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$"
_DOTTED = r"^[^\W\d]\w*(\.[^\W\d]\w*)+$"
_NODE: Schema = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": _text("Name of the node, unique in the pipeline."),
        "func": _text(
            "The function to call, as module:function.",
            pattern=_FUNCTION,
            examples=["spaceflights.nodes:split_data"],
        ),
        "command": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": ["string", "object"],
                "properties": {
                    "literal": {"type": "string", "description": "Text that is no template."}
                },
                "required": ["literal"],
                "additionalProperties": False,
            },
            "description": "The words of a command to run; no shell reads them. They are Airflow "
            "templates; {literal: text} is not.",
            "examples": [["python", "-m", "shop.report"]],
        },
        "operator": {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": _text("Dotted path of the operator's class.", pattern=_DOTTED),
                "arguments": {
                    "type": ["object", "null"],
                    "description": "Its arguments. Texts are Airflow templates; "
                    "{literal: text} is not.",
                    "propertyNames": {"pattern": r"^[^\W\d]\w*$"},
                },
            },
            "additionalProperties": False,
            "description": "Any operator of the orchestrator, passed through as it is.",
        },
        "inputs": {
            "type": ["string", "array", "object", "null"],
            "items": {"$ref": "#/$defs/name"},
            "additionalProperties": {"$ref": "#/$defs/name"},
            "uniqueItems": True,
            "description": "Datasets and parameters (params:name) that the node reads: one, a "
            "list, or {argument: dataset}.",
        },
        "outputs": _names("Datasets that the node writes: one or a list."),
        "after": _names("Nodes that must run earlier although no dataset says so."),
        "tags": _names(
            "Tags. By default those that begin with airflow: or airflow. name the task, those "
            "with machine: or machine. its machine."
        ),
        "namespace": {
            "type": ["string", "null"],
            "description": "Dotted namespace, for grouping by it.",
        },
        "settings": {
            "type": ["object", "null"],
            "description": "Settings of this node's task; they win over the settings files.",
        },
        "check": {
            "enum": ["error", "warning", None],
            "description": "The function says whether data are good; how much it matters if not.",
        },
        "metric": {
            "type": "boolean",
            "description": "The function gives a number that is kept with the run.",
        },
    },
    "oneOf": [{"required": ["func"]}, {"required": ["command"]}, {"required": ["operator"]}],
    "additionalProperties": False,
}
_SELECT: Schema = {
    "type": "object",
    "required": ["from"],
    # What the names are must be said besides the pipeline.
    "minProperties": 2,
    "properties": {
        "from": _text("The pipeline that this is a part of."),
        "tags": _names("Only nodes with one of these tags."),
        "nodes": _names("Only these nodes."),
        "from_nodes": _names("Only these nodes and what runs after them."),
        "to_nodes": _names("Only these nodes and what runs before them."),
    },
    "additionalProperties": False,
    "description": "A part of another pipeline, as a pipeline of its own.",
}
_PYTHON: Schema = {
    "type": ["string", "object"],
    "description": "A function with @dagforge.pipeline, as module:function.",
    "required": ["function"],
    "properties": {
        "function": _text("The function, as module:function."),
        "config": {"type": ["object", "null"], "description": "Arguments that shape the graph."},
    },
    "additionalProperties": False,
}
_DRIVER: Schema = {
    "type": "object",
    "required": ["modules"],
    "properties": {
        "name": _text("In front of the names of its nodes."),
        "modules": _names("Modules with its functions, by dotted path."),
        "config": {
            "type": ["object", "null"],
            "description": "Decides which functions there are; known when the DAG is made.",
        },
        "inputs": {
            "type": ["object", "array", "null"],
            "description": "What a run gives, with defaults; null for what it has to give.",
        },
        "datasets": {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string"},
            "description": "Inputs that are datasets of the catalog.",
        },
        "outputs": _names("What is asked for; without it everything but savers."),
        "allow_overrides": {
            "type": "boolean",
            "description": "A later module may define a function again.",
        },
        "materializers": _text("A list of materializers, as module:name."),
        "variants": {
            "type": ["array", "null"],
            "items": {"type": "object"},
            "description": "Other configs that have to work, too.",
        },
    },
    "additionalProperties": False,
}
_PIPELINE: Schema = {
    "type": "object",
    "properties": {
        "description": {
            "type": ["string", "null"],
            "description": "What the pipeline does, for the DAG's documentation.",
        },
        "nodes": {
            "type": "array",
            "items": {"$ref": "#/$defs/node"},
            "description": "The pipeline's nodes.",
        },
        "include": {
            "type": "array",
            "items": {"$ref": "#/$defs/name"},
            "description": "Pipelines that this one is made of.",
        },
        "select": _SELECT,
        "python": _PYTHON,
        "hamilton": {
            "description": "A driver of Hamilton, or several.",
            "oneOf": [_DRIVER, {"type": "array", "items": _DRIVER, "minItems": 1}],
        },
        "kedro": {
            "$ref": "#/$defs/name",
            "description": "A pipeline that the Kedro project registers, under another name here.",
        },
    },
    "oneOf": [
        {"required": [key]} for key in ("nodes", "include", "select", "python", "hamilton", "kedro")
    ],
    "additionalProperties": False,
}


def pipelines_schema() -> Schema:
    """Return the schema of pipelines.yml."""
    return {
        "$schema": DRAFT,
        "title": "DagForge pipelines",
        "description": "Pipelines by name. Names that begin with one underscore are for anchors.",
        "type": ["object", "null"],
        "patternProperties": {"^_(?!_)": {}},
        "additionalProperties": {"$ref": "#/$defs/pipeline"},
        "propertyNames": {"not": {"const": "default"}},
        "$defs": {
            "pipeline": _PIPELINE,
            "node": _NODE,
            "name": {"type": "string", "minLength": 1},
        },
    }
