from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from airflow import DAG
from airflow.models import BaseOperator
from airflow.utils.decorators import apply_defaults

from kedro.framework.session import KedroSession
from kedro.framework.project import configure_project


class KedroOperator(BaseOperator):
    @apply_defaults
    def __init__(
        self,
        package_name: str,
        pipeline_name: str,
        node_name: str | list[str],
        project_path: str | Path,
        env: str,
        conf_source: str,
        *args, **kwargs
    ) -> None:
        super().__init__(*args, **kwargs)
        self.package_name = package_name
        self.pipeline_name = pipeline_name
        self.node_name = node_name
        self.project_path = project_path
        self.env = env
        self.conf_source = conf_source

    def execute(self, context):
        configure_project(self.package_name)
        with KedroSession.create(self.project_path, env=self.env, conf_source=self.conf_source) as session:
            if isinstance(self.node_name, str):
                self.node_name = [self.node_name]
            session.run(self.pipeline_name, node_names=self.node_name)

# Kedro settings required to run your pipeline
env = "local"
pipeline_name = "__default__"
project_path = Path.cwd()
package_name = "space_flights"
conf_source = "" or Path.cwd() / "conf"


# Using a DAG context manager, you don't have to specify the dag property of each task
with DAG(
    dag_id="space-flights",
    start_date=datetime(2023,6,1),
    max_active_runs=2,
    # https://airflow.apache.org/docs/stable/scheduler.html#dag-runs
    schedule_interval="@daily",
    catchup=False,
    # Default settings applied to all tasks
    default_args=dict(
        owner="O&#39;Brien",
        depends_on_past=False,
        email_on_failure=False,
        email_on_retry=False,
        retries=2,
        retry_delay=timedelta(minutes=7)
    )
) as dag:
    tasks = {
        "clean-companies-node": KedroOperator(
            task_id="clean-companies-node",
            package_name=package_name,
            pipeline_name=pipeline_name,
            node_name="clean_companies_node",
            project_path=project_path,
            env=env,
            conf_source=conf_source,
        ),
        "clean-shuttles-node": KedroOperator(
            task_id="clean-shuttles-node",
            package_name=package_name,
            pipeline_name=pipeline_name,
            node_name="clean_shuttles_node",
            project_path=project_path,
            env=env,
            conf_source=conf_source,
        ),
        "join-all": KedroOperator(
            task_id="join-all",
            package_name=package_name,
            pipeline_name=pipeline_name,
            node_name="join.all",
            project_path=project_path,
            env=env,
            conf_source=conf_source,
        ),
        "split-data-node": KedroOperator(
            task_id="split-data-node",
            package_name=package_name,
            pipeline_name=pipeline_name,
            node_name="split_data_node",
            project_path=project_path,
            env=env,
            conf_source=conf_source,
        ),
        "train-model-node": KedroOperator(
            task_id="train-model-node",
            package_name=package_name,
            pipeline_name=pipeline_name,
            node_name="train_model_node",
            project_path=project_path,
            env=env,
            conf_source=conf_source,
        ),
        "evaluate-model-node": KedroOperator(
            task_id="evaluate-model-node",
            package_name=package_name,
            pipeline_name=pipeline_name,
            node_name="evaluate_model_node",
            project_path=project_path,
            env=env,
            conf_source=conf_source,
        )
    }
    tasks["clean-companies-node"] >> tasks["join-all"]
    tasks["clean-shuttles-node"] >> tasks["join-all"]
    tasks["join-all"] >> tasks["split-data-node"]
    tasks["split-data-node"] >> tasks["train-model-node"]
    tasks["split-data-node"] >> tasks["evaluate-model-node"]
    tasks["train-model-node"] >> tasks["evaluate-model-node"]