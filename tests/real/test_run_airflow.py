"""Generated DAGs run in the real Airflow: every node once, the same score, no data in XCom."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.planning.model import DagPlan
from tests.real.airflow_home import Airflow, make_airflow
from tests.real.run_project import (
    METRIC,
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


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def answers(port: int) -> bool:
    """Say whether something listens on a port of loopback."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def clear(port: int, dag_id: str, run_id: str, task_id: str) -> set[str]:
    """Clear a task and those after it as the web page does; return what was cleared."""

    def post(path: str, body: Mapping[str, object], **headers: str) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", **headers},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/auth/token", timeout=60) as answer:
        token = json.load(answer)["access_token"]
    body = {
        "dry_run": False,
        "only_failed": False,
        "dag_run_id": run_id,
        "task_ids": [task_id],
        "include_downstream": True,
    }
    path = f"/api/v2/dags/{dag_id}/clearTaskInstances"
    found = post(path, body, Authorization=f"Bearer {token}")
    return {each["task_id"] for each in found["task_instances"]}


def wait_until(true: Callable[[], bool], what: str, log: Path) -> None:
    """Wait for something that takes Airflow a while."""
    until = time.monotonic() + 240
    while not true():
        assert time.monotonic() < until, f"{what}:\n{log.read_text()[-4000:]}"
        time.sleep(0.5)


def datasets(run: Run, dag: DagPlan) -> dict[str, tuple[str, str]]:
    """Return place and checksum of every output of a run."""
    return {
        each["name"]: (each["uri"], each["sha256"])
        for task in dag.tasks
        for each in run.record(task.task_id)["outputs"]
    }


def test_two_runs_at_once_never_meet_and_a_cleared_task_writes_its_place_again(
    tmp_path: Path,
) -> None:
    root = make_project(tmp_path)
    variables = worker(tmp_path, root, install(tmp_path / "wheel"))
    (tmp_path / "meets").mkdir()
    variables["RUN_MEETS"] = str(tmp_path / "meets")
    port = free_port()
    airflow = make_airflow(
        "3.3",
        tmp_path / "airflow",
        variables,
        CORE__EXECUTOR="LocalExecutor",
        CORE__PARALLELISM="4",
        CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
        CORE__EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{port}/execution/",
        API_AUTH__JWT_SECRET=secrets.token_hex(32),
        CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
        API__SECRET_KEY=secrets.token_hex(32),
        SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME="0.2",
    )
    dag = compiled(root, airflow.dags, target="airflow", params={"schedule": None})
    airflow.airflow("dag-processor", "--num-runs", "1")
    dates = {"one": "2026-01-01", "two:2": "2026-01-02"}
    for name, date in dates.items():
        airflow.airflow("dags", "trigger", dag.dag_id, "--run-id", name, "--logical-date", date)
    runs = [
        Run(variables["DAGFORGE_STORE_URL"], None, dag.dag_id, name) for name in ("one", "two:2")
    ]

    def over() -> bool:
        return all(state in ("success", "failed") for state in airflow.run_ids(dag.dag_id).values())

    server = ("api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    with contextlib.ExitStack() as processes:
        log = processes.enter_context(airflow.running(*server))
        wait_until(lambda: answers(port), "the API server does not come up", log)
        log = processes.enter_context(airflow.running("scheduler", "--skip-serve-logs"))
        wait_until(over, "the runs do not end", log)
        assert set(airflow.run_ids(dag.dag_id).values()) == {"success"}
        for run in runs:
            check_run(airflow, dag, run, root)
        assert calls_in(tmp_path / "counts") == calls_of(dag, runs=2, retried=2)
        first, second = (datasets(run, dag) for run in runs)
        assert first.keys() == second.keys()
        assert first["token"][1] != second["token"][1]
        shared = {name for name in first if first[name][0] == second[name][0]}
        assert shared == {"model_input_table"}  # as the catalog says
        assert _overlap(*(run.record("token") for run in runs))

        before = {task.task_id: runs[0].record(task.task_id) for task in dag.tasks}
        cleared = clear(port, dag.dag_id, "one", "train_model_node")
        assert cleared == {"train_model_node", METRIC}
        wait_until(over, "the cleared tasks do not end", log)
    again = {task.task_id: runs[0].record(task.task_id) for task in dag.tasks}
    changed = {name for name in again if again[name]["started"] != before[name]["started"]}
    assert changed == {"train_model_node", METRIC}
    check_run(airflow, dag, runs[0], root)
    assert datasets(runs[0], dag) == first
    assert datasets(runs[1], dag) == second
    assert airflow.exchanged(dag.dag_id) == []


def _overlap(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return one["started"] < other["ended"] and other["started"] < one["ended"]
