from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow.sdk import dag, task

from kedro.framework.session import KedroSession
from kedro.framework.project import configure_project

# Kedro settings required to run your pipeline
env = "local"
pipeline_name = "__default__"
project_path = Path.cwd()
package_name = "space_flights"
conf_source = "" or Path.cwd() / "conf"


def _run_kedro_node(node_names=None, namespaces=None):
    """Run a Kedro pipeline slice. Pass node_names for regular node groups or namespaces for namespace groups."""
    configure_project(package_name)
    with KedroSession.create(project_path=project_path, env=env, conf_source=conf_source) as session:
        if namespaces is not None:
            session.run(pipeline_names=[pipeline_name], namespaces=namespaces)
        else:
            session.run(pipeline_names=[pipeline_name], node_names=node_names)


@dag(
    dag_id="space-flights",
    start_date=datetime(2023,6,1),
    max_active_runs=2,
    schedule="@daily",
    catchup=False,
    default_args=dict(
        owner="O&#39;Brien",
        depends_on_past=False,
        email_on_failure=False,
        email_on_retry=False,
        retries=2,
        retry_delay=timedelta(minutes=7)
    ),
)
def space_flights():

    @task(task_id="clean-companies-node")
    def clean_companies_node():
        _run_kedro_node(node_names=["clean_companies_node"])

    @task(task_id="clean-shuttles-node")
    def clean_shuttles_node():
        _run_kedro_node(node_names=["clean_shuttles_node"])

    @task(task_id="join-all")
    def join_all():
        _run_kedro_node(node_names=["join.all"])

    @task(task_id="split-data-node")
    def split_data_node():
        _run_kedro_node(node_names=["split_data_node"])

    @task(task_id="train-model-node")
    def train_model_node():
        _run_kedro_node(node_names=["train_model_node"])

    @task(task_id="evaluate-model-node")
    def evaluate_model_node():
        _run_kedro_node(node_names=["evaluate_model_node"])

    tasks = {
        "clean-companies-node": clean_companies_node(),
        "clean-shuttles-node": clean_shuttles_node(),
        "join-all": join_all(),
        "split-data-node": split_data_node(),
        "train-model-node": train_model_node(),
        "evaluate-model-node": evaluate_model_node(),
    }
    tasks["clean-companies-node"] >> tasks["join-all"]
    tasks["clean-shuttles-node"] >> tasks["join-all"]
    tasks["join-all"] >> tasks["split-data-node"]
    tasks["split-data-node"] >> tasks["train-model-node"]
    tasks["split-data-node"] >> tasks["evaluate-model-node"]
    tasks["train-model-node"] >> tasks["evaluate-model-node"]


space_flights()