"""The commands of tasks that Kedro runs, and what they hand over; no Kedro is needed here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagforge.build import Request, read_source
from dagforge.conf import parse_yaml
from dagforge.errors import DagForgeError, Origin, Problem, Problems
from dagforge.group import group
from dagforge.ir import Dataset, Node, Pipeline, Work
from dagforge.plan import plan
from dagforge.planning.borders import overlay_text
from dagforge.planning.model import DagPlan, Task
from dagforge.reading.kedro_places import CallPlace
from dagforge.resolve import read_sections, resolve
from dagforge.values import Literal, RunText, RunValue
from tests.projects import write_project

AT = Origin(CallPlace("src/shop/pipeline.py", Path("none"), 7, "n"))
IMAGE = "image: shop:1"


def node(name: str, reads: str = "", writes: str = "", *, of: str = "etl", tag: str = "") -> Node:
    return Node(
        name,
        Work("kedro", f"shop.nodes:{name}", pipeline=of),
        AT,
        inputs=tuple(reads.split()),
        outputs=tuple(writes.split()),
        tags=(tag,) if tag else (),
    )


def planned(
    root: Path,
    *nodes: Node,
    settings: str = IMAGE,
    env: str | None = None,
    version: str = "1.7.0",
    target: str = "airflow-k8s",
    datasets: dict[str, Dataset] | None = None,
    warnings: list[str] | None = None,
) -> DagPlan:
    """Return the plan of a pipeline of a Kedro project."""
    text = "default:\n" + "".join(f"  {line}\n" for line in settings.splitlines())
    folder = write_project(root, {"conf/base/dagforge.yml": text, "conf/cloud/dagforge.yml": ""})
    (folder / "conf/base/dagforge_store.yml").unlink()
    source = read_source(Request(folder, target=target, env=env))
    pipeline = Pipeline("etl", nodes, AT, datasets or {}, kedro_version=version)
    problems = Problems()
    sections = read_sections(source.conf, source.target, pipelines=["etl"], problems=problems)
    found = resolve(sections, pipeline, {}, problems=problems)
    problems.raise_errors(DagForgeError)
    groups = group(pipeline, found.grouping())

    def warn(problem: Problem) -> None:
        if warnings is not None:
            warnings.append(f"{problem.code}: {problem.fix}")

    return plan(pipeline, groups, found, project="shop", env=env, warn=warn)


def command(root: Path, *nodes: Node, **more: Any) -> list[Any]:
    (task,) = planned(root, *nodes, **more).tasks
    return list(task.command)


def test_a_pod_runs_exactly_its_nodes(tmp_path: Path) -> None:
    nodes = (node("a", "", "x", tag="airflow.g"), node("b", "x", tag="airflow.g"))
    assert command(tmp_path, *nodes, env="cloud") == [
        *("kedro", "run", "--pipelines", "etl", "--nodes", "a,b", "--env", "cloud"),
    ]


@pytest.mark.parametrize(
    ("version", "settings", "option"),
    [
        ("1.7.0", "", "--pipelines"),
        ("1.2.0", "", "--pipelines"),
        ("1.1.1", "", "--pipeline"),
        ("0.19.15", "", "--pipeline"),
        ("0.19.15", "kedro_version: 1.10", "--pipelines"),
        ("1.7.0", "kedro_version: '0.19.9'", "--pipeline"),
    ],
)
def test_older_images_take_one_pipeline(
    tmp_path: Path, version: str, settings: str, option: str
) -> None:
    settings = settings.replace("1.10", "'1.10'")
    found = command(tmp_path, node("a", "x"), version=version, settings=f"{IMAGE}\n{settings}")
    assert found == ["kedro", "run", option, "etl", "--nodes", "a"]


@pytest.mark.parametrize(
    ("entrypoint", "program"),
    [
        ("[kedro]", ["kedro", "run"]),
        ("[/opt/venv/bin/kedro]", ["/opt/venv/bin/kedro", "run"]),
        ("[uv, run, kedro]", ["uv", "run", "kedro", "run"]),
        ("[kedro, run]", ["kedro", "run"]),
        ("[python, -m, shop]", ["python", "-m", "shop"]),
        ("[shop]", ["shop"]),
    ],
)
@pytest.mark.parametrize("target", ["airflow", "airflow-k8s"])
def test_the_program(tmp_path: Path, entrypoint: str, program: list[str], target: str) -> None:
    settings = f"entrypoint: {entrypoint}"
    if target == "airflow-k8s":
        settings += f"\n{IMAGE}"
    (task,) = planned(tmp_path, node("a", "x"), settings=settings, target=target).tasks
    assert list(task.command) == [*program, "--pipelines", "etl", "--nodes", "a"]
    assert task.runs == "command"


def test_a_worker_runs_them_in_its_process(tmp_path: Path) -> None:
    (task,) = planned(tmp_path, node("a", "x"), settings="", target="airflow").tasks
    assert task.runs == "nodes"
    assert task.command[:5] == ("dagforge", "run", "etl", "--nodes", "a")


def test_names_are_words_and_no_shell(tmp_path: Path) -> None:
    name = "join([prep;params:rate]) -> [table] $(rm) $$"
    found = command(tmp_path, node(name, "x", of="R&D $(x)"))
    assert found[3:6] == ["R&D $$(x)", "--nodes", name.replace("$", "$$")]


def test_parameters_and_configuration(tmp_path: Path) -> None:
    settings = """image: shop:1
conf_source: /conf.tar.gz
runtime_params:
  day: "{{ ds }}"
  code: "007"
  text: "it's"
  yes: 'no'
  path: gs://b/x
  flag: true
  deep: {share: 0.5}"""
    settings = settings.replace("  yes:", "  answer:")
    found = command(tmp_path, node("a", "x"), settings=settings)
    assert found[6:] == [
        "--conf-source",
        "/conf.tar.gz",
        "--params",
        RunText(
            "day={{ ds }},code='007',text='it''s',answer='no',path='gs://b/x',flag=true,"
            "deep.share=0.5"
        ),
    ]


@pytest.mark.parametrize("value", ["'a,b'", "[1, 2]", "{literal: '{{ x }}'}", "{a: {b: ','}}"])
def test_parameters_that_no_command_can_carry(tmp_path: Path, value: str) -> None:
    with pytest.raises(DagForgeError) as caught:
        planned(tmp_path, node("a", "x"), settings=f"{IMAGE}\nruntime_params: {{p: {value}}}")
    (problem,) = caught.value.problems
    assert (problem.code, str(problem.location)) == ("runtime-params", str(problem.location))
    assert str(problem.location).startswith("conf/base/dagforge.yml:3:")


def test_several_pipelines_in_one_task(tmp_path: Path) -> None:
    nodes = (node("a", "", "x", tag="airflow.g"), node("b", "x", of="science", tag="airflow.g"))
    assert command(tmp_path, *nodes)[2:4] == ["--pipelines", "etl,science"]
    with pytest.raises(DagForgeError) as caught:
        planned(tmp_path, *nodes, version="0.19.15")
    assert [problem.code for problem in caught.value.problems] == ["kedro-version"]


# --- what a pod is told


def variables(task: Task, dag: DagPlan) -> Any:
    return {**dag.default_args, **task.arguments}.get("env_vars")


def test_nobody_is_told(tmp_path: Path) -> None:
    dag = planned(tmp_path, node("a", "x"), node("b", "x"))
    assert dag.default_args["env_vars"] == {"DO_NOT_TRACK": "1"}
    dag = planned(
        tmp_path, node("a", "x"), settings=f"{IMAGE}\nenv_vars: {{DO_NOT_TRACK: null, A: b}}"
    )
    assert variables(dag.tasks[0], dag) == {"A": "b"}


def test_records_where_there_is_a_store(tmp_path: Path) -> None:
    dag = planned(tmp_path, node("a", "x"), settings=f"{IMAGE}\nstore_url: gs://b/s")
    (task,) = dag.tasks
    assert variables(task, dag) == {
        "DAGFORGE_TASK": "shop/shop-etl/a",
        "DAGFORGE_RUN_ID": RunValue("run_id"),
        "DAGFORGE_CONTRACT": task.contract,
        "DAGFORGE_STRUCTURE": RunValue("structure"),
        "DAGFORGE_STORE_URL": "gs://b/s",
        "DO_NOT_TRACK": "1",
    }


def test_a_text_that_airflow_would_read_is_marked(tmp_path: Path) -> None:
    found = command(tmp_path, node("a", "x"), settings=f"{IMAGE}\nconf_source: '{{{{x}}}}'")
    assert found[-1] == Literal("{{x}}")


# --- borders


def stored(name: str, **more: Any) -> dict[str, Dataset]:
    return {name: Dataset(name, AT, uri=f"s3://b/{name}", **more)}


def refused(root: Path, *nodes: Node, **more: Any) -> list[str]:
    with pytest.raises(DagForgeError) as caught:
        planned(root, *nodes, **more)
    return [f"{problem.code}: {problem.message}" for problem in caught.value.problems]


PAIR = (node("a", "", "x"), node("b", "x"))


def test_a_dataset_in_memory_names_both_tasks(tmp_path: Path) -> None:
    assert refused(tmp_path, *PAIR) == [
        "memory-border: 'etl' hands 'x' from task 'a' to 'b', but it lives in memory"
    ]
    memory = {"x": Dataset("x", AT, persisted=False)}
    assert len(refused(tmp_path, *PAIR, datasets=memory)) == 1
    assert planned(tmp_path, *PAIR, datasets=stored("x")).kept == ()
    assert planned(tmp_path, *PAIR, settings=f"{IMAGE}\nmemory_borders: allow").kept == ()
    together = f"{IMAGE}\ngrouping: {{all: [a, b]}}"
    assert planned(tmp_path, *PAIR, settings=together).kept == ()


FIX = f"{IMAGE}\nmemory_borders: fix"


def test_what_is_kept_is_told_to_every_task(tmp_path: Path) -> None:
    dag = planned(tmp_path, *PAIR, env="cloud", settings=f"{FIX}\nstore_url: gs://b/s/")
    assert dag.kept == ("x",)
    for task in dag.tasks:
        word = RunText(f"dagforge_run=gs://b/s/shop/cloud/{dag.dag_id}/r-", RunValue("run_id"))
        assert task.command[-2:] == ("--params", word)


def test_what_is_kept_needs_a_store_that_all_reach(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, *PAIR, settings=FIX)
    assert problem.startswith("local-store: tasks of 'etl' hand over 'x'")
    (problem,) = refused(tmp_path, *PAIR, settings=f"{FIX}\nstore_url: /data")
    assert problem.startswith("local-store: tasks of 'etl' hand over 'x'")
    hidden = f"{FIX}\nenv_from: [{{configMapRef: {{name: m}}}}]"
    (problem,) = refused(tmp_path, *PAIR, settings=hidden)
    assert "that only the cluster knows" in problem
    assert planned(tmp_path, *PAIR, settings="memory_borders: fix", target="airflow").kept == ("x",)


def test_several_formats_cannot_be_kept(tmp_path: Path) -> None:
    formats = {"x": Dataset("x", AT, persisted=False, formats=("x@a", "x@b"))}
    settings = f"{FIX}\nstore_url: gs://b/s"
    (problem,) = refused(tmp_path, *PAIR, settings=settings, datasets=formats)
    assert "in several formats (x@a, x@b)" in problem


def test_the_overlay_is_a_catalog() -> None:
    text = overlay_text(["b", 'ns.a "quoted"', "b"])
    data = parse_yaml(text.encode(), "o").data
    assert list(data) == ["b", 'ns.a "quoted"']
    run = "${runtime_params:dagforge_run, .dagforge/manual}"
    assert data["b"] == {"type": "pickle.PickleDataset", "filepath": f"{run}/b.pkl"}
    assert overlay_text(["x/y"]) != overlay_text(["x-y"])
    assert overlay_text([]) == ""


def test_a_worker_is_told_its_parameters(tmp_path: Path) -> None:
    settings = "runtime_params: {day: '{{ ds }}'}\nconf_source: conf"
    (task,) = planned(tmp_path, node("a", "x"), settings=settings, target="airflow").tasks
    assert ("--params", RunText("day={{ ds }}"), "--conf", "conf") == task.command[5:9]


def test_colons_that_no_tag_has(tmp_path: Path) -> None:
    warnings: list[str] = []
    planned(
        tmp_path,
        node("a", "x"),
        settings=f'{IMAGE}\ngrouping_prefix: "airflow:"\nresources_tag_prefix: ["machine:", "m."]',
        warnings=warnings,
    )
    assert warnings == ["kedro-tag: write 'airflow.' here and in the tags, such as airflow.NAME"]


def test_what_is_read_from_an_empty_memory(tmp_path: Path) -> None:
    memory = {"x": Dataset("x", AT, persisted=False)}
    assert refused(tmp_path, node("b", "x"), datasets=memory) == [
        "memory-border: node 'b' reads 'x' from memory, where no node of 'etl' puts it"
    ]
    by_hook = f"{IMAGE}\nmemory_borders: allow"
    assert planned(tmp_path, node("b", "x"), datasets=memory, settings=by_hook).kept == ()


def test_results_that_end_with_a_pod(tmp_path: Path) -> None:
    warnings: list[str] = []
    near = {"x": Dataset("x", AT, uri="data/x.csv"), "y": Dataset("y", AT, uri="data/y.csv")}
    nodes = (node("a", "", "x"), node("b", "x", "y"))
    planned(tmp_path, *nodes, datasets=near, warnings=warnings)
    assert [warning.partition(":")[0] for warning in warnings] == ["local-path", "local-path"]
    on_volume = f"{IMAGE}\nvolumes: [{{name: v, emptyDir: {{}}}}]"
    warnings.clear()
    planned(tmp_path, *nodes, datasets=near, warnings=warnings, settings=on_volume)
    planned(tmp_path, *nodes, datasets=near, warnings=warnings, settings="", target="airflow")
    assert warnings == []
