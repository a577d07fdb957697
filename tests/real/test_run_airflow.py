"""Generated DAGs run in the real Airflow: every node once, the same score, no data in XCom."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from dagforge.plan import DagPlan
from tests.real.airflow_home import Airflow, make_airflow
from tests.real.run_project import (
    Run,
    calls_in,
    calls_of,
    check_records,
    compiled,
    install,
    make_project,
    score_of_one_process,
    worker,
)

LOGICAL_DATE = "2026-01-01"


def check_run(airflow: Airflow, dag: DagPlan, run: Run, root: Path) -> None:
    """Hold a run that Airflow calls successful against the plan."""
    assert airflow.states(dag.dag_id, run.run_id) == {task.task_id: "success" for task in dag.tasks}
    check_records(dag, run)
    assert run.score == pytest.approx(score_of_one_process(root), rel=1e-12)


@pytest.mark.parametrize(
    ("version", "params", "inside"),
    [
        pytest.param("3.3", {}, True, id="3.3"),
        pytest.param("2.11", {"grouping": "none"}, True, id="2.11"),
        # An Airflow that has no DagForge, and an interpreter that has no Airflow.
        pytest.param("2.11", {"python": sys.executable}, False, id="2.11-python"),
    ],
)
def test_workers_run_the_pipeline(
    version: str, params: Mapping[str, object], inside: bool, tmp_path: Path
) -> None:
    root = make_project(tmp_path)
    variables = worker(tmp_path, root, install(tmp_path / "wheel") if inside else None)
    if not inside:
        # The DAG says where the project is.
        del variables["DAGFORGE_PROJECT"]
        params = {**params, "project_dir": str(root)}
    airflow = make_airflow(version, tmp_path / "airflow", variables)
    dag = compiled(root, airflow.dags, target="airflow", airflow_version=version, params=params)
    log = airflow.airflow("dags", "test", dag.dag_id, LOGICAL_DATE)
    [(run_id, state)] = airflow.run_ids(dag.dag_id).items()
    assert state == "success", log[-3000:]
    check_run(airflow, dag, Run(variables["DAGFORGE_STORE_URL"], None, dag.dag_id, run_id), root)
    assert calls_in(tmp_path / "counts") == calls_of(dag, retried=1)
    assert airflow.exchanged(dag.dag_id) == []
