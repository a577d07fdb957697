"""Text in fields that Airflow renders arrives as it is; a pod's own container comes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from dagforge.planning.model import DagPlan
from dagforge.values import Literal, Model
from tests.projects import AIRFLOW, PIPELINES, argument_of, build_project

NODE = "etl: {nodes: [{name: load, func: 'team.etl:load', tags: [\"[1]\"]}]}"


def plan_of(root: Path, settings: dict[str, Any], pipelines: str = NODE) -> DagPlan:
    text = yaml.safe_dump({"default": {"image": "image", **settings}})
    return build_project(root, {PIPELINES: pipelines, AIRFLOW: text}).dags[0]


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("plain", False),
        ("{{ ds }}", True),
        ("{% raw %}", True),
        ("{# not a comment #}", True),
        ("two\nlines", False),
        ("the last line end is cut off\n", True),
        ("every line end\r\nbecomes one kind", True),
        ("2024", False),
        ("", False),
    ],
)
def test_literal_text_that_rendering_would_change_is_marked(
    text: str, marked: bool, tmp_path: Path
) -> None:
    dag = plan_of(tmp_path, {"env_vars": {"TEXT": {"literal": text}}})
    expected = Literal(text) if marked else text
    assert argument_of(dag, "load", "env_vars") == {"TEXT": expected}


@pytest.mark.parametrize("text", ["2024", "1.5", "None", "[1, 2]", "'quoted'", "0x1f", ""])
def test_native_rendering_leaves_text_alone(text: str, tmp_path: Path) -> None:
    settings = {"render_template_as_native_obj": True, "env_vars": {"TEXT": {"literal": text}}}
    dag = plan_of(tmp_path, settings)
    assert argument_of(dag, "load", "env_vars") == {"TEXT": Literal(text)}
    assert argument_of(dag, "load", "annotations") == {"dagforge/tags": Literal("[1]")}


def test_native_rendering_leaves_commands_alone(tmp_path: Path) -> None:
    pipelines = 'etl: {nodes: [{name: "7", func: "team.etl:load"}]}'
    for settings, expected in (
        ({}, "7"),
        ({"render_template_as_native_obj": True}, Literal("7")),
        ({"task_render_template_as_native_obj": True}, Literal("7")),
        (
            {"render_template_as_native_obj": True, "task_render_template_as_native_obj": False},
            "7",
        ),
    ):
        dag = plan_of(tmp_path, settings, pipelines)
        assert dag.tasks[0].command[4] == expected
        assert dag.tasks[0].command[:3] == ("dagforge", "run", "etl")


def test_models_are_templates_only_where_airflow_renders_them(tmp_path: Path) -> None:
    variable = [{"name": "TEXT", "value": "{{ ds"}]
    dag = plan_of(tmp_path, {"pod_runtime_info_envs": variable})
    model = Model("V1EnvVar", {"name": "TEXT", "value": "{{ ds"})
    assert argument_of(dag, "load", "pod_runtime_info_envs") == [model]


@pytest.mark.parametrize(
    ("settings", "names", "expected"),
    [
        ({}, ["proxy", "base"], ["base", "proxy"]),
        ({}, ["proxy"], ["base", "proxy"]),
        ({}, ["base", "proxy"], ["base", "proxy"]),
        ({"base_container_name": "main"}, ["proxy", "main"], ["main", "proxy"]),
        ({"base_container_name": "main"}, ["base"], ["main", "base"]),
    ],
)
def test_the_own_container_is_the_first(
    settings: dict[str, Any], names: list[str], expected: list[str], tmp_path: Path
) -> None:
    spec = {"spec": {"containers": [{"name": name} for name in names]}}
    dag = plan_of(tmp_path, {**settings, "pod_overrides": spec, "full_pod_spec": spec})
    overrides = argument_of(dag, "load", "pod_template_dict")
    assert [each["name"] for each in overrides["spec"]["containers"]] == expected
    whole = argument_of(dag, "load", "full_pod_spec")
    assert [each.fields["name"] for each in whole.fields["spec"].fields["containers"]] == expected
