"""Templates of kedro-airflow, `-j FILE`: what they see, what they give, what is refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dagforge.build import Request, Stages, build
from dagforge.errors import DagForgeError, Problem
from dagforge.kedro_airflow.template import KedroRender, render_kedro_template

TEMPLATES = Path(__file__).parent / "kedro_templates"

SPACEFLIGHTS = """
__default__:
  nodes:
    - name: preprocess_companies_node
      func: spaceflights.nodes:preprocess_companies
      inputs: companies
      outputs: preprocessed_companies
      tags: ["airflow:companies"]
    - name: preprocess_shuttles_node
      func: spaceflights.nodes:preprocess_shuttles
      inputs: shuttles
      outputs: preprocessed_shuttles
      tags: ["airflow:shuttles", "machine:medium"]
    - name: create_model_input_table_node
      func: spaceflights.nodes:create_model_input_table
      inputs: [preprocessed_shuttles, preprocessed_companies]
      outputs: model_input_table
      tags: ["airflow:split", "machine:medium"]
    - name: split_data_node
      func: spaceflights.nodes:split_data
      inputs: [model_input_table, "params:model_options"]
      outputs: [X_train, X_test]
      tags: ["airflow:split", "machine:medium"]
    - name: train_model_node
      func: spaceflights.nodes:train_model
      inputs: X_train
      outputs: regressor
      tags: ["machine:medium"]
    - name: evaluate_model_node
      func: spaceflights.nodes:evaluate_model
      inputs: [regressor, X_test]
      tags: ["machine:medium"]
"""
MACHINES = "machines: {medium: {requests: {cpu: 2}}}"
PARAMETERS = "model_options: {size: 1}\n"
CATALOG = """
companies: {type: pandas.CSVDataset, filepath: data/companies.csv}
shuttles: {type: pandas.CSVDataset, filepath: data/shuttles.csv}
"""
# The settings file of the article, with its comments left out.
ARTICLE = f"""
default:
  grouping_prefix: "airflow:"
  resources_tag_prefix: "machine:"
  grouping: true
  gcp_project_id: "labs-sandbox"
  gcp_region: "europe-west1"
  gcp_gke_cluster_name: "europe-west1-gke"
  k8s_namespace: "airflow-ml-jobs"
  k8s_service_account: "composer-airflow"
  docker_image: "registry.example/spaceflights"
  start_date: [2023, 1, 1]
  max_active_runs: 2
  schedule_interval: "@once" # null
  catchup: false
  owner: "airflow"
  depends_on_past: false
  email_on_failure: false
  email_on_retry: false
  retries: 0
  retry_delay: 5
  {MACHINES}
"""

COMPANIES, SHUTTLES = "preprocess-companies-node", "preprocess-shuttles-node"
TABLE, SPLIT = "create-model-input-table-node", "split-data-node"
TRAIN, EVALUATE = "train-model-node", "evaluate-model-node"
BY_NODE = {
    (COMPANIES, TABLE),
    (SHUTTLES, TABLE),
    (TABLE, SPLIT),
    (SPLIT, TRAIN),
    (SPLIT, EVALUATE),
    (TRAIN, EVALUATE),
}
BY_GROUP = {
    ("companies", "split"),
    ("shuttles", "split"),
    ("split", TRAIN),
    ("split", EVALUATE),
    (TRAIN, EVALUATE),
}


def plan_of(
    root: Path,
    pipelines: str = SPACEFLIGHTS,
    airflow: str = "",
    *,
    name: str = "spaceflights",
    **request: Any,
) -> Stages:
    """Return the first pipeline of a project in `root`, planned."""
    base = root / "conf" / "base"
    base.mkdir(parents=True, exist_ok=True)
    if request.get("env"):
        (root / "conf" / request["env"]).mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text(f'[tool.dagforge]\nproject = "{name}"\n')
    (base / "pipelines.yml").write_text(pipelines, encoding="utf-8")
    (base / "catalog.yml").write_text(CATALOG)
    (base / "parameters.yml").write_text(PARAMETERS)
    (base / "airflow.yml").write_text(airflow or f"default: {{{MACHINES}}}", encoding="utf-8")
    return build(Request(root, **request), render_files=False).stages[0]


def settings_text(**settings: str) -> str:
    """Return an airflow.yml whose default section holds `settings` as YAML."""
    lines = [f"  {key}: {value}" for key, value in settings.items()]
    return "\n".join(["default:", f"  {MACHINES}", *lines, ""])


@dataclass
class Rendering:
    """What a template gave, and what was said about it."""

    text: str
    reads: frozenset[str]
    warnings: list[Problem] = field(default_factory=list)

    def told(self, code: str) -> list[str]:
        return [str(problem) for problem in self.warnings if problem.code == code]


def render(stages: Stages, template: Path, package_name: str = "spaceflights") -> Rendering:
    """Return what a template makes of a plan."""
    told: list[Problem] = []
    result: KedroRender = render_kedro_template(
        stages.dag, template, settings=stages.settings, package_name=package_name, warn=told.append
    )
    return Rendering(result.text, result.reads, told)


@pytest.fixture
def show(tmp_path: Path) -> Any:
    """Return a function that renders the text of a template over a project."""

    def run(source: str, pipelines: str = SPACEFLIGHTS, airflow: str = "", **more: Any) -> Any:
        template = tmp_path / "dag.j2"
        template.write_text(source, encoding="utf-8")
        package_name = more.pop("package_name", "spaceflights")
        return render(plan_of(tmp_path, pipelines, airflow, **more), template, package_name)

    return run


def printed(rendering: Rendering) -> str:
    """Return what stands between the quotes of a template that is one Python text."""
    match = re.fullmatch(r'"""(.*)"""\n', rendering.text, re.DOTALL)
    assert match is not None, rendering.text
    return match.group(1)


# --- a stand-in for Airflow, which notes the tasks and edges that a file makes


class Noted:
    """An operator or task of the stand-in."""

    made: ClassVar[list[Noted]]
    edges: ClassVar[set[tuple[str, str]]]

    def __init__(self, task_id: str, **arguments: Any) -> None:
        self.task_id = task_id
        self.arguments = arguments
        self.made.append(self)

    def __rshift__(self, other: Noted) -> Noted:
        self.edges.add((self.task_id, other.task_id))
        return other


@dataclass
class Loaded:
    """What a generated file defines."""

    dag: dict[str, Any]
    tasks: dict[str, dict[str, Any]]
    edges: set[tuple[str, str]]


def load(text: str, monkeypatch: pytest.MonkeyPatch) -> Loaded:
    """Return what a generated file defines, run with the stand-in."""

    class Operator(Noted):
        made: ClassVar = []
        edges: ClassVar = set()

    dag: dict[str, Any] = {}

    class Dag:
        def __init__(self, dag_id: str, **arguments: Any) -> None:
            dag.update(arguments, dag_id=dag_id)

        def __enter__(self) -> Dag:
            return self

        def __exit__(self, *_: object) -> None:
            return None

    def decorate_dag(**arguments: Any) -> Any:
        dag.update(arguments)
        return lambda function: function

    def decorate_task(task_id: str) -> Any:
        return lambda function: lambda: Operator(task_id, function=function)

    def fake(module: str, **names: Any) -> None:
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if not isinstance(sys.modules.get(name), Stub):
                monkeypatch.setitem(sys.modules, name, Stub(name))
        for name, value in names.items():
            setattr(sys.modules[module], name, value)

    class Stub(types.ModuleType):
        pass

    models = Stub("airflow.models")
    models.DAG = Dag  # type: ignore[attr-defined]
    k8s = Stub("kubernetes.client.models")
    k8s.V1ResourceRequirements = dict  # type: ignore[attr-defined]
    fake("airflow", DAG=Dag, models=models)
    fake("airflow.sdk", dag=decorate_dag, task=decorate_task)
    fake("airflow.operators.bash", BashOperator=Operator)
    gke = "airflow.providers.google.cloud.operators.kubernetes_engine"
    fake(gke, GKEStartPodOperator=Operator)
    fake("kubernetes.client", models=k8s)
    exec(compile(text, "dag.py", "exec", dont_inherit=True), {"__name__": "dag"})
    tasks = {task.task_id: task.arguments for task in Operator.made}
    assert len(tasks) == len(Operator.made)
    return Loaded(dag, tasks, Operator.edges)


# --- a template of each release


@pytest.mark.parametrize(
    "template", ["nodes_0_8.j2", "names_0_9.j2", "objects_0_10.j2", "groups_0_11.j2"]
)
def test_template_of_every_release_makes_one_task_a_node(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = plan_of(tmp_path, airflow=settings_text(grouping="none", owner='"O\'Brien"'))
    rendering = render(stages, TEMPLATES / template)
    loaded = load(rendering.text, monkeypatch)
    assert loaded.edges == BY_NODE
    assert list(loaded.tasks) == [COMPANIES, SHUTTLES, TABLE, SPLIT, TRAIN, EVALUATE]
    assert loaded.dag["dag_id"] == "spaceflights"
    assert loaded.dag["default_args"]["owner"] == "O'Brien"
    assert rendering.told("template-undefined") == []


@pytest.mark.parametrize("template", ["names_0_9.j2", "objects_0_10.j2", "groups_0_11.j2"])
def test_template_that_knows_groups_sees_the_tasks(
    template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = render(plan_of(tmp_path), TEMPLATES / template)
    loaded = load(rendering.text, monkeypatch)
    assert loaded.edges == BY_GROUP
    assert list(loaded.tasks) == ["companies", "shuttles", "split", TRAIN, EVALUATE]
    assert "create_model_input_table_node" in rendering.text
    assert rendering.told("template-ungrouped") == []


def test_template_of_0_8_sees_nodes_and_is_told_of_the_groups_that_it_misses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = plan_of(tmp_path)
    # Files are named relative to where the command was typed.
    monkeypatch.chdir(TEMPLATES)
    rendering = render(stages, TEMPLATES / "nodes_0_8.j2")
    assert load(rendering.text, monkeypatch).edges == BY_NODE
    assert rendering.told("template-ungrouped") == [
        "nodes_0_8.j2: warning: the template makes a task of every "
        "node; it never sees the grouping ('split') [template-ungrouped]\n"
        "  fix: loop over node_objs instead of pipeline.nodes, or set `grouping: none`"
    ]


def test_template_that_groups_by_itself_gets_what_it_needs_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering = render(plan_of(tmp_path, airflow=ARTICLE), TEMPLATES / "gke_pods.j2")
    loaded = load(rendering.text, monkeypatch)
    underscored = {(one.replace("-", "_"), other.replace("-", "_")) for one, other in BY_GROUP}
    assert loaded.edges == underscored
    assert loaded.tasks["split"]["cmds"] == [
        *("python", "-m", "kedro", "run", "--pipeline", "__default__"),
        *("--tags", "airflow:split", "--env", "local"),
    ]
    assert loaded.tasks["split"]["container_resources"]["requests"] == {"cpu": "2"}
    assert loaded.tasks["companies"]["container_resources"]["requests"] == {"cpu": "100m"}
    assert loaded.tasks["train_model_node"]["image"] == "registry.example/spaceflights"
    assert loaded.tasks["train_model_node"]["env_vars"] == {"RUN_ID": "{{ run_id }}"}
    assert loaded.dag["schedule_interval"] == "@once"
    assert loaded.dag["max_active_runs"] == 2
    assert [str(problem) for problem in rendering.warnings] == [
        "conf/base/pipelines.yml:22:16: warning: tasks hand over 'X_test' and 4 more in memory; "
        "where the template starts Kedro for each task, the next one does not find it "
        "[memory-border]\n"
        "  fix: give it an entry in the catalog, or set `grouping: memory`",
        "conf/base/airflow.yml:22:3: warning: the template does not read 'machines', which has no "
        "effect then [unread-setting]",
    ]


def test_output_does_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    tags = "[" + ", ".join(f"t{number}" for number in range(20)) + "]"
    pipelines = f"p: {{nodes: [{{name: a, func: 'm:f', inputs: companies, tags: {tags}}}]}}"
    plan_of(tmp_path, pipelines)
    template = tmp_path / "dag.j2"
    template.write_text(
        '"""{% for node in pipeline.nodes %}{{ node.tags }}{{ node.tags | join }}{% endfor %}"""'
    )
    code = (
        "import sys; from pathlib import Path; from dagforge.build import *; "
        "from dagforge.kedro_airflow.template import *; root = Path(sys.argv[1]); "
        "stages = build(Request(root), render_files=False).stages[0]; "
        "print(render_kedro_template(stages.dag, root / 'dag.j2', settings=stages.settings, "
        "package_name='p', warn=print).text)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1
    assert "{'t0', 't1', 't10'" in texts.pop()


# --- the context

NODE = "{% for node in pipeline.nodes if node.name == 'split_data_node' %}"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ pipeline_name }}", "__default__"),
        ("{{ package_name }}", "spaceflights"),
        ("{{ env }}", "local"),
        ("{{ conf_source }}", ""),
        ("{{ 'Zażółć Gęślą' | slugify }}", "zazolc-gesla"),
        ("{{ 'a b' | slugify(separator='_') }}", "a_b"),
        ("{{ (\"O'Brien\" | safe) + \"'s <b>\" }}", "O'Brien's <b>"),
        ("{{ [\"O'Brien\"] }}", '["O\'Brien"]'),
        ("{{ '%r' | format(\"O'Brien\") }} {{ '%r' | format(none) }}", '"O\'Brien" None'),
        # 0.8 to 0.11: what Kedro's objects have
        ("{{ pipeline.nodes[3].name }}", "split_data_node"),
        (
            "{{ pipeline.nodes[3] }}",
            "split_data_node: split_data([model_input_table;params:model_options]) -> "
            "[X_train;X_test]",
        ),
        (NODE + "{{ node.tags }}{% endfor %}", "{'airflow:split', 'machine:medium'}"),
        (NODE + "{{ 'machine:medium' in node.tags }}{% endfor %}", "True"),
        (NODE + "{{ node.tags | sort | join(' ') }}{% endfor %}", "airflow:split machine:medium"),
        (NODE + "{{ node.func.__name__ }} {{ node.short_name }}{% endfor %}",
         "split_data split_data_node"),
        (NODE + "{{ node.func.__module__ }}{% endfor %}", "spaceflights.nodes"),
        (NODE + "{{ node.inputs }} {{ node.outputs | first }}{% endfor %}",
         "['model_input_table', 'params:model_options'] X_train"),
        (NODE + "{{ node.namespace }} {{ node.confirms }}{% endfor %}", "None []"),
        (NODE + "{{ node == 'split_data_node' }}{% endfor %}", "False"),
        (NODE + "{{ dependencies[node] | join(' ') }}{% endfor %}",
         "train_model_node evaluate_model_node"),
        (NODE + "{{ pipeline.node_dependencies[node][0].name }}{% endfor %}",
         "create_model_input_table_node"),
        ("{{ pipeline.inputs() }}", "{'companies', 'params:model_options', 'shuttles'}"),
        ("{{ pipeline.outputs() }}", "set()"),
        ("{{ pipeline.datasets() | length }}", "9"),
        ("{{ pipeline.only_nodes_with_tags('airflow:split') }}",
         "Pipeline([create_model_input_table_node, split_data_node])"),
        ("{{ pipeline.only_nodes('split_data_node').inputs() }}",
         "{'model_input_table', 'params:model_options'}"),
        ("{{ pipeline.grouped_nodes | map('length') | list }}", "[2, 1, 1, 1, 1]"),
        ("{% for node in pipeline %}{{ loop.index }}{% endfor %}", "123456"),
        ("{{ dependencies['train_model_node'] }}", "['evaluate_model_node']"),
        ("{{ dependencies.evaluate_model_node }}", "[]"),
        ("{{ (dependencies | list)[5].inputs }}", "['regressor', 'X_test']"),
        # 0.9
        ("{{ nodes.split | map(attribute='name') | join(',') }}",
         "create_model_input_table_node,split_data_node"),
        ("{{ nodes and dependencies.companies }}", "['split']"),
        # 0.10 and 0.11
        ("{{ node_objs.split.nodes | join(',') }}",
         "create_model_input_table_node,split_data_node"),
        ("{{ node_objs.split.nodes[0].tags }}", "{'airflow:split', 'machine:medium'}"),
        ("{{ node_objs['split'].dependencies | join(',') }}", "companies,shuttles"),
        ("{{ node_objs[2].name }} {{ (node_objs | first).type }}", "split nodes"),
        ("{{ node_objs[1:3] | join(',') }} {{ node_objs | length }}", "shuttles,split 5"),
        ("{{ (node_objs | last).tags }}", "{'machine:medium'}"),
    ],
)  # fmt: skip
def test_context(expression: str, expected: str, show: Any) -> None:
    rendering = show(f'""" {expression} """')
    assert printed(rendering) == f" {expected} "
    assert rendering.told("template-undefined") == []


def test_names_of_namespaced_nodes(show: Any) -> None:
    pipelines = """
p:
  nodes:
    - {name: etl.load, func: "m:load", inputs: companies, outputs: rows, namespace: etl}
    - {name: etl.show, func: "m:show", inputs: rows, namespace: etl}
"""
    source = '"""{% for node in pipeline.nodes %}{{ node }}, {% endfor %}"""'
    nodes = "load: load([companies]) -> [rows], show: show([rows]) -> None, "
    assert printed(show(source, pipelines)) == nodes


@pytest.mark.parametrize(
    ("airflow", "expression", "expected"),
    [
        # What nobody sets is not set, so that the template's own defaults hold.
        ({}, "{{ max_active_runs | default(3) }}", "3"),
        ({}, "{{ start_date | default([2023, 1, 1]) | join(',') }}", "2023,1,1"),
        ({}, "{{ schedule_interval | default('@once') }}", "@once"),
        ({}, "{{ grouping is defined }} {{ timezone is defined }}", "False False"),
        # What is set has the value of the file, by every name.
        ({"schedule_interval": '"@once"'}, "{{ schedule_interval }} {{ schedule }}", "@once @once"),
        ({"schedule": "null"}, "{{ schedule_interval }} {{ schedule is none }}", "None True"),
        ({"start_date": "[2023, 1, 31]"}, "{{ start_date | join(',') }}", "2023,1,31"),
        ({"start_date": '"2023-01-31"'}, "{{ start_date }}", "2023-01-31"),
        ({"retry_delay": "5", "catchup": "false"}, "{{ retry_delay }} {{ catchup }}", "5 False"),
        ({"docker_image": "a/b"}, "{{ docker_image }} {{ image }}", "a/b a/b"),
        ({"image": "a/b"}, "{{ docker_image }}", "a/b"),
        ({"default_args": "{owner: a}"}, "{{ default_args }} {{ owner }}", "{'owner': 'a'} a"),
        ({"team": "core"}, "{{ team }}", "core"),
        ({"vars": "{team: core}"}, "{{ team }} {{ vars.team }}", "core core"),
        ({"conf_source": "conf.tar.gz"}, "{{ conf_source }}", "conf.tar.gz"),
        ({"nodes": "3"}, "{{ nodes }} {{ dependencies | length }}", "3 6"),
    ],
)  # fmt: skip
def test_settings(airflow: dict[str, str], expression: str, expected: str, show: Any) -> None:
    assert printed(show(f'"""{expression}"""', airflow=settings_text(**airflow))) == expected


@pytest.mark.parametrize(
    ("name", "package", "pipeline", "dag_id", "expected"),
    [
        ("spaceflights", "spaceflights", "__default__", None, "spaceflights"),
        ("space-flights", "space_flights", "__default__", None, "space_flights"),
        ("Space Flights", "sf", "__default__", None, "space-flights"),
        ("space-flights", "space_flights", "__default__", "space-flights", "space-flights"),
        ("space-flights", "space_flights", "data_science", None, "space-flights-data-science"),
        ("space-flights", "space_flights", "data_science", "space_flights", "space_flights"),
    ],
)
def test_dag_name(
    name: str, package: str, pipeline: str, dag_id: str | None, expected: str, show: Any
) -> None:
    pipelines = f"{pipeline}: {{nodes: [{{name: a, func: 'm:f', inputs: companies}}]}}"
    airflow = settings_text(**({} if dag_id is None else {"dag_id": dag_id}))
    rendering = show('"""{{ dag_name }}"""', pipelines, airflow, name=name, package_name=package)
    assert printed(rendering) == expected


def test_environment_is_named_when_there_is_one(show: Any) -> None:
    assert printed(show('"""{{ env }}"""', env="cloud")) == "cloud"


def test_include_extends_import_and_blocks_look_next_to_the_template(
    show: Any, tmp_path: Path
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "base.j2").write_text(
        '{% import "parts/macros.j2" as macros %}"""{% block body %}base{% endblock %}"""\n'
    )
    (tmp_path / "parts" / "macros.j2").write_text(
        "{% macro shout(text) %}{{ text | upper }}!{% endmacro %}"
    )
    (tmp_path / "parts" / "note.j2").write_text("{{ pipeline_name }}", encoding="utf-8-sig")
    rendering = show(
        '{% extends "parts/base.j2" %}{% block body %}{{ super() }} '
        '{% include "parts/note.j2" %} {% include "none.j2" ignore missing %}'
        '{% from "parts/macros.j2" import shout %}{{ shout("a") }}{% endblock %}'
    )
    assert printed(rendering) == "base __default__ A!"


def test_whitespace_is_as_kedro_airflow_left_it(show: Any) -> None:
    rendering = show("x = 1\n    {% if true %}\ny = 2\n    {% endif %}\nz = 3\n\n")
    assert rendering.text == "x = 1\n\ny = 2\n\nz = 3\n"


# --- what was read


def test_reads_hold_names_as_written_and_canonical_ones(show: Any) -> None:
    rendering = show('"""{{ docker_image }}{% if x %}{{ team }}{% endif %}{{ vars.other }}"""',
                     airflow=settings_text(docker_image="a", vars="{other: 1}"))  # fmt: skip
    assert {"docker_image", "image", "team", "x", "other"} <= rendering.reads
    assert "owner" not in rendering.reads


def test_settings_that_the_template_does_not_read_are_told(show: Any) -> None:
    airflow = settings_text(
        grouping="none", docker_image="a", retries="2", for_tasks="{split_data_node: {retries: 3}}"
    )
    rendering = show('"""{{ retries }}{{ machines }}"""', airflow=airflow)
    assert rendering.told("unread-setting") == [
        "conf/base/airflow.yml:4:3: warning: the template does not read 'docker_image', which has "
        "no effect then [unread-setting]",
        "conf/base/airflow.yml:6:33: warning: 'retries' of single tasks has no effect: a "
        "kedro-airflow template sees the settings of the DAG only [unread-setting]\n"
        "  fix: move to a template folder, where every task has its own settings",
    ]


PAIR = """
p:
  nodes:
    - {name: a, func: "m:a", inputs: companies, outputs: rows, tags: ["airflow:both"]}
    - {name: b, func: "m:b", inputs: rows, tags: ["airflow:both"]}
"""


@pytest.mark.parametrize(
    ("source", "grouping", "told"),
    [
        ("{{ node_objs | length }}", "tags", 0),
        ("{{ node_objs | length }}", "none", 1),
        ("{{ pipeline.nodes | length }}", "tags", 1),
        ("{% for node in pipeline.nodes %}{{ node.tags | length }}{% endfor %}", "tags", 0),
    ],
)
def test_data_in_memory_between_tasks_is_told(
    source: str, grouping: str, told: int, show: Any
) -> None:
    rendering = show(f'"""{source}"""', PAIR, settings_text(grouping=grouping))
    warnings = rendering.told("memory-border")
    assert len(warnings) == told
    assert all("'rows' in memory" in warning for warning in warnings)


@pytest.mark.parametrize("name", ["env", "pipeline", "dag_name"])
def test_variable_named_like_one_of_kedro_airflows_is_refused(name: str, show: Any) -> None:
    with pytest.raises(DagForgeError) as caught:
        show("", airflow=settings_text(**{name: "x"}))
    assert str(caught.value) == (
        f"conf/base/airflow.yml:3:3: error: '{name}' is what kedro-airflow itself tells every "
        "template [reserved-name]\n  fix: give the variable another name"
    )


def test_every_reserved_name_is_told(show: Any) -> None:
    with pytest.raises(DagForgeError) as caught:
        show("", airflow=settings_text(env="x", pipeline="y"))
    assert [problem.code for problem in caught.value.problems] == ["reserved-name"] * 2


# --- undefined is empty, and told


def test_what_nothing_sets_is_empty_and_told_once(show: Any, tmp_path: Path) -> None:
    rendering = show(
        'a = "{{ team }}"\nb = "{{ team }}{{ docker_imag }}"\nc = [{{ hosts | join(",") }}]\n'
        'd = "{{ k8s_namespace | default(default) }}"\n',
        airflow=settings_text(docker_image="x"),
    )
    assert rendering.text == 'a = ""\nb = ""\nc = []\nd = ""\n'
    file = (tmp_path / "dag.j2").as_posix()
    assert rendering.told("template-undefined") == [
        f"{file}:1: warning: nothing sets 'team', so that nothing stands here "
        "[template-undefined]\n"
        "  fix: set `team:` in airflow.yml; if the word itself is meant, quote it: 'team'",
        f"{file}:2: warning: nothing sets 'docker_imag', so that nothing stands here "
        "[template-undefined]\n"
        "  fix: did you mean 'docker_image'?",
        f"{file}:3: warning: nothing sets 'hosts', so that nothing stands here "
        "[template-undefined]\n"
        "  fix: set `hosts:` in airflow.yml; if the word itself is meant, quote it: 'hosts'",
        f"{file}:4: warning: nothing sets 'default', so that nothing stands here "
        "[template-undefined]\n"
        "  fix: set `default:` in airflow.yml; if the word itself is meant, quote it: 'default'",
    ]


def test_misspelt_attribute_is_told_with_the_right_one(show: Any, tmp_path: Path) -> None:
    rendering = show('"""{% for node in pipeline.nodes %}{{ node.nmae }}{% endfor %}"""')
    assert rendering.told("template-undefined") == [
        f"{(tmp_path / 'dag.j2').as_posix()}:1: warning: a KedroNode has no 'nmae', so that "
        "nothing stands here [template-undefined]\n  fix: did you mean 'name'?"
    ]


def test_asking_whether_something_is_set_is_not_told(show: Any) -> None:
    rendering = show(
        "x = {% if team %}1{% else %}2{% endif %}\n"
        "y = {{ team | default(3) }}\nz = {{ team is defined }}\n"
        'w = {{ team == "core" }}\nv = {{ env | default(local) | length }}\n'
    )
    assert rendering.text == "x = 2\ny = 3\nz = False\nw = False\nv = 5\n"
    assert rendering.told("template-undefined") == []


def test_null_between_quotes_is_told(show: Any, tmp_path: Path) -> None:
    source = '{% if true %}\n{% endif %}\nx = {{ schedule }}\ny = "{{ schedule }}"\n'
    rendering = show(source, airflow=settings_text(schedule="null"))
    assert rendering.text == '\n\nx = None\ny = "None"\n'
    assert rendering.told("template-none") == [
        f'{(tmp_path / "dag.j2").as_posix()}:4: warning: the file holds the text "None", where a '
        "setting is null; the orchestrator takes it for a name or a schedule [template-none]\n"
        "  fix: without the quotes, {{ '%r' | format(value) }} writes None and texts alike"
    ]


# --- templates that are wrong


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "x = 1\n{% for a in b %}\n",
            ":2: error: unexpected end of template. Jinja was looking for the following tags: "
            "'endfor' or 'else'. The innermost block that needs to be closed is 'for' "
            "[template-syntax]\n  fix: correct the tag or expression on this line",
        ),
        (
            "x = 1\n\n{{ 'a' | slugfy }}",
            ":3: error: no filter named 'slugfy' [template-syntax]\n"
            "  fix: did you mean 'slugify'?",
        ),
        (
            "{{ 'a' | zzz }}",
            ":1: error: no filter named 'zzz' [template-syntax]\n"
            "  fix: kedro-airflow adds only 'slugify' to Jinja's own filters",
        ),
        (
            "x = 1\n{{ team.lead }}",
            ":2: error: 'team' is undefined [template-undefined]\n"
            "  fix: set it in the settings, or give it a value: {{ name | default(...) }}",
        ),
        (
            "{% include 'prats.j2' %}",
            ":1: error: there is no template 'prats.j2' [template-not-found]\n"
            "  fix: did you mean 'parts.j2'?",
        ),
        (
            "x = 1\n{{ 1 / 0 }}",
            ":2: error: ZeroDivisionError while rendering: division by zero [template-failed]\n"
            "  fix: correct the expression on this line",
        ),
        (
            "{% macro again() %}\n{{ again() }}\n{% endmacro %}\n{{ again() }}",
            ":2: error: templates or macros call each other without end, or nest too deep "
            "[template-recursion]\n  fix: let one of them stop, or loop instead",
        ),
        (
            "{% include 'dag.j2' %}",
            ":1: error: templates or macros call each other without end, or nest too deep "
            "[template-recursion]\n  fix: let one of them stop, or loop instead",
        ),
        ("{{ [1, 2] | random }}", ":1: error: no filter named 'random' [template-syntax]\n"
         "  fix: kedro-airflow adds only 'slugify' to Jinja's own filters"),
    ],
)  # fmt: skip
def test_wrong_template(source: str, expected: str, show: Any, tmp_path: Path) -> None:
    (tmp_path / "parts.j2").write_text("")
    with pytest.raises(DagForgeError) as caught:
        show(source)
    assert str(caught.value) == (tmp_path / "dag.j2").as_posix() + expected


def test_mistake_in_an_included_file_is_shown_there(show: Any, tmp_path: Path) -> None:
    (tmp_path / "parts.j2").write_text("x = 1\n{{ team.lead }}\n")
    with pytest.raises(DagForgeError, match=r"parts\.j2:2: error: 'team' is undefined"):
        show("\n\n{% include 'parts.j2' %}")


def test_template_that_is_no_text(tmp_path: Path) -> None:
    template = tmp_path / "dag.j2"
    template.write_bytes(b"x = 1\ny = '\xf3'\n")
    with pytest.raises(DagForgeError) as caught:
        render(plan_of(tmp_path), template)
    assert str(caught.value) == (
        f"{template.as_posix()}:2: error: the template is not UTF-8 text [template-unreadable]\n"
        "  fix: save it as UTF-8"
    )


@pytest.mark.parametrize("name", ["dag.j3", "none/dag.j2", "conf"])
def test_template_that_is_not_there(name: str, tmp_path: Path) -> None:
    stages = plan_of(tmp_path)
    (tmp_path / "dag.j2").write_text("")
    with pytest.raises(DagForgeError) as caught:
        render(stages, tmp_path / name)
    [problem] = caught.value.problems
    assert problem.code in ("template-not-found", "template-unreadable")
    assert name in str(problem)


# --- output that is no Python


@pytest.mark.parametrize(
    ("source", "settings", "expected"),
    [
        (
            "x = 1\n\ny = [\n    &#39;a&#39;,\n]\n",
            {},
            ":4: error: what the template gives is no Python: invalid syntax "
            "[template-output]\n"
            "    generated line 4: &#39;a&#39;,\n"
            "  fix: write the character itself: an HTML entity comes from the filter 'e', or "
            "stands in the template",
        ),
        (
            "{% if true %}\n\n{% endif %}\nx = 1\nowner = '{{ owner }}'\n",
            {"owner": '"O\'Brien"'},
            ":5: error: what the template gives is no Python: unterminated string literal "
            "(detected at line 5) [template-output]\n    generated line 5: owner = 'O'Brien'\n"
            "  fix: a value that holds a quote or a line end breaks the quotes around it: without "
            "them, {{ '%r' | format(value) }} writes any value as Python",
        ),
        (
            "# {{ pipeline_name }}\nretries = {{ retries }}\n",
            {},
            ":2: error: what the template gives is no Python: invalid syntax "
            "[template-output]\n"
            "    generated line 2: retries =\n"
            "  fix: nothing sets 'retries', which is printed here: set it, or use | default(...)",
        ),
        (
            "{% for node in pipeline.nodes %}\ntask = 1\n{% endfor %}\nx = (\n",
            {},
            ":4: error: what the template gives is no Python: '(' was never closed "
            "[template-output]\n"
            "    generated line 14: x = (\n"
            "  fix: correct the template; kedro-airflow wrote such a file without a word",
        ),
    ],
)
def test_output_that_is_no_python(
    source: str, settings: dict[str, str], expected: str, show: Any, tmp_path: Path
) -> None:
    with pytest.raises(DagForgeError) as caught:
        show(source, airflow=settings_text(**settings))
    assert str(caught.value) == (tmp_path / "dag.j2").as_posix() + expected


@pytest.mark.parametrize(
    "source", ["", "\n", "{# all of it is gone #}\n\n", "{% if no %}x{% endif %}"]
)
def test_output_of_nothing_is_refused(source: str, show: Any) -> None:
    with pytest.raises(DagForgeError, match="the template gives nothing for pipeline"):
        show(source)


def test_nodes_that_are_not_there_are_refused_as_by_kedro(show: Any) -> None:
    with pytest.raises(DagForgeError, match="Pipeline does not contain nodes named"):
        show("# {{ pipeline.only_nodes('nope') }}")


def test_output_mistake_of_an_included_file_is_shown_there(show: Any, tmp_path: Path) -> None:
    (tmp_path / "parts.j2").write_text("x = 1\n\ny = )\n")
    with pytest.raises(DagForgeError, match=r"parts\.j2:3: error: what the template gives"):
        show("a = 1\n{% include 'parts.j2' %}\nb = 1\n")


@pytest.mark.parametrize("source", ["x = '\0'\n", "x = " + "(" * 500 + "1" + ")" * 500, "\ufeff\0"])
def test_output_that_python_cannot_even_read(source: str, show: Any) -> None:
    with pytest.raises(DagForgeError) as caught:
        show(source)
    assert [problem.code for problem in caught.value.problems] == ["template-output"]


def test_what_python_finds_doubtful_is_no_error(show: Any) -> None:
    assert show('x = "\\d"\n').text == 'x = "\\d"\n'


PIECES = st.sampled_from(
    ["{{", "}}", "{%", "%}", "{#", "#}", "-", " for ", " in ", " if ", " endif ", " endfor ", "x",
     " pipeline.nodes ", " dependencies ", ".name", ".items()", "|", " slugify", " safe", " e ",
     " join(',')", "(", ")", "[0]", "'", '"', "\n", " = ", "1", "é", "\\", " set ", " raw ",
     " include 'dag.j2' ", " node_objs ", " nodes ", "{{ env }}", "{% endraw %}", "  "]
)  # fmt: skip


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Stages]]:
    root = tmp_path_factory.mktemp("project")
    yield root, plan_of(root)


@given(pieces=st.lists(PIECES, max_size=12))
@hypothesis_settings(deadline=None, max_examples=150)
def test_any_template_gives_python_or_a_problem(
    pieces: list[str], planned: tuple[Path, Stages]
) -> None:
    root, stages = planned
    template = root / "dag.j2"
    template.write_text("".join(pieces), encoding="utf-8")
    try:
        text = render(stages, template).text
    except DagForgeError as error:
        assert all(problem.code.startswith("template-") for problem in error.problems)
        assert all(problem.location is not None for problem in error.problems)
    else:
        compile(text, "dag.py", "exec")
