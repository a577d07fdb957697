"""The pipeline of the article on Kedro and Airflow that DagForge began with: right, and wrong.

https://getindata.com/blog/kedro-airflow-plugin-kubernetes-gcp-composer
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.real.environments import python_of
from tests.real.kedro_runs import variables, write_project
from tests.real.run_project import REPOSITORY

NODES = """\
def preprocess_companies(companies): ...
def preprocess_shuttles(shuttles): ...
def create_model_input_table(shuttles, companies, reviews): ...
def split_data(table, options): ...
def train_model(features, prices): ...
def evaluate_model(model, features, prices): ...
"""
PROCESSING = """\
from kedro.pipeline import node, pipeline

from small.nodes import create_model_input_table, preprocess_companies, preprocess_shuttles


def create_pipeline():
    return pipeline(
        [
            node(
                func=preprocess_companies,
                inputs="companies",
                outputs="preprocessed_companies",
                name="preprocess_companies_node",
                tags=["airflow.companies"],
            ),
            node(
                func=preprocess_shuttles,
                inputs="shuttles",
                outputs="preprocessed_shuttles",
                name="preprocess_shuttles_node",
                tags=["airflow.shuttles", "machine.medium"],
            ),
            node(
                func=create_model_input_table,
                inputs=["preprocessed_shuttles", "preprocessed_companies", "reviews"],
                outputs="model_input_table",
                name="create_model_input_table_node",
                tags=["airflow.split", "machine.medium"],
            ),
        ]
    )
"""
SCIENCE = """\
from kedro.pipeline import node, pipeline

from small.nodes import evaluate_model, split_data, train_model


def create_pipeline():
    return pipeline(
        [
            node(
                func=split_data,
                inputs=["model_input_table", "params:model_options"],
                outputs=["X_train", "X_test", "y_train", "y_test"],
                name="split_data_node",
                tags=["airflow.split", "machine.medium"],
            ),
            node(
                func=train_model,
                inputs=["X_train", "y_train"],
                outputs="regressor",
                name="train_model_node",
                tags=["machine.medium"],
            ),
            node(
                func=evaluate_model,
                inputs=["regressor", "X_test", "y_test"],
                outputs=None,
                name="evaluate_model_node",
                tags=["machine.medium"],
            ),
        ]
    )
"""
REGISTRY = """\
from kedro.framework.project import find_pipelines


def register_pipelines():
    pipelines = find_pipelines(raise_errors=True)
    pipelines["__default__"] = sum(pipelines.values())
    return pipelines
"""
CATALOG = """\
_bucket: gs://example-project/data

companies: {type: pandas.CSVDataset, filepath: "${_bucket}/01_raw/companies.csv"}
reviews: {type: pandas.CSVDataset, filepath: "${_bucket}/01_raw/reviews.csv"}
shuttles: {type: pandas.ExcelDataset, filepath: "${_bucket}/01_raw/shuttles.xlsx"}
preprocessed_companies: {type: pandas.ParquetDataset, filepath: "${_bucket}/companies.pq"}
preprocessed_shuttles: {type: pandas.ParquetDataset, filepath: "${_bucket}/shuttles.pq"}
model_input_table: {type: pandas.ParquetDataset, filepath: "${_bucket}/model_input_table.pq"}
X_train: {type: pickle.PickleDataset, filepath: "${_bucket}/x_train.pkl"}
X_test: {type: pickle.PickleDataset, filepath: "${_bucket}/x_test.pkl"}
y_train: {type: pickle.PickleDataset, filepath: "${_bucket}/y_train.pkl"}
y_test: {type: pickle.PickleDataset, filepath: "${_bucket}/y_test.pkl"}
regressor: {type: pickle.PickleDataset, filepath: "${_bucket}/regressor.pkl"}
"""
# Every key of the article's file, under its own name; what its author says of MLflow is the last.
AIRFLOW = """\
default:
  grouping_prefix: "airflow."
  resources_tag_prefix: "machine."
  grouping: true
  gcp_project_id: "example-project"
  gcp_region: "europe-west1"
  gcp_gke_cluster_name: "europe-west1-example-gke"
  k8s_namespace: "airflow-ml-jobs"
  k8s_service_account: "composer-airflow"
  docker_image: "europe-west1-docker.pkg.dev/example-project/images/spaceflights-airflow"
  start_date: [2023, 1, 1]
  max_active_runs: 1
  schedule_interval: "@once"
  catchup: false
  owner: "airflow"
  depends_on_past: false
  email_on_failure: false
  email_on_retry: false
  retries: 0
  retry_delay: 5
  machines:
    small: {requests: {cpu: 500m, memory: 1G}}
    medium: {requests: {cpu: "1", memory: 2G}}
  mlflow_url: "https://mlflow.example.com"
  env_vars:
    MLFLOW_TRACKING_URI: "https://mlflow.example.com"
    MLFLOW_RUN_ID: "{{ task_instance.xcom_pull(task_ids='start_mlflow_run')['run_id'] }}"

data_science:
  owner: "airflow-ds"
"""
# A pod before all others opens the run in MLflow and hands on its id.
MLFLOW = """\
{% extends "builtin/airflow/dag.py.jinja" %}
{% block before_tasks %}
    start_mlflow_run = {{ use("GKEStartPodOperator") }}(
        task_id="start_mlflow_run",
        name={{ dag.dag_id ~ "-mlflow" }},
        cmds=["python", "-m", "small.mlflow", {{ mlflow_url }}, {{ dag.dag_id }}],
        env_vars={},
        do_xcom_push=True,
    )
{% endblock %}
{% block edges %}
{{ super() }}
{% for task in dag.tasks if not task.upstream %}
    {{ chain("start_mlflow_run" | code, task.variable | code) }}
{% endfor %}
{% endblock %}
"""
SCIENCE_FILE = "src/small/pipelines/data_science/pipeline.py"
FILES = {
    "src/small/nodes.py": NODES,
    "src/small/pipeline_registry.py": REGISTRY,
    "src/small/pipelines/__init__.py": "",
    "src/small/pipelines/data_processing/__init__.py": "from .pipeline import create_pipeline\n",
    "src/small/pipelines/data_processing/pipeline.py": PROCESSING,
    "src/small/pipelines/data_science/__init__.py": "from .pipeline import create_pipeline\n",
    SCIENCE_FILE: SCIENCE,
    "conf/base/catalog.yml": CATALOG,
    "conf/base/parameters.yml": "model_options: {test_size: 0.2}\n",
    "conf/base/airflow.yml": AIRFLOW,
    "conf/cloud/.gitkeep": "",
    "templates/templates.yaml": "template_api: 1\n",
    "templates/airflow/dag.py.jinja": MLFLOW,
}
CREATE = ("create", "--env", "cloud", "--target", "airflow-gke", "--templates", "templates")


def create(root: Path, *words: str) -> tuple[int, str]:
    """Return the exit code of `dagforge create` and what it says."""
    done = subprocess.run(
        [str(python_of("kedro-1.7")), "-m", "dagforge", *CREATE, *words],
        cwd=root,
        env=variables(REPOSITORY),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


def test_it_loads_with_the_pod_that_opens_the_run(tmp_path: Path) -> None:
    root = write_project(tmp_path / "small", "1.7", FILES)
    verifying = ("--verify", "--python", str(python_of("airflow-3.3")))
    code, said = create(root, *verifying)
    assert code == 0, said
    assert "1 DAG with 5 tasks for airflow-gke in Airflow 3.3" in said
    assert "more tasks: start_mlflow_run" in said
    assert "warning" not in said
    text = (root / "dags/small.py").read_text(encoding="utf-8")
    assert "[companies, shuttles] >> split >> [train_model_node, evaluate_model_node]" in text
    assert '"create_model_input_table_node,split_data_node"' in text
    assert text.count("container_resources=MEDIUM") == 4
    assert "xcom_pull(task_ids='start_mlflow_run')['run_id'] }}" in text
    for first in ("companies", "shuttles"):
        assert f"start_mlflow_run >> {first}" in text


def test_wrong_tags_are_told_with_the_chain_that_closes_the_cycle(tmp_path: Path) -> None:
    tags = 'name="evaluate_model_node",\n                tags=['
    assert f'{tags}"machine.medium"]' in SCIENCE
    wrong = SCIENCE.replace(f'{tags}"machine.medium"]', f'{tags}"airflow.split", "machine.small"]')
    code, said = create(write_project(tmp_path / "small", "1.7", {**FILES, SCIENCE_FILE: wrong}))
    assert (code, said) == (
        1,
        f"""\
{SCIENCE_FILE}:14:23: error: grouping makes a cycle in pipeline '__default__' [group-cycle]
  split -[X_train, y_train]-> train_model_node -[regressor]-> split
    split_data_node (split) writes X_train and y_train, train_model_node reads them;
    train_model_node writes regressor, evaluate_model_node (split) reads it
  fix: tag train_model_node 'airflow.split' too, or drop that tag from evaluate_model_node (line 28)
{SCIENCE_FILE}:28:40: warning: task 'split' has several machines, 'medium', 'small'; it gets the \
larger of each resource [several-machines]
  fix: give its nodes one machine tag
1 error and 1 warning
""",
    )
    assert not (tmp_path / "small/dags").exists()


def test_its_catalog_wrote_two_datasets_to_one_file(tmp_path: Path) -> None:
    catalog = CATALOG.replace("x_test.pkl", "x_train.pkl").replace("y_test.pkl", "y_train.pkl")
    files = {**FILES, "conf/base/catalog.yml": catalog}
    code, said = create(write_project(tmp_path / "small", "1.7", files))
    assert code == 1
    for letter, line in (("X", 9), ("y", 11)):
        assert (
            f"conf/base/catalog.yml:{line + 1}:1: error: the datasets '{letter}_train' "
            f"(conf/base/catalog.yml:{line}) and '{letter}_test' have one path" in said
        )


def test_its_prefixes_with_a_colon_get_a_hint(tmp_path: Path) -> None:
    settings = AIRFLOW.replace('"airflow."', '"airflow:"')
    files = {**FILES, "conf/base/airflow.yml": settings}
    code, said = create(write_project(tmp_path / "small", "1.7", files))
    assert code == 0
    assert "since 0.19 a tag of Kedro has no colon [kedro-tag]" in said
    assert "created    dags/small.py  (6 tasks)" in said
