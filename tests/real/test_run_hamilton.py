"""The example `absenteeism` in one, three and eleven tasks: what one process of Hamilton gives."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dagforge.planning.model import DagPlan
from dagforge.runtime.files import Files
from dagforge.runtime.places import TASKS, RunPlace, slug
from tests.real.airflow_home import make_airflow
from tests.real.environments import python_of
from tests.real.prefect_environment import ask, server
from tests.real.run_project import PROBES, REPOSITORY, compiled, install, program, worker

__all__ = ["server"]

FEATURES = ["has_children", "has_pet", "service_time"]


def make_project(folder: Path, **settings: Any) -> Path:
    """Copy the example and lay settings over its own."""
    root = shutil.copytree(REPOSITORY / "examples/absenteeism", folder / "project")
    (root / "conf/base/airflow_test.yml").write_text(json.dumps({"absenteeism": settings}))
    return root


def of_one_process(root: Path, task: str = "regression") -> dict[str, float]:
    """Return what Hamilton alone computes."""
    command = [sys.executable, str(PROBES / "run_hamilton.py"), str(root), task]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


def records(store: str, dag: DagPlan, run_id: str) -> dict[str, dict[str, Any]]:
    """Return what every task left in the store."""
    files = Files(store)
    place = RunPlace("people", dag.env, dag.dag_id, run_id)
    found = {}
    for task in dag.tasks:
        content = files.read(f"{place.path}/{TASKS}/{slug(task.task_id)}.json")
        assert content is not None, f"no record of {task.task_id}"
        found[str(task.task_id)] = json.loads(content)
    return found


def check_run(store: str, dag: DagPlan, run_id: str, root: Path) -> None:
    """Hold a run against one process: its result, and that no task computed what is another's."""
    found = records(store, dag, run_id)
    hosts = set()
    for task in dag.tasks:
        record = found[str(task.task_id)]
        assert record["status"] == "success", record
        executed = set(record["seconds"])
        # Savers run when somebody asks for them.
        assert executed == set(task.nodes) - {"save_predictions"}
        hosts.add(record["host"])
    outputs = {each["name"]: each for record in found.values() for each in record["outputs"]}
    content = Path(outputs["model_results"]["uri"].removeprefix("file://")).read_bytes()
    assert json.loads(content) == of_one_process(root)
    checks = [check for record in found.values() for check in record["checks"]]
    assert [check["passed"] for check in checks] == [True]


@pytest.mark.parametrize(("env", "tasks"), [("one", 1), ("three", 3), ("eleven", 11)])
def test_airflow_computes_what_hamilton_does(env: str, tasks: int, tmp_path: Path) -> None:
    root = make_project(tmp_path, python=sys.executable)
    variables = worker(tmp_path, root, None)
    airflow = make_airflow("3.3", tmp_path / "airflow", variables)
    dag = compiled(root, airflow.dags, pipelines=("absenteeism",), target="airflow", env=env)
    assert len(dag.tasks) == tasks
    conf = json.dumps({"feature_set": FEATURES})
    log = airflow.airflow("dags", "test", dag.dag_id, "2026-01-01", "--conf", conf)
    [(run_id, state)] = airflow.run_ids(dag.dag_id).items()
    assert state == "success", log[-3000:]
    check_run(variables["DAGFORGE_STORE_URL"], dag, run_id, root)
    assert airflow.exchanged(dag.dag_id) == []


@pytest.mark.parametrize(("env", "tasks"), [("one", 1), ("three", 3), ("eleven", 11)])
def test_prefect_computes_what_hamilton_does(
    env: str, tasks: int, server: str, tmp_path: Path
) -> None:
    root = make_project(tmp_path)
    variables = worker(tmp_path, root, None)
    # Prefect's own environment has no Hamilton: its tasks start the interpreter that has.
    programs = program(tmp_path / "bin", sys.executable, install(tmp_path / "wheel"))
    variables["PATH"] = f"{programs}:{variables['PATH']}"
    dag = compiled(root, tmp_path / "flows", pipelines=("absenteeism",), target="prefect", env=env)
    assert len(dag.tasks) == tasks
    [file] = (tmp_path / "flows").iterdir()
    (tmp_path / "home").mkdir()
    given = {"feature_set": FEATURES}
    runs = [{"file": str(file), "environment": {}, "parameters": given}]
    [said] = ask("prefect_run.py", {"runs": runs}, tmp_path / "home", server, **variables)
    assert said["state"]["type"] == "COMPLETED", said
    check_run(variables["DAGFORGE_STORE_URL"], dag, said["run_id"], root)
    assert python_of("prefect") != Path(sys.executable)
