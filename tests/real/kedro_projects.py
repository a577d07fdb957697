"""Small Kedro projects on disk, and `dagforge` in the environments of the real Kedro."""

from __future__ import annotations

import os
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.real.environments import python_of

REPOSITORY = Path(__file__).parents[2]
VERSIONS = {"kedro-1.7": "1.7.0", "kedro-0.19": "0.19.15"}
"""The version that a project says it was made with, by environment."""

REGISTRY = """
    from kedro.framework.project import find_pipelines


    def register_pipelines():
        pipelines = find_pipelines()
        pipelines["__default__"] = sum(pipelines.values())
        return pipelines
    """
NODES = """
    def add(values):
        return [value + 1 for value in values]


    def join(one, other):
        return one + other
    """
PIPELINE = """
    from kedro.pipeline import node, pipeline

    from .nodes import add, join


    def create_pipeline():
        return pipeline(
            [
                node(
                    func=add,
                    inputs="companies",
                    outputs="more_companies",
                    name="add_companies",
                    tags=["machine.small", "airflow.prepare"],
                ),
                node(add, "shuttles", "more_shuttles", name="add_shuttles"),
                node(
                    join,
                    ["more_companies", "more_shuttles"],
                    "table",
                    name="join_both",
                ),
            ],
            tags="etl",
        )
    """
CATALOG = """
    companies: {type: json.JSONDataset, filepath: data/companies.json}
    shuttles: {type: json.JSONDataset, filepath: data/shuttles.json, credentials: secret}
    "more_{what}": {type: json.JSONDataset, filepath: "data/more_{what}.json"}
    """
AIRFLOW = """
    default:
      start_date: [2024, 1, 1]
      schedule_interval: "@daily"
    """
FILES = {
    "src/shop/__init__.py": "",
    "src/shop/settings.py": "",
    "src/shop/pipeline_registry.py": REGISTRY,
    "src/shop/pipelines/__init__.py": "",
    "src/shop/pipelines/etl/__init__.py": "from .pipeline import create_pipeline\n",
    "src/shop/pipelines/etl/nodes.py": NODES,
    "src/shop/pipelines/etl/pipeline.py": PIPELINE,
    "conf/base/catalog.yml": CATALOG,
    "conf/base/airflow.yml": AIRFLOW,
    "conf/local/.gitkeep": "",
    "data/companies.json": "[1, 2]",
    "data/shuttles.json": "[3, 4]",
}


def write_kedro_project(
    root: Path, files: Mapping[str, str | None] | None = None, *, environment: str = "kedro-1.7"
) -> Path:
    """Write a Kedro project below `root`, `files` over `FILES` (None: left out); return `root`."""
    pyproject = textwrap.dedent(f"""
        [project]
        name = "shop"

        [tool.kedro]
        package_name = "shop"
        project_name = "Shop"
        kedro_init_version = "{VERSIONS[environment]}"
        """)
    for name, text in {"pyproject.toml": pyproject, **FILES, **(files or {})}.items():
        if text is None:
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
    return root


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command went."""

    code: int
    out: str
    err: str


def run_kedro(
    root: Path,
    *arguments: str,
    environment: str = "kedro-1.7",
    program: str = "dagforge",
    path: Path = REPOSITORY,
) -> Ran:
    """Run `dagforge`, or another module, in a project with the real Kedro, and say how it went."""
    done = subprocess.run(
        [str(python_of(environment)), "-m", program, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(path), "DO_NOT_TRACK": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)
