"""`dagforge list`, `show` and `explain`, asked as a user asks them."""

from __future__ import annotations

import dataclasses
import inspect
import json
import textwrap
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dagforge import values
from dagforge.cli import invoke
from dagforge.commands.stage_data import _SPELLINGS, as_data
from dagforge.errors import UsageError
from dagforge.planning.model import DagPlan, Task

PIPELINES = """\
    __default__:
      description: Everything.
      include: [data_processing, data_science]
    data_processing:
      nodes:
        - {name: load, func: "a.b:load", outputs: raw}
        - {name: clean.raw, func: "a.b:clean", inputs: raw, outputs: table, tags: [machine:medium]}
    data_science:
      description: Train it.
      nodes:
        - name: split_data_node
          func: a.b:split
          inputs: [table, params:options]
          outputs: [X_train, X_test]
          tags: [airflow:split, machine:medium]
        - {name: train, func: "a.b:train", inputs: X_train, outputs: model, tags: [airflow:split]}
        - {name: evaluate, command: [echo, "{{ ds }}"], after: [train], settings: {retries: 9}}
"""
CATALOG = """\
    table: {type: pandas.CSVDataset, filepath: s3://x/table.csv}
    model: {type: pickle.PickleDataset, filepath: s3://x/model.pkl}
    raw: {type: pickle.PickleDataset, filepath: s3://x/raw.pkl}
"""
SETTINGS = """\
    default:
      schedule_interval: "0 6 * * *"
      retries: 1
      retry_delay: 5
      start_date: 2024-01-31
      image: "repo/x:1"
      labels: {team: ml, app.kubernetes.io/name: x}
      on_failure_callback: {import: "team.alerts:notify"}
      machines:
        medium: {requests: {cpu: 500m}, limits: {memory: 2Gi}}
      tolerations: [{key: batch, operator: Exists}]
    data_science:
      for_tasks:
        split: {retries: 3, labels: {team: ds}}
"""


@pytest.fixture
def ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Return a function that runs a command in a small project and returns what it prints."""
    for name, text in {
        "base/pipelines.yml": PIPELINES,
        "base/catalog.yml": CATALOG,
        "base/parameters.yml": "options: {test_size: 0.2}",
        "base/airflow.yml": SETTINGS,
        "prod/airflow.yml": "default: {retries: 4}\ndata_science: {retries: 6}",
    }.items():
        file = tmp_path / "shop" / "conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "shop")

    def run(*arguments: str) -> str:
        capsys.readouterr()
        invoke(arguments)
        return capsys.readouterr().out

    return run


def test_list_is_a_table(ask: Callable[..., str]) -> None:
    assert ask("list") == (
        "pipeline         nodes  tasks  schedule   dag_id                description\n"
        "__default__          5      4  0 6 * * *  shop                  Everything.\n"
        "data_processing      2      2  0 6 * * *  shop-data-processing  -\n"
        "data_science         3      2  0 6 * * *  shop-data-science     Train it.\n"
    )


def test_list_as_json_has_the_same_facts(ask: Callable[..., str]) -> None:
    assert json.loads(ask("list", "--format", "json"))[2] == {
        "pipeline": "data_science",
        "nodes": 3,
        "tasks": 2,
        "schedule": "0 6 * * *",
        "dag_id": "shop-data-science",
        "description": "Train it.",
    }


def test_groups_show_nodes_tags_machine_and_order(ask: Callable[..., str]) -> None:
    assert ask("show", "data_science", "--target", "airflow-k8s") == (
        "pipeline data_science: 2 tasks of 3 nodes, grouped by tags, dag_id shop-data-science\n"
        "  split  (pod, medium)\n"
        "    nodes: split_data_node, train\n"
        "    tags: airflow:split, machine:medium\n"
        "  evaluate  (pod)\n"
        "    after: split\n"
    )


def stage(ask: Callable[..., str], name: str, *more: str) -> dict[str, Any]:
    """Return a stage of data_science from its JSON."""
    shown = json.loads(
        ask("show", "data_science", "--target", "airflow-k8s", "--stage", name, "--format", "json",
            *more)
    )  # fmt: skip
    assert (shown["stage"], shown["target"]) == (name, "airflow-k8s")
    (one,) = shown["pipelines"]
    assert isinstance(one, dict)
    return one


def test_pipeline_as_loaded(ask: Callable[..., str]) -> None:
    shown = stage(ask, "pipeline")
    split, _, evaluate = shown["nodes"]
    assert split["action"] == {
        "runner": "function", "target": "a.b:split", "command": [], "arguments": {},
    }  # fmt: skip
    assert split["at"] == "conf/base/pipelines.yml:11:7"
    assert evaluate["action"]["command"] == ["echo", "{{ ds }}"]
    assert evaluate["settings"] == {"retries": 9}
    assert {
        "upstream": "split_data_node", "downstream": "train", "datasets": ["X_train"]
    } in shown["links"]  # fmt: skip
    assert [dataset["uri"] for dataset in shown["datasets"]] == [
        "s3://x/table.csv", "s3://x/model.pkl",
    ]  # fmt: skip


def test_settings_know_their_place(ask: Callable[..., str]) -> None:
    shown = stage(ask, "settings", "--env", "prod")
    assert shown["dag"]["retries"] == {
        "value": 6, "layer": "data_science (prod airflow)", "at": "conf/prod/airflow.yml:2:25",
    }  # fmt: skip
    assert shown["dag"]["catchup"] == {
        "value": False, "layer": "target airflow-k8s", "at": None,
    }  # fmt: skip
    assert shown["tasks"]["evaluate"] == {
        "retries": {
            "value": 9, "layer": "node evaluate", "at": "conf/base/pipelines.yml:17:89",
        }
    }  # fmt: skip
    assert shown["tasks"]["split"]["labels"]["value"] == {
        "team": "ds", "app.kubernetes.io/name": "x",
    }  # fmt: skip


def test_plan_is_complete_and_typed(ask: Callable[..., str]) -> None:
    shown = stage(ask, "plan")
    assert (shown["dag_id"], shown["file"]) == ("shop-data-science", "shop_data_science.py")
    assert shown["arguments"]["schedule"] == {
        "cron": "0 6 * * *", "timezone": "UTC", "meaning": "trigger",
    }  # fmt: skip
    assert shown["arguments"]["start_date"] == {"date": [2024, 1, 31], "timezone": "UTC"}
    assert shown["default_args"]["retry_delay"] == {"seconds": 300.0}
    assert shown["default_args"]["on_failure_callback"] == {"import": "team.alerts:notify"}
    assert shown["default_args"]["tolerations"] == [
        {"model": "V1Toleration", "fields": {"key": "batch", "operator": "Exists"}}
    ]
    assert shown["constants"]["MEDIUM"]["fields"]["limits"] == {"memory": "2Gi"}
    split, evaluate = shown["tasks"]
    # What a task's arguments were made from is another stage.
    assert set(split) == {field.name for field in dataclasses.fields(Task)} - {"settings"}
    of_dag = {field.name for field in dataclasses.fields(DagPlan)} - {
        "settings",
        "stem",
        "variable",
    }
    assert set(shown) == of_dag | {"file"}
    assert {"run_value": "run_id"} in split["command"]
    assert split["resources"] == {"constant": "MEDIUM"}
    assert (split["downstream"], evaluate["upstream"]) == (["evaluate"], ["split"])
    assert shown["edges"] == [{"upstream": "split", "downstream": "evaluate", "datasets": []}]


def test_settings_as_text_end_with_the_tasks_own(ask: Callable[..., str]) -> None:
    shown = ask("show", "data_science", "--stage", "settings")
    assert "\n  retries               1   " in shown
    assert shown.endswith(
        "task split\n"
        "  retries  3                                              conf/base/airflow.yml:14:22\n"
        '  labels   {"team": "ds", "app.kubernetes.io/name": "x"}  conf/base/airflow.yml:14:33\n'
        "task evaluate\n"
        "  retries  9  conf/base/pipelines.yml:17:89\n"
    )


def test_plan_as_text_leaves_out_what_is_empty(ask: Callable[..., str]) -> None:
    shown = ask("show", "data_science", "--stage", "plan", "--target", "airflow-k8s")
    assert 'task evaluate\n  variable: "evaluate"\n  kind: "pod"\n' in shown
    assert '  command: ["echo", "{{ ds }}"]\n' in shown
    assert shown.endswith("split >> evaluate\n")
    assert not [line for line in shown.splitlines() if line.endswith((" ", ": []", ": null"))]


def test_pipeline_as_text(ask: Callable[..., str]) -> None:
    assert ask("show", "data_processing", "--stage", "pipeline") == (
        "pipeline data_processing  (conf/base/pipelines.yml:5:3)\n"
        "  load  (conf/base/pipelines.yml:6:7)\n"
        "    function: a.b:load\n"
        "    outputs: raw\n"
        "    module: a.b\n"
        "  clean.raw  (conf/base/pipelines.yml:7:7)\n"
        "    function: a.b:clean\n"
        "    inputs: raw\n"
        "    outputs: table\n"
        "    tags: machine:medium\n"
        "    module: a.b\n"
        "datasets\n"
        "  raw: s3://x/raw.pkl\n"
        "  table: s3://x/table.csv\n"
    )


# --- the JSON of typed values


def test_every_typed_value_has_its_own_form() -> None:
    classes = {
        each
        for _, each in inspect.getmembers(values, inspect.isclass)
        if each.__module__ == values.__name__
    }
    assert classes | {timedelta} == set(_SPELLINGS)


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (values.Every(timedelta(hours=6), "interval"),
         {"every": {"seconds": 21600.0}, "meaning": "interval"}),
        (values.Literal("{{ ds }}"), {"literal": "{{ ds }}"}),
        (values.Instance("a:B", {"x": timedelta(seconds=1)}),
         {"call": "a:B", "args": {"x": {"seconds": 1.0}}}),
        (values.Instance("a:B", {}, (timedelta(seconds=1),)),
         {"call": "a:B", "positional": [{"seconds": 1.0}], "args": {}}),
        ({"literal": "x"}, {"mapping": {"literal": "x"}}),
        ({"seconds": 1}, {"mapping": {"seconds": 1}}),
        ({"mapping": {}}, {"mapping": {"mapping": {}}}),
        ({"literal": "x", "more": 1}, {"literal": "x", "more": 1}),
        (float("nan"), {"float": "nan"}),
        ([(1, None)], [[1, None]]),
    ],
)  # fmt: skip
def test_values_as_data(value: Any, data: Any) -> None:
    assert as_data(value) == data


def test_a_new_typed_value_is_shown_with_its_fields() -> None:
    @dataclasses.dataclass(frozen=True)
    class Moon:
        phase: timedelta

    expected = {"type": "Moon", "fields": {"phase": {"seconds": 2.0}}}
    assert as_data(Moon(timedelta(seconds=2))) == expected


# --- explain


def test_the_chain_begins_with_the_winner(ask: Callable[..., str]) -> None:
    assert ask("explain", "data_science.split.retries", "--env", "prod") == (
        "data_science.split.retries = 3\n"
        "  3  conf/base/airflow.yml:14:22  data_science.for_tasks.split (base airflow)\n"
        "  6  conf/prod/airflow.yml:2:25   data_science (prod airflow)\n"
        "  4  conf/prod/airflow.yml:1:20   default (prod airflow)\n"
        "  1  conf/base/airflow.yml:3:12   default (base airflow)\n"
        "How often a failed task is tried again.\n"
    )


def explained(ask: Callable[..., str], path: str, *more: str) -> dict[str, Any]:
    answer = json.loads(ask("explain", path, "--format", "json", *more))
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize(
    ("path", "value", "first_layer"),
    [
        ("data_science.schedule_interval", "0 6 * * *", "default (base airflow)"),
        ("data_science.retries", 1, "default (base airflow)"),
        ("data_science.evaluate.retries", 9, "node evaluate"),
        ("data_science.split_data_node.retries", 3, "data_science.for_tasks.split (base airflow)"),
        ("data_processing.clean.raw.retries", 1, "default (base airflow)"),
        ("data_science.split.labels.team", "ds", "data_science.for_tasks.split (base airflow)"),
        ("data_science.labels.app.kubernetes.io/name", "x", "default (base airflow)"),
        ("data_science.machines.medium.limits.memory", "2Gi", "default (base airflow)"),
        ("data_science.catchup", False, "target airflow"),
        ("data_science.split.labels", {"team": "ds", "app.kubernetes.io/name": "x"},
         "data_science.for_tasks.split (base airflow)"),
    ],
)  # fmt: skip
def test_paths(ask: Callable[..., str], path: str, value: object, first_layer: str) -> None:
    answer = explained(ask, path)
    assert (answer["value"], answer["chain"][0]["layer"]) == (value, first_layer)


def test_the_command_line_is_above_all(ask: Callable[..., str]) -> None:
    answer = explained(ask, "data_science.split.retries", "--params", "retries=0")
    assert answer["chain"][0] == {"value": 0, "layer": "--params", "at": None}


def test_a_setting_that_nobody_sets(ask: Callable[..., str]) -> None:
    assert ask("explain", "data_science.split.execution_timeout") == (
        "data_science.split.execution_timeout\n"
        "nobody sets it: Airflow's own default holds\n"
        "Fail a task that runs longer than this.\n"
    )


def test_a_setting_that_the_version_does_not_have(ask: Callable[..., str]) -> None:
    shown = ask("explain", "data_science.deadline", "--airflow-version", "2.10")
    assert "Airflow 2.10 has no such argument\n" in shown


def test_what_the_plan_decides_is_told(ask: Callable[..., str]) -> None:
    answer = explained(ask, "__default__.max_active_runs")
    assert (answer["value"], answer["notes"]) == (16, ["the plan makes it 1"])
    assert explained(ask, "data_science.dag_id")["notes"][-1] == (
        'the plan makes it "shop-data-science"'
    )


def test_a_dag_tells_which_tasks_differ(ask: Callable[..., str]) -> None:
    assert explained(ask, "data_science.retries")["notes"] == [
        "2 tasks with another value: split (3), evaluate (9)"
    ]


def test_a_machine_comes_from_its_tags(ask: Callable[..., str]) -> None:
    answer = explained(ask, "data_science.split.machine", "--target", "airflow-k8s")
    assert answer["value"] == "medium"
    assert answer["chain"] == [
        {
            "value": "medium",
            "layer": "tag 'machine:medium' of node split_data_node",
            "at": "conf/base/pipelines.yml:15:29",
        }
    ]
    none = explained(ask, "data_science.evaluate.machine", "--target", "airflow-k8s")
    assert (none["value"], none["notes"]) == (None, ["the task has no machine"])


def test_a_pipeline_or_task_alone_lists_its_settings(ask: Callable[..., str]) -> None:
    settings = explained(ask, "data_science")["settings"]
    assert settings["retries"] == {
        "value": 1, "layer": "default (base airflow)", "at": "conf/base/airflow.yml:3:12",
    }  # fmt: skip
    assert settings["on_failure_callback"]["value"] == {"import": "team.alerts:notify"}
    of_task = explained(ask, "data_science.split")["settings"]
    assert of_task["retries"]["value"] == 3
    assert "schedule" in settings
    assert "schedule" not in of_task


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("data_scince.split",
         "error: there is no pipeline 'data_scince' [unknown-pipeline]\n"
         "  fix: did you mean 'data_science'?"),
        ("retries",
         "error: there is no pipeline 'retries' [unknown-pipeline]\n"
         "  fix: begin with a pipeline: __default__.retries"),
        ("data_science.spilt.retries",
         "error: 'data_science' has no task 'spilt', and there is no setting of that name "
         "[unknown-setting]\n  fix: did you mean 'split'?"),
        ("data_science.split.retires",
         "error: there is no setting 'retires' [unknown-setting]\n  fix: did you mean 'retries'?"),
        ("data_science.split.schedule",
         "error: 'schedule' is a setting of the DAG, not of a task [dag-setting]\n"
         "  fix: dagforge explain data_science.schedule"),
        ("data_science.train.machines.medium.limits.memory",
         "error: 'machines' is a setting of the DAG, not of a task [dag-setting]\n"
         "  fix: dagforge explain data_science.machines.medium.limits.memory"),
        ("data_science.machines.medum",
         "error: 'machines' has no 'medum' [unknown-setting]\n  fix: did you mean 'medium'?"),
        ("data_science.retries.more",
         "error: 'retries' is no mapping [unknown-setting]"),
    ],
)  # fmt: skip
def test_wrong_paths(ask: Callable[..., str], path: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        ask("explain", path)
    assert str(caught.value) == message
