"""`dagforge run` gives what one plain Python process gives that calls the functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.run_project import (
    Run,
    calls_in,
    calls_of,
    check_records,
    compiled,
    dagforge,
    make_project,
    score_of_one_process,
    worker,
)


@pytest.mark.parametrize("grouping", ["tags", "none"])
def test_spaceflights_scores_as_in_one_process(tmp_path: Path, grouping: str) -> None:
    root = make_project(tmp_path)
    env = worker(tmp_path, root, None)
    del env["RUN_FAILS"]
    dag = compiled(root, tmp_path / "dags", target="airflow", params={"grouping": grouping})
    dagforge(root, "run", "whole", "--target", "airflow", "--run-id", "one", "--jobs", "2",
             "--group-by", grouping, env=env)  # fmt: skip
    run = Run(env["DAGFORGE_STORE_URL"], None, dag.dag_id, "one")
    check_records(dag, run)
    assert calls_in(tmp_path / "counts") == calls_of(dag)
    assert run.score == score_of_one_process(root)
