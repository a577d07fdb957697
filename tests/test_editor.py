"""The schemas for editors: valid, they take what DagForge takes and refuse what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from dagforge.cli import invoke
from dagforge.commands.editor import pipelines_schema, settings_schema
from dagforge.conf import read_yaml
from dagforge.errors import UsageError
from dagforge.resources import demo_conf_dir, templates_dir
from dagforge.settings.schema import check_types
from dagforge.target import read_target, target_names

TARGETS = [None, *target_names(templates_dir())]


def parts(schema: Any) -> list[dict[str, Any]]:
    """Return a schema and all schemas in it."""
    if isinstance(schema, list):
        return [part for item in schema for part in parts(item)]
    if not isinstance(schema, dict):
        return []
    return [schema, *(part for item in schema.values() for part in parts(item))]


@pytest.mark.parametrize("target", TARGETS)
def test_settings_schema_is_valid_and_free_of_any_of(target: str | None) -> None:
    schema = settings_schema(target)
    jsonschema_rs.meta.validate(schema)
    assert not [part for part in parts(schema) if "anyOf" in part]


def test_pipelines_schema_is_valid_and_free_of_any_of() -> None:
    schema = pipelines_schema()
    jsonschema_rs.meta.validate(schema)
    assert not [part for part in parts(schema) if "anyOf" in part]


@pytest.mark.parametrize("target", TARGETS)
def test_every_setting_and_alias_is_described(target: str | None) -> None:
    section = settings_schema(target)["$defs"]["section"]["properties"]
    assert not [name for name, entry in section.items() if not entry.get("description")]
    for name in [target] if target else target_names(templates_dir()):
        assert set(read_target(name, templates_dir()).canonical) <= set(section)


def test_every_key_of_a_pipeline_is_described() -> None:
    schema = pipelines_schema()
    for part in parts(schema["$defs"]):
        for name, entry in part.get("properties", {}).items():
            assert isinstance(entry, str) or entry.get("description"), name


SCHEMAS = {
    "pipelines": lambda: pipelines_schema(),
    "airflow": lambda: settings_schema("airflow"),
    "prefect": lambda: settings_schema("prefect"),
}
DEMO_FILES = [path for name in SCHEMAS for path in demo_conf_dir().glob(f"*/{name}.yml")]


@pytest.mark.parametrize("file", DEMO_FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_the_demo_is_accepted(file: Path) -> None:
    data = read_yaml(file, demo_conf_dir()).data
    assert data
    jsonschema_rs.validator_for(SCHEMAS[file.stem]()).validate(data)


NODE = {"name": "a", "func": "m:f"}


@pytest.mark.parametrize(
    "data",
    [
        None,
        {"p": {"nodes": []}, "_anchors": 5},
        {"p": {"description": "x", "nodes": [{**NODE, "inputs": {"x": "params:y"}, "after": "b"}]}},
        {"p": {"nodes": [{"name": "a", "command": ["ls", ""], "outputs": ["b", "c"]}]}},
        {"p": {"nodes": [{"name": "a", "command": ["echo", {"literal": "{{ x }}"}]}]}},
        {"p": {"nodes": [{"name": "a", "operator": {"type": "a.B", "arguments": {"x": 1}}}]}},
        {"p": {"include": ["q"]}, "q": {"select": {"from": "p", "tags": ["x"]}}},
        {"__default__": {"nodes": [{**NODE, "settings": {"retries": 1}, "namespace": "a.b"}]}},
    ],
)
def test_good_pipelines(data: Any) -> None:
    assert jsonschema_rs.validator_for(pipelines_schema()).is_valid(data)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"default": {"nodes": []}},
        {"p": {"node": []}},
        {"p": {"nodes": [], "include": []}},
        {"p": {"description": "nothing else"}},
        {"p": {"nodes": [{**NODE, "input": "x"}]}},
        {"p": {"nodes": [{**NODE, "command": ["x"]}]}},
        {"p": {"nodes": [{"name": "a"}]}},
        {"p": {"nodes": [{"func": "m:f"}]}},
        {"p": {"nodes": [{"name": "a", "func": "m.f"}]}},
        {"p": {"nodes": [{"name": "a", "command": "ls"}]}},
        {"p": {"nodes": [{"name": "a", "command": []}]}},
        {"p": {"nodes": [{"name": "a", "command": ["echo", {"text": "x"}]}]}},
        {"p": {"nodes": [{"name": "a", "operator": {"type": "a.B", "argument": {}}}]}},
        {"p": {"nodes": [{"name": "a", "operator": {"type": "Short"}}]}},
        {"p": {"nodes": [{**NODE, "outputs": {"x": "y"}}]}},
        {"p": {"nodes": [{**NODE, "tags": [1]}]}},
        {"p": {"select": {"from": "q", "tag": ["x"]}}},
        {"p": {"select": {"from": "q"}}},
    ],
)
def test_bad_pipelines(data: Any) -> None:
    assert not jsonschema_rs.validator_for(pipelines_schema()).is_valid(data)


@pytest.mark.parametrize(
    ("data", "good"),
    [
        ({"default": {"retries": 1, "my_own_variable": "x"}}, True),
        ({"p": {"on_failure_callback": {"import": "a:b"}}}, True),
        ({"p": {"for_tasks": {"split": {"retries": 2}}}}, True),
        ({"p": {"for_tags": {"big": None}}}, True),
        ({"p": None}, True),
        ({"p": {"machines": {"m": {"request": {}}}}}, False),
        ({"p": {"retries": "many"}}, False),
        ({"p": {"for_tasks": {"split": {"retries": "2"}}}}, False),
        ({"p": {"for_tasks": ["split"]}}, False),
        ({"p": 5}, False),
    ],
)
def test_settings(data: Any, good: bool) -> None:
    assert jsonschema_rs.validator_for(settings_schema(None)).is_valid(data) is good


@pytest.mark.parametrize("target", target_names(templates_dir()))
def test_editors_take_what_merging_takes_away(target: str) -> None:
    """A null in a mapping, {literal: ...} in a templated text: what check_types takes, and more."""
    known = read_target(target, templates_dir())
    validator = jsonschema_rs.validator_for(settings_schema(target))

    def taken(name: str, value: Any) -> tuple[bool, bool]:
        by_editor = validator.is_valid({"default": {name: value}})
        return by_editor, not list(check_types({name: value}, known))

    literal = {"literal": "{{ x }}"}
    tried = 0
    for name, setting in known.settings.items():
        inner = setting.schema.get("additionalProperties")
        if isinstance(inner, dict):
            assert taken(name, {"x": None}) == (True, True), name
            tried += 1
        if setting.templated and isinstance(inner, dict):
            assert taken(name, {"x": literal}) == (True, True), name
            if "object" not in inner["type"]:
                assert taken(name, {"x": {"literl": "y"}}) == (False, False), name
        items = setting.schema.get("items", {})
        if "string" in items.get("type", ()):
            assert taken(name, [None]) == (False, False), name
        if setting.templated and "string" in items.get("type", ()):
            assert taken(name, [literal]) == (True, True), name
            tried += 1
    assert tried >= 4
    sizes = {"small": {"requests": {"cpu": None}, "limits": None}, "large": None}
    assert taken("machines", sizes) == (True, True)
    assert taken("machines", {"small": {"gpus": 1}}) == (False, False)


def test_a_target_knows_only_its_own() -> None:
    prefect = settings_schema("prefect")["$defs"]["section"]["properties"]
    airflow = settings_schema("airflow-k8s")["$defs"]["section"]["properties"]
    assert "work_pool_name" in prefect.keys() - airflow.keys()
    assert "service_account_name" in airflow.keys() - prefect.keys()
    with pytest.raises(UsageError, match="there is no target 'airflw'"):
        settings_schema("airflw")


@pytest.mark.parametrize("kind", ["settings", "pipelines"])
def test_the_command_prints_json(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    invoke(["schema", "--kind", kind])
    printed = json.loads(capsys.readouterr().out)
    assert printed == (settings_schema(None) if kind == "settings" else pipelines_schema())
