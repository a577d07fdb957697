"""The plan: identity, what tasks have in common, machines, borders, contracts, commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.planning.model import DagPlan
from dagforge.planning.names import digest
from dagforge.values import Literal, RunValue
from tests.projects import (
    AIRFLOW,
    PIPELINES,
    argument_of,
    build_project,
    problems_of,
    task_of,
)

CATALOG = "conf/base/catalog.yml"
NODE = "{nodes: [{name: n, func: 'm:f'}]}"
IMAGE = "image: i"


def planned(
    root: Path,
    *nodes: str,
    settings: str = "",
    name: str = "etl",
    files: Mapping[str, str] | None = None,
    **request: Any,
) -> DagPlan:
    """Return the plan of one pipeline, with an image and these settings as default."""
    return build_project(root, project_of(nodes, settings, name, files), **request).dags[0]


def told(
    root: Path,
    *nodes: str,
    settings: str = "",
    files: Mapping[str, str] | None = None,
    **request: Any,
) -> list[str]:
    """Return what is said about such a project: place, code, message and fix, one line each."""
    problems = problems_of(root, project_of(nodes, settings, "etl", files), **request)
    return [problem.replace("\n", " |") for problem in problems]


def project_of(
    nodes: tuple[str, ...], settings: str, name: str, files: Mapping[str, str] | None
) -> dict[str, str]:
    listed = "".join(f"\n    - {{{node}}}" for node in nodes or ("name: n, func: 'm:f'",))
    default = f"  {IMAGE}\n" + "".join(f"  {line}\n" for line in settings.splitlines())
    return {
        "dagforge.toml": 'project = "shop"\n',
        PIPELINES: f'"{name}":\n  nodes:{listed}\n',
        AIRFLOW: f"default:\n{default}",
        **(files or {}),
    }


LOAD = "name: load, func: 'm:f', outputs: raw"
CLEAN = "name: clean, func: 'm:f', inputs: raw, outputs: tidy"
EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"
NOTE = f"name: note, operator: {{type: {EMPTY}}}, after: load"


# --- identity


@pytest.mark.parametrize(
    ("project", "pipeline", "settings", "dag_id", "stem"),
    [
        ("shop", "__default__", "", "shop", "shop"),
        ("shop", "sales", "", "shop-sales", "shop_sales"),
        ("shop", "data.science", "", "shop-data-science", "shop_data_science"),
        ("My Shop", "Sales", "", "my-shop-sales", "my_shop_sales"),
        ("Sklep żółty", "ź", "", "sklep-zolty-z", "sklep_zolty_z"),
        ("2shop", "x", "", "2shop-x", "dag_2shop_x"),
        ("shop", "!", "", f"shop-{digest('!')}", f"shop_{digest('!')}"),
        ("shop", "sales", "dag_id: Sales.2024-v1", "Sales.2024-v1", "Sales_2024_v1"),
        ("shop", "sales", "dag_id: import", "import", "import_"),
        ("shop", "__default__", "dag_id: main", "main", "main"),
        ("shop", "p" * 250, "", None, None),
    ],
)
def test_dag_id_and_file(
    project: str,
    pipeline: str,
    settings: str,
    dag_id: str | None,
    stem: str | None,
    tmp_path: Path,
) -> None:
    files = {"dagforge.toml": f'project = "{project}"\n', "conf/prod/airflow.yml": ""}
    dag = planned(tmp_path, settings=settings, name=pipeline, files=files)
    if dag_id is None:
        assert re.fullmatch(r"shop-p{236}-[0-9a-f]{8}", dag.dag_id)
        assert len(dag.dag_id) == 250
    else:
        assert (dag.dag_id, dag.stem) == (dag_id, stem)
    in_prod = planned(tmp_path, settings=settings, name=pipeline, files=files, env="prod")
    assert (in_prod.dag_id, in_prod.stem) == (dag.dag_id, dag.stem)


@pytest.mark.parametrize("dag_id", ["'a b'", "'a/b'", "'a:b'", "a" * 251, "''", '"a\\n"'])
def test_a_dag_id_that_airflow_does_not_take(dag_id: str, tmp_path: Path) -> None:
    (problem,) = told(tmp_path, settings=f"dag_id: {dag_id}")
    assert problem.startswith("conf/base/airflow.yml:3:11: error: Airflow does not take ")
    assert "[bad-dag-id]" in problem


@pytest.mark.parametrize(
    ("node", "style", "task_id", "variable", "pod"),
    [
        ("load", "as-is", "load", "load", "shop-etl-load"),
        ("Load.Raw", "as-is", "Load.Raw", "load_raw", "shop-etl-load-raw"),
        ("a_b", "kedro-airflow", "a-b", "a_b", "shop-etl-a-b"),
        ("ns.a_b", "kedro-airflow", "ns-a-b", "ns_a_b", "shop-etl-ns-a-b"),
        ("a b", "as-is", "a-b", "a_b", "shop-etl-a-b"),
        # What Airflow takes as it is stays: letters of every script.
        ("żółw", "as-is", "żółw", "zolw", "shop-etl-zolw"),
        ("żółw", "kedro-airflow", "zolw", "zolw", "shop-etl-zolw"),
        ("class", "as-is", "class", "class_", "shop-etl-class"),
        ("DAG", "as-is", "DAG", f"DAG_{digest('DAG')}", "shop-etl-dag"),
        ("dag", "as-is", "dag", f"dag_{digest('dag')}", "shop-etl-dag"),
        ("1st", "as-is", "1st", "task_1st", "shop-etl-1st"),
        (
            "x" * 60,
            "as-is",
            "x" * 60,
            "x" * 50 + "_" + digest("x" * 60),
            "shop-etl-" + "x" * 36 + "-" + digest("shop-etl/" + "x" * 60),
        ),
        (
            "a b" * 83,
            "as-is",
            f"{'-'.join(['a', *['ba'] * 82, 'b'])}",
            None,
            None,
        ),
    ],
)
def test_task_id_variable_and_pod_name(
    node: str, style: str, task_id: str, variable: str | None, pod: str | None, tmp_path: Path
) -> None:
    dag = planned(tmp_path, f"name: '{node}', func: 'm:f'", settings=f"task_id_style: {style}")
    (task,) = dag.tasks
    assert task.task_id == task_id
    assert pod is None or task.pod_name == pod
    assert variable is None or task.variable == variable
    assert len(task.pod_name) <= 54
    assert len(task.variable) <= 59
    assert task.nodes == (node,)


def test_a_task_id_that_grows_is_cut(tmp_path: Path) -> None:
    dag = planned(
        tmp_path, f"name: {'щ' * 100}, func: 'm:f'", settings="task_id_style: kedro-airflow"
    )
    (task,) = dag.tasks
    assert task.task_id == ("shch" * 61)[:241] + "-" + digest("щ" * 100)


def test_kedros_namespaces_beside_plain_names(tmp_path: Path) -> None:
    """Kedro's `a.b` and `a_b`: both ids stay, what nobody sees differs."""
    dag = planned(tmp_path, "name: a.b, func: 'm:f'", "name: a_b, func: 'm:f'")
    assert [task.task_id for task in dag.tasks] == ["a.b", "a_b"]
    assert [task.variable for task in dag.tasks] == [f"a_b_{digest('a.b')}", "a_b"]
    assert len({task.pod_name for task in dag.tasks}) == 2


@pytest.mark.parametrize("style", ["as-is", "kedro-airflow"])
def test_two_nodes_of_one_task_id(style: str, tmp_path: Path) -> None:
    names = ("a b", "a.b") if style == "kedro-airflow" else ("a b", "a/b")
    nodes = [f"name: '{name}', func: 'm:f'" for name in names]
    (problem,) = told(tmp_path, *nodes, settings=f"task_id_style: {style}")
    assert problem == (
        f"conf/base/pipelines.yml:4:14: error: '{names[0]}' (conf/base/pipelines.yml:3:7) and "
        f"'{names[1]}' would both be the task 'a-b' [id-collision] |  fix: rename one of them"
    )


def test_a_variable_is_no_name_of_the_file(tmp_path: Path) -> None:
    names = ["KubernetesPodOperator", "run_nodes", "MEDIUM", "dag", "k8s", "load"]
    nodes = [f"name: {name}, func: 'm:f', tags: ['machine:medium']" for name in names]
    dag = planned(tmp_path, *nodes, settings="machines: {medium: {requests: {cpu: 1}}}")
    variables = {task.task_id: task.variable for task in dag.tasks}
    assert variables.pop("load") == "load"  # type: ignore[call-overload]
    assert all(variables[name] == f"{name}_{digest(name)}" for name in variables)
    assert [*dag.constants] == ["MEDIUM"]
    assert len({*variables.values(), dag.variable, *dag.constants}) == len(names) + 1


def test_a_flow_may_be_called_like_its_task(tmp_path: Path) -> None:
    dag = planned(tmp_path, "name: shop_etl, func: 'm:f'", target="prefect")
    assert dag.tasks[0].variable == "shop_etl"
    assert dag.variable != "shop_etl"


def test_prefect_keeps_names_as_they_are_written(tmp_path: Path) -> None:
    dag = planned(tmp_path, "name: 'Straße 1 (roh)', func: 'm:f'", target="prefect")
    assert [task.task_id for task in dag.tasks] == ["Straße 1 (roh)"]
    assert dag.tasks[0].variable == "strasse_1_roh"


def test_a_labels_value_is_checked_as_kubernetes_does(tmp_path: Path) -> None:
    for value, good in (("a" * 63, True), ("a" * 64, False), ("a b", False), ("-a", False)):
        problems = told(tmp_path, settings=f"labels: {{team: '{value}'}}")
        assert not problems if good else "[wrong-value]" in problems[0]


# --- what tasks have in common


def test_what_all_tasks_share_is_said_once(tmp_path: Path) -> None:
    settings = "retries: 2\nowner: me\nfor_tasks: {clean: {retries: 5}}"
    dag = planned(tmp_path, LOAD, CLEAN, settings=settings)
    assert dag.default_args["retries"] == 2
    assert dag.default_args["owner"] == "me"
    assert "retries" not in task_of(dag, "load").arguments
    assert task_of(dag, "clean").arguments["retries"] == 5
    assert "owner" not in task_of(dag, "clean").arguments


def test_what_all_tasks_say_for_themselves_is_said_once_too(tmp_path: Path) -> None:
    settings = "for_tasks: {load: {pool: p}, clean: {pool: p}}"
    dag = planned(tmp_path, LOAD, CLEAN, settings=settings)
    assert dag.default_args["pool"] == "p"
    assert all("pool" not in task.arguments for task in dag.tasks)


def test_what_only_some_tasks_have_stays_with_them(tmp_path: Path) -> None:
    dag = planned(tmp_path, LOAD, CLEAN, settings="for_tasks: {load: {pool: p}}")
    assert "pool" not in dag.default_args
    assert task_of(dag, "load").arguments["pool"] == "p"
    assert "pool" not in task_of(dag, "clean").arguments


@pytest.mark.parametrize(("one", "other"), [("1", "true"), ("1", "1.0"), ("0", "false")])
def test_equal_values_that_are_written_otherwise_are_not_alike(
    one: str, other: str, tmp_path: Path
) -> None:
    settings = f"params: {{}}\nexecutor_config: {{x: {one}}}\n"
    settings += f"for_tasks: {{clean: {{executor_config: {{x: {other}}}}}}}"
    dag = planned(tmp_path, LOAD, CLEAN, settings=settings)
    assert repr(argument_of(dag, "load", "executor_config")) != repr(
        argument_of(dag, "clean", "executor_config")
    )


def test_pods_do_not_give_their_arguments_to_operators(tmp_path: Path) -> None:
    """Airflow gives `default_args` to every operator with an argument of that name."""
    settings = "retries: 3\nnamespace: jobs\nlabels: {team: a}\nenv_vars: {A: b}"
    dag = planned(tmp_path, LOAD, CLEAN, NOTE, settings=settings)
    assert dag.default_args == {"retries": 3}
    note = task_of(dag, "note")
    assert (note.kind, note.operator, note.arguments) == ("operator", EMPTY, {})
    for name in ("load", "clean"):
        arguments = task_of(dag, name).arguments
        assert (arguments["image"], arguments["namespace"]) == ("i", "jobs")
        assert {"labels", "env_vars"} <= arguments.keys()


def test_an_operators_own_argument_wins_over_what_all_have(tmp_path: Path) -> None:
    node = f"name: note, operator: {{type: {EMPTY}, arguments: {{retries: 3, owner: x}}}}"
    dag = planned(tmp_path, LOAD, node, settings="retries: 3\nowner: me")
    # Equal or not: what is written at the operator stays there.
    assert task_of(dag, "note").arguments == {"retries": 3, "owner": "x"}


def test_one_dag_mixes_kinds(tmp_path: Path) -> None:
    settings = "retries: 1\nfor_tasks: {clean: {run_in: worker, queue: q}}"
    dag = planned(tmp_path, LOAD, CLEAN, NOTE, settings=settings)
    assert {task.task_id: task.kind for task in dag.tasks} == {
        "load": "pod",
        "clean": "worker",
        "note": "operator",
    }
    assert dag.default_args == {"retries": 1}
    assert "image" not in task_of(dag, "clean").arguments
    assert (dag.runs_nodes, dag.runs_commands) == (True, False)


def test_prefect_has_no_defaults_that_tasks_share(tmp_path: Path) -> None:
    dag = planned(tmp_path, LOAD, CLEAN, settings="", params={"retries": 2}, target="prefect")
    assert dag.default_args == {}
    assert [task.arguments["retries"] for task in dag.tasks] == [2, 2]


# --- machines


MACHINES = """\
machines:
  small: {requests: {cpu: 100m, memory: 250M}, limits: {memory: 250M}}
  large: {requests: {cpu: 2, memory: 1Gi}, limits: {memory: 2Gi}}
  wide: {requests: {cpu: 4, memory: 100M}, limits: {memory: 100M}}
  east: {node_selector: {zone: east}}
  west: {node_selector: {zone: west}}
"""


def grouped(*tags: str) -> list[str]:
    """Return nodes that make one group, each with its machine's tag or none."""
    return [
        f"name: n{i}, func: 'm:f', tags: ['airflow:g'{f', {tag!r}' if tag else ''}]"
        for i, tag in enumerate(tags)
    ]


@pytest.mark.parametrize(
    ("tags", "machine", "sizes"),
    [
        (["machine:small"], "small", {"cpu": "100m", "memory": "250M"}),
        (["machine.small"], "small", {"cpu": "100m", "memory": "250M"}),
        (["machine:small", "machine:large"], "large", {"cpu": "2", "memory": "1Gi"}),
        (["machine:large", "machine:wide"], "large_wide", {"cpu": "4", "memory": "1Gi"}),
        # Untagged nodes do not take part.
        (["", "machine:small"], "small", {"cpu": "100m", "memory": "250M"}),
        (["", ""], None, None),
    ],
)
def test_a_group_gets_the_larger_machine(
    tags: list[str], machine: str | None, sizes: dict[str, str] | None, tmp_path: Path
) -> None:
    dag = planned(tmp_path, *grouped(*tags), settings=MACHINES)
    (task,) = dag.tasks
    assert task.machine == machine
    if sizes is None:
        assert (task.resources, dag.constants) == (None, {})
    else:
        assert task.resources is not None
        assert dag.constants[task.resources.name].fields["requests"] == sizes
        assert [*dag.constants] == [str(machine).upper()]


def test_what_nobody_asked_for_gets_the_default_machine(tmp_path: Path) -> None:
    settings = MACHINES + "  __default__: {requests: {cpu: 1}}"
    nodes = [*grouped("", ""), "name: own, func: 'm:f', tags: ['machine:small']"]
    dag = planned(tmp_path, *nodes, settings=settings)
    assert {task.task_id: task.machine for task in dag.tasks} == {
        "g": "__default__",
        "own": "small",
    }
    assert [*dag.constants] == ["DEFAULT", "SMALL"]


def test_a_mixture_of_machines_is_doubtful(tmp_path: Path) -> None:
    nodes = grouped("machine:small", "machine:large")
    assert told(tmp_path, *nodes, settings=MACHINES) == [
        "conf/base/pipelines.yml:3:51: warning: task 'g' has several machines, 'large', 'small'; "
        "it gets the larger of each resource [several-machines] |  fix: give its nodes one "
        "machine tag"
    ]


def test_machines_that_no_node_can_be(tmp_path: Path) -> None:
    nodes = grouped("machine:east", "machine:west")
    (problem,) = told(tmp_path, *nodes, settings=MACHINES)
    assert "[machine-clash]" in problem
    assert "'east' and 'west', which differ in their node selector 'zone'" in problem


def test_a_machine_that_is_not_there(tmp_path: Path) -> None:
    node = "name: n, func: 'm:f', tags: ['machine:lrage']"
    assert told(tmp_path, node, settings=MACHINES) == [
        "conf/base/pipelines.yml:3:37: error: node 'n' asks for the machine 'lrage', which no "
        "`machines` setting has [unknown-machine] |  fix: did you mean 'large'?"
    ]


def test_a_machine_that_is_refused_is_there_nevertheless(tmp_path: Path) -> None:
    node = "name: n, func: 'm:f', tags: ['machine:big']"
    (problem,) = told(tmp_path, node, settings="machines: {big: {requests: {memory: 64GB}}}")
    assert "[bad-quantity]" in problem


def test_a_machine_chooses_the_node_that_its_pod_runs_on(tmp_path: Path) -> None:
    settings = MACHINES + "node_selector: {disk: ssd}\ntolerations: [{key: own}]\n"
    settings = settings.replace("{zone: east}", "{zone: east}, tolerations: [{key: east}]")
    node = "name: n, func: 'm:f', tags: ['machine:east']"
    dag = planned(tmp_path, node, settings=settings)
    assert argument_of(dag, "n", "node_selector") == {"zone": "east", "disk": "ssd"}
    keys = [each.fields["key"] for each in argument_of(dag, "n", "tolerations")]
    assert keys == ["east", "own"]


def test_a_worker_has_no_machine(tmp_path: Path) -> None:
    node = "name: n, func: 'm:f', tags: ['machine:small']"
    (problem,) = told(tmp_path, node, settings=MACHINES, target="airflow")
    assert "[cannot-express]" in problem
    dag = planned(tmp_path, node, settings=MACHINES, target="airflow")
    assert (dag.tasks[0].machine, dag.constants) == (None, {})


# --- borders between tasks


@pytest.mark.parametrize(
    ("entry", "settings", "runs"),
    [
        ("{path: s3://b/raw}", "", 1),
        ("{path: s3://b/raw}", "max_active_runs: 1", 1),
        ("{path: s3://b/raw, shared: true}", "", 16),
        ("{path: s3://b/raw, shared: true}", "max_active_runs: 5", 5),
        ("{format: parquet}", "", 16),
        ("{format: parquet}", "max_active_runs: 5", 5),
    ],
)
def test_runs_that_would_overwrite_each_other_follow_each_other(
    entry: str, settings: str, runs: int, tmp_path: Path
) -> None:
    files = {CATALOG: f"raw: {entry}"}
    dag = planned(tmp_path, LOAD, CLEAN, settings=settings, files=files)
    assert dag.arguments["max_active_runs"] == runs


@pytest.mark.parametrize("by", ["settings", "params"])
def test_runs_that_overwrite_each_other_are_refused(by: str, tmp_path: Path) -> None:
    files = {CATALOG: "raw: {path: s3://b/raw}"}
    settings = "max_active_runs: 2" if by == "settings" else ""
    params = {"max_active_runs": 2} if by == "params" else {}
    (problem,) = told(tmp_path, LOAD, CLEAN, settings=settings, files=files, params=params)
    assert problem.startswith("conf/base/airflow.yml:3:20: " if by == "settings" else "error: ")
    assert "overwrite each other's 'raw', which tasks hand over at the fixed path s3://b/raw" in (
        problem
    )
    assert problem.endswith(
        "fix: set max_active_runs: 1, or `shared: true` on the dataset "
        "(conf/base/catalog.yml:1:1) when that is meant"
    )


def test_what_stays_in_a_task_overwrites_nothing(tmp_path: Path) -> None:
    files = {CATALOG: "raw: {path: s3://b/raw}"}
    dag = planned(tmp_path, LOAD, CLEAN, settings="grouping: {all: [load, clean]}", files=files)
    assert dag.arguments["max_active_runs"] == 16


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("schedule: '@continuous'", 1),
        ("schedule: '@continuous'\nmax_active_runs: 1", 1),
        ("schedule: '@continuous'\nmax_active_runs: 2", "[bad-schedule]"),
    ],
)
def test_a_dag_without_pause_runs_once_at_a_time(
    settings: str, expected: Any, tmp_path: Path
) -> None:
    if isinstance(expected, int):
        assert planned(tmp_path, settings=settings).arguments["max_active_runs"] == expected
    else:
        (problem,) = told(tmp_path, settings=settings)
        assert expected in problem


# --- order


def test_edges_say_which_datasets_cause_them(tmp_path: Path) -> None:
    last = "name: last, func: 'm:f', inputs: [tidy, raw], after: load"
    dag = planned(tmp_path, last, CLEAN, LOAD)
    assert [task.task_id for task in dag.tasks] == ["load", "clean", "last"]
    assert [(edge.upstream, edge.downstream, edge.datasets) for edge in dag.edges] == [
        ("clean", "last", ("tidy",)),
        ("load", "clean", ("raw",)),
        ("load", "last", ("raw",)),
    ]
    assert task_of(dag, "last").upstream == ("clean", "load")
    assert task_of(dag, "load").downstream == ("clean", "last")


# --- the contract between a DAG and its image


def contract_of(root: Path, node: str, settings: str = "", catalog: str = "", **more: Any) -> str:
    files = {CATALOG: catalog, "conf/prod/airflow.yml": ""}
    return planned(root, node, settings=settings, files=files, **more).tasks[0].contract


BASE_NODE = "name: n, func: 'm:f', inputs: [a], outputs: [b]"
BASE_CATALOG = "a: {path: x, format: csv}\nb: {format: csv}"


@pytest.mark.parametrize(
    ("changed", "settings", "catalog", "more"),
    [
        (BASE_NODE + ", tags: [t]", "", BASE_CATALOG, {}),
        (BASE_NODE + ", settings: {retries: 4}", "", BASE_CATALOG, {}),
        (BASE_NODE + ", namespace: x", "", BASE_CATALOG, {}),
        (BASE_NODE, "retries: 3\nimage: other\nentrypoint: [x]", BASE_CATALOG, {}),
        (BASE_NODE, "grouping: none", BASE_CATALOG, {}),
        (BASE_NODE, "", BASE_CATALOG.replace("path: x", "path: y"), {}),
        (BASE_NODE, "", BASE_CATALOG, {"env": "prod"}),
        (BASE_NODE, "", BASE_CATALOG, {"target": "prefect"}),
        (BASE_NODE, "", BASE_CATALOG, {"airflow_version": "2.10"}),
        (BASE_NODE.replace("[a]", "a"), "", BASE_CATALOG, {}),
    ],
)
def test_settings_do_not_change_the_contract(
    changed: str, settings: str, catalog: str, more: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings.replace("image: other\n", "")
    before = contract_of(tmp_path, BASE_NODE, catalog=BASE_CATALOG)
    assert contract_of(tmp_path, changed, settings, catalog, **more) == before


@pytest.mark.parametrize(
    ("changed", "catalog"),
    [
        (BASE_NODE.replace("name: n", "name: o"), BASE_CATALOG),
        (BASE_NODE.replace("m:f", "m:g"), BASE_CATALOG),
        (BASE_NODE.replace("m:f", "l:f"), BASE_CATALOG),
        (BASE_NODE.replace("func: 'm:f'", "command: ['m:f']"), BASE_CATALOG),
        (BASE_NODE.replace("[a]", "[a, 'params:p']"), BASE_CATALOG),
        (BASE_NODE.replace("[a]", "{x: a}"), BASE_CATALOG),
        (BASE_NODE.replace("[b]", "[c]"), BASE_CATALOG),
        (BASE_NODE.replace("[b]", "[b, c]"), BASE_CATALOG),
        (BASE_NODE, BASE_CATALOG.replace("b: {format: csv}", "b: {format: parquet}")),
    ],
)
def test_what_a_task_computes_is_its_contract(changed: str, catalog: str, tmp_path: Path) -> None:
    files = {"conf/base/parameters.yml": "p: 1"}
    before = contract_of(tmp_path, BASE_NODE, catalog=BASE_CATALOG)
    (tmp_path / "conf/base/parameters.yml").write_text(files["conf/base/parameters.yml"])
    assert contract_of(tmp_path, changed, catalog=catalog) != before


def test_the_order_of_inputs_counts(tmp_path: Path) -> None:
    catalog = "a: {path: x}\nb: {path: y}"
    one = contract_of(tmp_path, "name: n, func: 'm:f', inputs: [a, b]", catalog=catalog)
    assert one != contract_of(tmp_path, "name: n, func: 'm:f', inputs: [b, a]", catalog=catalog)


# --- commands


def test_the_command_names_nodes(tmp_path: Path) -> None:
    files = {"conf/prod/airflow.yml": ""}
    dag = planned(tmp_path, *grouped("", ""), files=files, env="prod")
    (task,) = dag.tasks
    assert task.command[:13] == (
        *("dagforge", "run", "etl", "--nodes", "n0,n1", "--env", "prod"),
        *("--task", f"shop/{dag.dag_id}/{task.task_id}", "--run-id", RunValue("run_id")),
        *("--contract", task.contract),
    )
    assert task.command[13:15] == ("--structure", RunValue("structure"))
    assert task.runs == "nodes"
    assert "--env" not in planned(tmp_path, *grouped("", ""), files=files).tasks[0].command


def test_the_entrypoint_comes_first(tmp_path: Path) -> None:
    (task,) = planned(tmp_path, settings="entrypoint: [uv, run, dagforge]").tasks
    assert task.command[:4] == ("uv", "run", "dagforge", "run")
    assert task.runs == "command"


def test_a_command_is_its_own(tmp_path: Path) -> None:
    node = "name: n, command: [sh, -c, 'echo {{ ds }}', {literal: '{{ x }}'}, {literal: y}]"
    (task,) = planned(tmp_path, node).tasks
    assert task.command == ("sh", "-c", "echo {{ ds }}", Literal("{{ x }}"), "y")
    assert task.runs == "command"


def test_nothing_of_ours_becomes_a_template(tmp_path: Path) -> None:
    dag = planned(tmp_path, "name: 'a{{ b }}', func: 'm:f', tags: ['{% t %}']")
    assert Literal("a{{ b }}") in dag.tasks[0].command
    assert dag.default_args["annotations"] == {"dagforge/tags": Literal("{% t %}")}


def test_a_command_that_linux_does_not_take(tmp_path: Path) -> None:
    names = [f"{i:04}" + "n" * 200 for i in range(650)]
    nodes = [f"name: '{name}', func: 'm:f', tags: ['airflow:g']" for name in names]
    (problem,) = told(tmp_path, *nodes)
    assert (
        "task 'g' has 650 nodes, too many to name in one command (133,249 bytes, Linux takes "
        in (problem)
    )
    assert "[long-command]" in problem


# --- what the target cannot express, and what it must be told


@pytest.mark.parametrize(
    ("setting", "version", "says"),
    [
        ("sla: 1h", "2.11", None),
        ("sla: 1h", "3.0", "Airflow 3.0 has no 'sla'; there is none after 2.11"),
        ("deadline: []", "3.1", None),
        ("deadline: []", "3.0", "Airflow 3.0 has no 'deadline'; there is none before 3.1"),
        ("trigger_rule: all_done_min_one_success", "3.1", None),
        (
            "trigger_rule: all_done_min_one_success",
            "3.0",
            "Airflow 3.0 has no trigger_rule 'all_done_min_one_success'; it came with 3.1",
        ),
    ],
)
def test_arguments_that_a_version_does_not_have(
    setting: str, version: str, says: str | None, tmp_path: Path
) -> None:
    problems = told(tmp_path, LOAD, CLEAN, settings=setting, airflow_version=version)
    assert [each.partition(": ")[2].partition(": ")[2].partition(" [")[0] for each in problems] == (
        [says] if says else []
    )
    dag = "sla" in setting and planned(tmp_path, LOAD, settings=setting, airflow_version=version)
    if dag:
        assert ("sla" in dag.default_args) is (says is None)


CNCF = "apache-airflow-providers-cncf-kubernetes"


def setting_that_needs_a_provider() -> tuple[str, str]:
    """Return a setting of pods and the release that brought it."""
    from dagforge.resources import templates_dir
    from dagforge.target import read_target

    settings = read_target("airflow-k8s", templates_dir()).settings.values()
    name, release = next(
        (setting.name, setting.needs[CNCF])
        for setting in settings
        if setting.schema.get("type") == "boolean" and CNCF in setting.needs
    )
    return name, release


def test_arguments_that_a_provider_does_not_have(tmp_path: Path) -> None:
    name, release = setting_that_needs_a_provider()
    settings = f"{name}: true"
    (problem,) = told(tmp_path, LOAD, CLEAN, settings=settings)
    assert problem == (
        f"conf/base/airflow.yml:3:3: warning: '{name}' is left out: it needs {CNCF} {release} "
        f'[cannot-express] |  fix: when you have it, say so: `providers: {{{CNCF}: "{release}"}}`'
    )
    assert name not in planned(tmp_path, LOAD, settings=settings).default_args
    settings += f"\nproviders: {{{CNCF}: '{release}'}}"
    assert told(tmp_path, LOAD, settings=settings) == []
    assert planned(tmp_path, LOAD, settings=settings).default_args[name] is True


@pytest.mark.parametrize(
    ("target", "given", "missing"),
    [
        ("airflow-k8s", "", ["image"]),
        ("airflow-k8s", "image: ''", ["image"]),
        ("airflow-gke", "", ["image", "project_id", "location", "cluster_name"]),
        ("airflow-gke", "image: i, location: eu", ["project_id", "cluster_name"]),
        ("airflow", "", []),
        ("prefect", "", []),
    ],
)
def test_what_an_operator_cannot_do_without(
    target: str, given: str, missing: list[str], tmp_path: Path
) -> None:
    files = {AIRFLOW: f"default: {{{given}}}"}
    problems = told(tmp_path, LOAD, CLEAN, files=files, target=target)
    # Once for all tasks.
    assert [re.findall(r"needs '(\w+)' \(first: 'load'\)", each) for each in problems] == [
        [name] for name in missing
    ]


def test_prefect_has_no_operators(tmp_path: Path) -> None:
    problems = told(tmp_path, LOAD, NOTE, target="prefect")
    assert [each.partition(" [")[0] for each in problems] == [
        "conf/base/pipelines.yml:4:20: error: node 'note' is an operator of Airflow, which "
        "prefect does not have"
    ]


def test_a_kind_that_is_not_there(tmp_path: Path) -> None:
    (problem,) = told(tmp_path, LOAD, CLEAN, settings="run_in: pods")
    assert problem == (
        "conf/base/airflow.yml:3:11: error: airflow has no tasks that run in 'pods' "
        "[unknown-kind] |  fix: did you mean 'pod'?"
    )


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("catchup: true", "catchup needs a start_date of its own"),
        ("catchup: true\nstart_date: 2024-01-31", None),
        ("start_date: 2024-01-31\nend_date: 2024-01-30", "'end_date' is before 'start_date'"),
        ("start_date: 2024-01-31\nend_date: 2024-01-31", None),
    ],
)
def test_dates_that_make_sense(settings: str, says: str | None, tmp_path: Path) -> None:
    problems = told(tmp_path, settings=settings)
    assert len(problems) == (says is not None)
    assert says is None or says in problems[0]


# --- settings of tasks


def test_two_tags_that_contradict_each_other(tmp_path: Path) -> None:
    settings = "for_tags: {x: {retries: 1, pool: p}, y: {retries: 2, pool: p}}"
    node = "name: n, func: 'm:f', tags: [x, y]"
    assert told(tmp_path, node, settings=settings) == [
        "conf/base/airflow.yml:3:53: error: task 'n': two of its tags set 'retries' differently "
        "(also conf/base/airflow.yml:3:27) [settings-conflict] |  fix: say which holds: "
        "`for_tasks: {n: {retries: ...}}`"
    ]
    settled = settings[:-1] + "}\nfor_tasks: {n: {retries: 3}}"
    dag = planned(tmp_path, node, settings=settled)
    assert argument_of(dag, "n", "retries") == 3


def test_two_nodes_of_a_group_that_contradict_each_other(tmp_path: Path) -> None:
    nodes = [node + f", settings: {{retries: {i}}}" for i, node in enumerate(grouped("", ""))]
    (problem,) = told(tmp_path, *nodes)
    assert "task 'g': two of its nodes set 'retries' differently" in problem
    dag = planned(tmp_path, *nodes, settings="for_tasks: {g: {retries: 7}}")
    assert argument_of(dag, "g", "retries") == 7


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("for_tasks: {laod: {retries: 1}}", "`for_tasks: laod` matches nothing: no pipeline has"),
        ("for_tags: {x: {retries: 1}}", "`for_tags: x` matches nothing: no pipeline has a tag"),
    ],
)
def test_keys_that_match_nothing(settings: str, says: str, tmp_path: Path) -> None:
    (problem,) = told(tmp_path, LOAD, settings=settings)
    assert says in problem
    assert "[no-match]" in problem
    own = {AIRFLOW: f"default: {{{IMAGE}}}\netl: {{{settings}}}"}
    (problem,) = told(tmp_path, LOAD, files=own)
    assert "'etl' has no" in problem
