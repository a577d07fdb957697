"""A generated flow runs the pipeline in the real Prefect: every node once, the same score."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.environments import python_of
from tests.real.prefect_environment import ask, server
from tests.real.run_project import (
    ODD,
    Run,
    calls_in,
    calls_of,
    check_records,
    compiled,
    install,
    make_project,
    program,
    score_of_one_process,
    worker,
)

__all__ = ["server"]


def test_a_flow_runs_the_pipeline(server: str, tmp_path: Path) -> None:
    root = make_project(tmp_path)
    variables = worker(tmp_path, root, None)
    programs = program(tmp_path / "bin", python_of("prefect"), install(tmp_path / "wheel"))
    variables["PATH"] = f"{programs}:{variables['PATH']}"
    dag = compiled(root, tmp_path / "flows", target="prefect")
    [file] = (tmp_path / "flows").iterdir()
    home = tmp_path / "home"
    home.mkdir()
    runs = [{"file": str(file), "environment": {}}]
    [said] = ask("prefect_run.py", {"runs": runs}, home, server, **variables)
    assert said["state"]["type"] == "COMPLETED", said
    run = Run(variables["DAGFORGE_STORE_URL"], None, dag.dag_id, said["run_id"])
    check_records(dag, run)
    assert run.score == pytest.approx(score_of_one_process(root), rel=1e-12)
    assert calls_in(tmp_path / "counts") == calls_of(dag, retried=1)
    logs = {task["name"]: task["log"] for task in said["tasks"]}
    assert f"node {ODD}" in logs[ODD]
    # Prefect keeps no result of a task.
    assert said["files"] == []
