"""Values that a `target.yaml` allows are values that the real orchestrator takes."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagforge.target import Setting, Target, version_key
from tests.real.test_target_facts import AIRFLOW, OPERATORS, airflow, ask, home, prefect

__all__ = ["home"]

Row = tuple[str, str, Any]
"""A class, an argument and its value, as the probe takes them."""

POD_KINDS = frozenset({"pod", "gke"})
TEMPLATE = "{{ ds }}"
LITERAL = {"!": "literal", "text": TEMPLATE}
CALLABLE = {"!": "object", "path": "builtins.print"}

# Where a value of the schema's type says too little. None: a construction of its own would prove
# nothing here, the value is whatever the named class of the orchestrator is.
SAMPLES: dict[str, Any] = {
    "asset_deps": ["s3://bucket/key"],
    "allowed_run_types": ["manual", "scheduled"],
    "callbacks": None,
    "deadline": None,
    "executor_config": {},
    "full_pod_spec": {"!": "model", "model": "V1Pod", "fields": {}},
    "inlets": None,
    "outlets": None,
    "owner_links": {"airflow": "https://example.com"},
    "params": {"size": 1},
    "pod_overrides": {"spec": {"containers": []}},
    "resources": {"cpus": 1},
    "retry_policy": None,
    "schedule": None,
    "secrets": None,
    "template_undefined": {"!": "object", "path": "jinja2.StrictUndefined"},
    "trigger_kwargs": {},
    "user_defined_filters": {"twice": CALLABLE},
    "user_defined_macros": {"twice": CALLABLE},
    "weight_rule": "absolute",
}

# Since when an argument is deprecated that stays a setting as long as Airflow takes it.
DEPRECATED = {"email": (3, 0), "access_control": (3, 1), "reattach_on_restart": (2, 11)}


def sample(setting: Setting, target: Target) -> Any:
    """Return a value of a setting, as the plan would pass it on."""
    if setting.name in SAMPLES:
        return SAMPLES[setting.name]
    if setting.value == "model":
        assert setting.model is not None
        model = sample_model(setting.model, target)
        return [model] if "array" in types(setting.schema) else model
    if setting.value == "duration":
        return 60 if setting.unit == "seconds" else {"!": "timedelta", "seconds": 60}
    if setting.value == "date":
        return {"!": "date"}
    if setting.value == "object" and "string" not in types(setting.schema):
        always_list = target.facts["settings"][setting.name].get("list", False)
        return [CALLABLE] if always_list else CALLABLE
    return of_schema(setting.schema)


def types(schema: Any) -> list[str]:
    given = schema["type"]
    return [given] if isinstance(given, str) else list(given)


def of_schema(schema: Any) -> Any:
    """Return a small value of a JSON Schema."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = types(schema)[0]
    if kind == "object":
        inner = schema.get("additionalProperties") or {"type": "string"}
        return {"key": of_schema(inner)}
    if kind == "array":
        return [of_schema(schema.get("items") or {"type": "string"})]
    return {"string": "text", "integer": 1, "number": 1.5, "boolean": True}[kind]


def sample_model(name: str, target: Target) -> dict[str, Any]:
    """Return a Kubernetes model with its required fields."""
    model = target.kubernetes_models[name]
    plain = {"str": "text", "int": 1, "bool": True, "int_or_str": 80, "list[str]": ["text"]}
    fields = {}
    for key in model["required"]:
        argument, kind = model["fields"][key][:2]
        fields[argument] = plain[kind] if kind in plain else sample_model(kind, target)
    return {"!": "model", "model": name, "fields": fields}


def constructions(target: Target) -> Iterator[tuple[Setting, Row]]:
    """Give every setting of a version with a value, and with null where null is allowed."""
    for setting in target.settings.values():
        argument = target.arguments.get(setting.name)
        if argument is None:
            continue
        for name in takers(setting, target):
            value = sample(setting, target)
            if value is not None:
                yield setting, (name, argument, value)
            if "null" in types(setting.schema):
                yield setting, (name, argument, None)


def takers(setting: Setting, target: Target) -> list[str]:
    """Return what a setting is tried on: one constructor of each sort that takes it."""
    if target.orchestrator == "prefect":
        return [setting.group or "task"]
    if setting.scope == "dag":
        return ["DAG"]
    if setting.kinds is None:
        return ["PythonOperator"]
    return [OPERATORS[kind] for kind in sorted(setting.kinds)]


def template_rows(target: Target) -> list[Row]:
    """Give arguments that hold a template and a literal, each in a place of its own."""
    both = [TEMPLATE, LITERAL]
    by_key = {"a": TEMPLATE, "b": LITERAL}
    mappings = ("annotations", "env_vars", "labels", "node_selector")
    return [
        ("PythonOperator", "op_args", [*both, {"deep": both}]),
        ("PythonOperator", "templates_dict", by_key),
        ("KubernetesPodOperator", "arguments", both),
        ("KubernetesPodOperator", "cmds", both),
        ("KubernetesPodOperator", "pod_template_dict", {"spec": {"deep": both}}),
        *(("KubernetesPodOperator", name, by_key) for name in mappings),
        *(
            ("KubernetesPodOperator", setting.name, value)
            for setting in target.settings.values()
            if setting.templated
            and setting.kinds == POD_KINDS
            and types(setting.schema) == ["string"]
            for value in both
        ),
    ]


def model_rows(target: Target) -> Iterator[tuple[str, str, Row]]:
    """Give every text field of models that stand in templated arguments, with a template in it."""
    holders = {"V1EnvVar": "env_vars", "V1Volume": "volumes", "V1VolumeMount": "volume_mounts"}
    for model, argument in holders.items():
        for key, (name, kind, *_) in target.kubernetes_models[model]["fields"].items():
            if kind == "str":
                value = sample_model(model, target)
                value["fields"][name] = TEMPLATE
                yield model, key, ("KubernetesPodOperator", argument, [value])


@functools.cache
def answer_of(version: str, home: Path) -> dict[str, Any]:
    """Return what the real Airflow says to all values; asked once a version."""
    target = airflow(version)
    question = {
        "paths": {name: target.imports[name] for name in ("DAG", "literal", *OPERATORS.values())},
        "constructed": [row for _, row in constructions(target)],
        "rendered": [*template_rows(target), *(row for *_, row in model_rows(target))],
    }
    return ask(AIRFLOW[version], "values.py", question, home)


@pytest.mark.parametrize("version", AIRFLOW)
def test_airflow_takes_the_values(version: str, home: Path) -> None:
    said = answer_of(version, home)["constructed"]
    assert [
        (row, answer)
        for (setting, row), answer in zip(constructions(airflow(version)), said, strict=True)
        if answer["error"]
        or (answer["deprecations"] and version_key(version) < DEPRECATED.get(setting.name, (9, 0)))
    ] == []


@pytest.mark.parametrize("version", AIRFLOW)
def test_templates_are_rendered_and_literals_are_not(version: str, home: Path) -> None:
    rows = template_rows(airflow(version))
    assert ("KubernetesPodOperator", "image", LITERAL) in rows
    wrong = []
    for row, text in zip(rows, answer_of(version, home)["rendered"], strict=False):
        asked = json.dumps(row)
        literals = asked.count('"literal"')
        templates = asked.count(TEMPLATE) - literals
        if (text.count("2024-01-01"), text.count(TEMPLATE)) != (templates, literals):
            wrong.append((row, text))
    assert wrong == []


@pytest.mark.parametrize("version", AIRFLOW)
def test_of_a_model_only_the_stated_fields_are_rendered(version: str, home: Path) -> None:
    target = airflow(version)
    stated = target.facts["templates"]["rendered_fields"]
    before = len(template_rows(target))
    texts = answer_of(version, home)["rendered"][before:]
    rendered = {
        (model, key): TEMPLATE not in text
        for (model, key, _), text in zip(model_rows(target), texts, strict=True)
    }
    assert rendered == {(model, key): key in stated[model] for model, key in rendered}


def test_prefect_takes_the_values(home: Path) -> None:
    # A deployment is not tried: making one asks a server and builds an image.
    rows = [row for _, row in constructions(prefect()) if row[0] not in ("deployment", "source")]
    paths = {name: prefect().imports[name] for name in ("flow", "task")}
    question = {"paths": paths, "constructed": rows, "rendered": []}
    said = ask("prefect", "values.py", question, home)["constructed"]
    assert [
        (row, answer)
        for row, answer in zip(rows, said, strict=True)
        if answer["error"] or answer["deprecations"]
    ] == []
