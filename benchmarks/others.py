"""The same pipelines for others: a Kedro project, DAGs written by hand, YAML of dag-factory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from dagforge.resources import demo_dir

KEDRO_PROJECT = """\
[tool.kedro]
package_name = "spaceflights"
project_name = "spaceflights"
kedro_init_version = "1.7.0"
source_dir = "src"
"""
KEDRO_REGISTRY = """\
from kedro.pipeline import node, pipeline

from spaceflights import nodes


def register_pipelines():
    pipelines = {
%s
    }
    return {"__default__": sum(pipelines.values(), pipeline([])), **pipelines}
"""
KEDRO_SETTINGS = """\
default:
  start_date: [2023, 1, 1]
  max_active_runs: 2
  schedule_interval: "@once"
  catchup: false
  owner: airflow
  retries: 0
  retry_delay: 5
"""
NAMESPACES_REGISTRY = """\
import warnings

from kedro.pipeline import node, pipeline

warnings.filterwarnings("ignore", message="One or more dataset names contain")


def step(*values):
    return values


def register_pipelines():
    nodes = []
    made = ["raw"]
    for space in range({namespaces}):
        for number in range({nodes}):
            output = f"space{{space}}.table{{number}}"
            inputs = made[-1::-7][:3]
            name, namespace = f"step{{number}}", f"space{{space}}"
            nodes.append(node(step, inputs, output, name=name, namespace=namespace))
            made.append(output)
    return {{"__default__": pipeline(nodes)}}
"""
NAMESPACES_CATALOG = """\
"{space}.table{number}":
  type: pandas.ParquetDataset
  filepath: data/{space}/table{number}.parquet

raw:
  type: pandas.ParquetDataset
  filepath: data/raw.parquet
"""
HAND_WRITTEN = """\
from datetime import datetime, timedelta

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG


def run_nodes(*arguments):
    pass


with DAG(
    dag_id="{name}",
    schedule="@daily",
    start_date=datetime(2024, 1, 1),
    catchup=False,
    default_args={{"owner": "data", "retries": 2, "retry_delay": timedelta(minutes=5)}},
):
{tasks}
{edges}"""
HAND_WRITTEN_TASK = """\
    {task} = PythonOperator(
        task_id="{task}",
        python_callable=run_nodes,
        op_args=["run", "{name}", "--nodes", "{task}", "--run-id", "{{{{ run_id }}}}"],
    )
"""
DAG_FACTORY_LOADER = """\
# Airflow looks for "dag" and "airflow" before it imports a file.
from dagfactory import load_yaml_dags

load_yaml_dags(globals_dict=globals(), dags_folder={folder!r})
"""


def write_kedro_project(folder: Path, conf: Path) -> Path:
    """Write a project's pipelines as a Kedro project and return its folder."""
    definitions = yaml.safe_load((conf / "base/pipelines.yml").read_text())
    pipelines = "\n".join(
        f"        {name!r}: pipeline([\n{''.join(map(_kedro_node, body['nodes']))}        ]),"
        for name, body in definitions.items()
        if "nodes" in body
    )
    for file, text in {
        "pyproject.toml": KEDRO_PROJECT,
        "src/spaceflights/__init__.py": "",
        "src/spaceflights/nodes.py": (demo_dir() / "src/spaceflights/nodes.py").read_text(),
        "src/spaceflights/settings.py": "",
        "src/spaceflights/pipeline_registry.py": KEDRO_REGISTRY % pipelines,
        "conf/base/airflow.yml": KEDRO_SETTINGS,
        "conf/base/catalog.yml": (conf / "base/catalog.yml").read_text(),
        "conf/base/parameters.yml": (conf / "base/parameters.yml").read_text(),
        "conf/local/catalog.yml": "",
    }.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return folder


def write_kedro_namespaces(folder: Path, namespaces: int, nodes: int) -> Path:
    """Write a Kedro project of one large pipeline in namespaces, and return its folder."""
    registry = NAMESPACES_REGISTRY.format(namespaces=namespaces, nodes=nodes)
    for file, text in {
        "pyproject.toml": KEDRO_PROJECT,
        "src/spaceflights/__init__.py": "",
        "src/spaceflights/settings.py": "",
        "src/spaceflights/pipeline_registry.py": registry,
        "conf/base/airflow.yml": KEDRO_SETTINGS.replace("active_runs: 2", "active_runs: 1"),
        "conf/base/catalog.yml": NAMESPACES_CATALOG,
        "conf/base/parameters.yml": "",
        "conf/local/catalog.yml": "",
    }.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    return folder


def _kedro_node(node: Mapping[str, Any]) -> str:
    tags = [tag.replace(":", ".") for tag in node.get("tags", [])]
    ends = f"{node.get('inputs')!r}, {node.get('outputs')!r}"
    function = node["func"].partition(":")[2]
    return f"            node(nodes.{function}, {ends}, name={node['name']!r}, tags={tags!r}),\n"


def write_by_hand(folder: Path, project: Path) -> Path:
    """Write a project's ungrouped pipelines as DAG files with nothing but tasks and edges."""
    folder.mkdir(parents=True)
    for name, tasks in _pipelines(project):
        written = "".join(HAND_WRITTEN_TASK.format(task=task, name=name) for task in tasks)
        edges = "".join(
            f"    {earlier} >> {task}\n" for task, upstream in tasks.items() for earlier in upstream
        )
        text = HAND_WRITTEN.format(name=name, tasks=written, edges=edges)
        (folder / f"{name}.py").write_text(text)
    return folder


def write_for_dag_factory(folder: Path, project: Path) -> Path:
    """Write the same DAGs as YAML, and the one file that loads them all."""
    definitions = folder / "definitions"
    definitions.mkdir(parents=True)
    (folder / "loader.py").write_text(DAG_FACTORY_LOADER.format(folder=str(definitions)))
    (folder / "steps.py").write_text("def run_nodes(*arguments):\n    pass\n")
    (folder / ".airflowignore").write_text("steps.py\n")
    for name, tasks in _pipelines(project):
        dag = {
            "default_args": {"owner": "data", "retries": 2, "retry_delay_sec": 300},
            "schedule": "@daily",
            "start_date": "2024-01-01",
            "catchup": False,
            "tasks": [
                {
                    "task_id": task,
                    "operator": "airflow.providers.standard.operators.python.PythonOperator",
                    "python_callable": "steps.run_nodes",
                    "op_args": ["run", name, "--nodes", task, "--run-id", "{{ run_id }}"],
                    "dependencies": upstream,
                }
                for task, upstream in tasks.items()
            ],
        }
        (definitions / f"{name}.yml").write_text(yaml.safe_dump({name: dag}, sort_keys=False))
    return folder


def _pipelines(project: Path) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Give each pipeline's name and the tasks before each of its tasks."""
    for file in sorted((project / "conf/base/pipelines").glob("*.yml")):
        for name, body in yaml.safe_load(file.read_text()).items():
            writer = {node["outputs"]: node["name"] for node in body["nodes"]}
            yield (
                name,
                {
                    node["name"]: [writer[dataset] for dataset in node.get("inputs", [])]
                    for node in body["nodes"]
                },
            )


def read_answer(said: str) -> Any:
    """Return the JSON on the last line of what a program printed."""
    return json.loads(said.strip().splitlines()[-1])
