"""Parameters of runs: which there are, how they are declared, and how tasks get them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jinja2
import jinja2.nativetypes
import pytest

from dagforge.planning.model import DagPlan
from dagforge.values import Instance, RunValue
from tests.projects import build_project, problems_of, run, write_project

FLOWS = """
    import dagforge

    @dagforge.node
    def load(n: int, note: str = "none"):
        return list(range(n))

    @dagforge.node
    def score(rows, limit: float = 0.5):
        return len(rows)

    @dagforge.pipeline
    def flow(n: int = 5, unread: int = 1):
        score(load(n))
    """
FILES = {"conf/base/pipelines.yml": 'flow: {python: "flows:flow"}', "flows.py": FLOWS}


def plan_of(tmp_path: Path, files: dict[str, str] | None = None, **request: Any) -> DagPlan:
    request = {"target": "airflow", **request}
    (dag,) = build_project(tmp_path, {**FILES, **(files or {})}, **request).dags
    return dag


def word_of(dag: DagPlan, task_id: str) -> RunValue | None:
    task = next(task for task in dag.tasks if task.task_id == task_id)
    words = [word for word in task.command if isinstance(word, RunValue)]
    return next((word for word in words if word.name == "parameters"), None)


def test_what_nodes_read_are_params_of_the_dag(tmp_path: Path) -> None:
    params = plan_of(tmp_path).arguments["params"]
    assert list(params) == ["n", "load.note", "score.limit", "dagforge_structure"]
    assert params["score.limit"] == Instance(
        "Param", {"default": 0.5, "type": "number", "title": "limit", "section": "score"}
    )


def test_a_task_is_handed_what_its_nodes_read(tmp_path: Path) -> None:
    dag = plan_of(tmp_path)
    assert word_of(dag, "load") == RunValue("parameters", (("n", "n"), ("load.note", "load.note")))
    assert word_of(dag, "score") == RunValue("parameters", (("score.limit", "score.limit"),))


@pytest.mark.parametrize(
    ("inputs", "keys"),
    [
        ("params:sizes.rows", ["sizes", "sizes.rows"]),
        ("params:sizes", ["sizes", "sizes.rows"]),
        ("parameters", ["sizes", "sizes.rows", "other"]),
        ("params:size", None),
    ],
)
def test_settings_list_parameters_of_pipelines_in_yaml(
    tmp_path: Path, inputs: str, keys: list[str] | None
) -> None:
    dag = plan_of(
        tmp_path,
        {
            "conf/base/pipelines.yml": f"""
                etl: {{nodes: [{{name: load, func: "m:f", inputs: ["{inputs}"]}}]}}
                """,
            "conf/base/parameters.yml": "{sizes: {rows: 1}, size: 2}",
            "conf/base/airflow.yml": "etl: {params: {sizes: {}, sizes.rows: 2, other: 3}}",
        },
    )
    word = word_of(dag, "load")
    assert (word and [name for name, _ in word.keys]) == keys


def test_parameters_yml_goes_over_the_signature(tmp_path: Path) -> None:
    files = {
        "conf/base/parameters.yml": "{n: 7, score: {limit: 1}}",
        "conf/prod/parameters.yml": "{n: 9}",
    }
    params = plan_of(tmp_path, files).arguments["params"]
    assert (params["n"].arguments["default"], params["score.limit"].arguments["default"]) == (7, 1)
    params = plan_of(tmp_path, files, env="prod").arguments["params"]
    assert params["n"].arguments["default"] == 9


def test_a_value_of_another_type_is_refused(tmp_path: Path) -> None:
    files = {**FILES, "conf/base/parameters.yml": "n: many\nscore: {limit: [1]}"}
    assert problems_of(tmp_path, files, target="airflow") == [
        "conf/base/parameters.yml:1:4: error: the parameter 'n' is \"many\", not an integer"
        " [parameter-value]\n  fix: change the value, or the signature",
        "conf/base/parameters.yml:2:16: error: the parameter 'score.limit' is [1], not a number"
        " [parameter-value]\n  fix: change the value, or the signature",
    ]


def test_a_schedule_needs_a_value_for_everything(tmp_path: Path) -> None:
    files = {
        **FILES,
        "flows.py": FLOWS.replace("n: int = 5", "n: int"),
        "conf/base/airflow.yml": 'default: {schedule: "@daily", start_date: 2024-01-01}',
    }
    assert problems_of(tmp_path, files, target="airflow") == [
        "flows.py:11:1: error: the parameter 'n' has no value, and the DAG runs by a schedule"
        " [required-parameter]\n"
        "  fix: give it a default, or a value in parameters.yml: n: ..."
    ]
    files["conf/base/airflow.yml"] = "{}"
    params = plan_of(tmp_path, files).arguments["params"]
    assert params["n"] == Instance("Param", {"type": "integer"})


def test_a_flow_has_a_signature(tmp_path: Path) -> None:
    text = FLOWS.replace("n: int = 5", "n: int")
    dag = plan_of(tmp_path, {"flows.py": text}, target="prefect")
    assert [
        (name, each.annotation, each.default, each.required)
        for name, each in dag.parameters.items()
    ] == [
        ("n", "int", None, True),
        ("load_note", "str", "none", False),
        ("score_limit", "float", 0.5, False),
    ]
    word = word_of(dag, "load")
    assert word is not None
    assert word.keys == (("n", "n"), ("load.note", "load_note"))


def test_two_parameters_with_one_name_in_a_signature(tmp_path: Path) -> None:
    text = FLOWS.replace("n: int = 5", "n: int = 5, load_note: int = 1").replace(
        "load(n))", 'load.with_options(name="load")(n, "x"), load_note)'
    )
    assert problems_of(tmp_path, {**FILES, "flows.py": text}, target="prefect") == [
        "flows.py:13:5: error: the parameter 'load.note' would be called 'load_note' in the flow's"
        " signature, which is taken [id-collision]\n  fix: rename it"
    ]


# --- how Airflow spells it

ODD = {"n": 3, "load.note": 'it\'s "{{ ds }}" $(HOME) </b> ł'}


def spelled(tmp_path: Path, target: str, **settings: Any) -> str:
    build = build_project(
        tmp_path,
        {**FILES, "conf/base/airflow.yml": json.dumps({"default": settings})},
        target=target,
        render=True,
    )
    lines = build.files[0].text.splitlines()
    (line,) = [line for line in lines if "tojson" in line and '"n"' in line]
    text: str = eval(line.strip().rstrip(","))
    return text


def test_airflow_renders_json(tmp_path: Path) -> None:
    text = spelled(tmp_path, "airflow")
    assert json.loads(jinja2.Environment().from_string(text).render(params=ODD)) == ODD


def test_airflow_renders_json_where_fields_become_objects(tmp_path: Path) -> None:
    text = spelled(tmp_path, "airflow", render_template_as_native_obj=True)
    found = jinja2.nativetypes.NativeEnvironment().from_string(text).render(params=ODD)
    assert isinstance(found, str)
    assert json.loads(found) == ODD


def test_kubernetes_finds_no_variable_in_it(tmp_path: Path) -> None:
    text = spelled(tmp_path, "airflow-k8s", image="x:1", namespace="jobs")
    found = jinja2.Environment().from_string(text).render(params=ODD)
    assert "$" not in found
    assert json.loads(found) == ODD


def test_a_parameter_that_nothing_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_project(tmp_path, {**FILES, "conf/base/parameters.yml": "other: 1"}))
    ran = run("run", "flow", "--dry-run", "--params", "scroe.limit=1,other=2,n=4")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: --params: no node reads a parameter 'scroe.limit', and none is declared"
        " [unknown-parameter]\n  fix: did you mean 'score.limit'?\n"
    )
    assert run("run", "flow", "--dry-run", "--params", "score.limit=1,other=2,n=4").code == 0
