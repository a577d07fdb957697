"""`kedro dagforge` in the real Kedro: who used `kedro airflow` changes one word."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.real.environments import python_of
from tests.real.kedro_projects import VERSIONS, Ran, write_kedro_project
from tests.real.run_project import install

TEMPLATE = """\
with DAG(dag_id="{{ dag_name | safe | slugify }}", owner="{{ owner | safe }}"):
    CONF, ENV, PACKAGE = "{{ conf_source }}", "{{ env }}", "{{ package_name }}"
{%- for group in node_objs %}
    Op(task_id="{{ group.name | slugify }}", nodes={{ group.nodes | join(",") | length }})
{%- endfor %}
"""
ONE_RUN = {"conf/base/airflow.yml": "default: {max_active_runs: 1, schedule: '@daily'}\n"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with this checkout installed: Kedro finds the plugin by its entry point."""
    return install(tmp_path_factory.mktemp("wheel"))


def kedro(root: Path, packages: Path, *words: str, environment: str = "kedro-1.7") -> Ran:
    done = subprocess.run(
        [str(python_of(environment)), "-m", "kedro", *words],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(packages), "DO_NOT_TRACK": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("environment", VERSIONS)
def test_create_takes_the_words_of_kedro_airflow(
    environment: str, packages: Path, tmp_path: Path
) -> None:
    files = {**ONE_RUN, "dag.j2": TEMPLATE, "conf/cloud/airflow.yml": "default: {owner: ops}\n"}
    root = write_kedro_project(tmp_path, files, environment=environment)
    with (root / "pyproject.toml").open("a") as file:
        file.write('[tool.dagforge]\nproject = "store"\n')
    words = ["-p", "etl", "-e", "cloud", "-j", "dag.j2", "--params", "retries=3"]
    words += ["--group-by", "namespace", "--conf-source", "conf.tar.gz"]
    created = kedro(root, packages, "dagforge", "create", *words, environment=environment)
    assert created.code == 0, created.err
    text = (root / "airflow_dags/store_etl.py").read_text()
    assert 'with DAG(dag_id="store-etl", owner="ops"):' in text
    assert 'CONF, ENV, PACKAGE = "conf.tar.gz", "cloud", "shop"' in text
    assert text.count("Op(task_id=") == 3
    every = kedro(root, packages, "dagforge", "create", "--all", "-t", "x", environment=environment)
    assert every.code == 0, every.err
    assert sorted(path.name for path in (root / "x").iterdir()) == ["store.py", "store_etl.py"]


def test_the_project_is_found_and_problems_are_told_as_ever(packages: Path, tmp_path: Path) -> None:
    root = write_kedro_project(tmp_path, ONE_RUN)
    below = root / "src/shop"
    assert "nothing wrong" in kedro(below, packages, "dagforge", "validate").out
    drawn = kedro(below, packages, "dagforge", "graph", "etl")
    assert "add_companies" in drawn.out, drawn.err
    told = kedro(below, packages, "dagforge", "create", "--help")
    assert "Usage: kedro dagforge create [OPTIONS]" in told.out
    part = kedro(below, packages, "dagforge", "create", "--tags", "etl")
    assert (part.code, "needs --dag-id" in part.err) == (2, True)
    (root / "conf/base/airflow.yml").write_text("default: {retries: two}\n")
    wrong = kedro(below, packages, "dagforge", "create")
    assert wrong.code == 1
    assert "conf/base/airflow.yml:1:20: error: 'retries' must be a whole number" in wrong.err
    assert "Traceback" not in wrong.err
    assert not (root / "airflow_dags").exists()


def test_the_output_of_the_project_goes_first(packages: Path, tmp_path: Path) -> None:
    root = write_kedro_project(tmp_path, ONE_RUN)
    with (root / "pyproject.toml").open("a") as file:
        file.write('[tool.dagforge]\noutput = "deploy/dags"\n')
    assert kedro(root, packages, "dagforge", "create").code == 0
    assert [path.name for path in (root / "deploy/dags").iterdir()] == ["shop.py"]
