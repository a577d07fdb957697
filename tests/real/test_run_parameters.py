"""What a run is given in the form, or by its trigger, is what the functions get."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.real.airflow_home import make_airflow
from tests.real.airflow_plans import MODULES
from tests.real.environments import python_of
from tests.real.prefect_environment import ask, server
from tests.real.run_project import compiled, install, program, worker

__all__ = ["server"]

# Airflow, Jinja, JSON, a shell and Kubernetes would each read something else here.
ODD = 'it\'s "{{ ds }}" $(HOME) $$ <b> & \\ łódź 007'
FLOWS = """
    from __future__ import annotations

    import json
    import os

    import dagforge


    @dagforge.node
    def load(n: int, note: str = "none") -> list[int]:
        with open(os.environ["SEEN"], "a") as file:
            print(json.dumps(["load", n, note]), file=file)
        return list(range(n))


    @dagforge.node
    def score(rows: list[int], limit: float = 0.5, weights: dict[str, float] | None = None):
        with open(os.environ["SEEN"], "a") as file:
            print(json.dumps(["score", len(rows), limit, weights]), file=file)


    @dagforge.pipeline
    def scoring(n: int = 5):
        score(load(n))
    """


def make_project(folder: Path, **settings: Any) -> Path:
    """Write a project whose functions say what they were given."""
    root = folder / "project"
    files = {
        "conf/base/pipelines.yml": 'scoring: {python: "flows:scoring"}',
        "conf/base/airflow.yml": json.dumps({"default": settings}),
        "conf/base/parameters.yml": "score: {limit: 0.75}",
        "dagforge.toml": 'project = "scoring"',
        "flows.py": textwrap.dedent(FLOWS),
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def seen(file: Path) -> list[list[Any]]:
    """Return what the functions were called with, in order."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


GIVEN = {"n": 3, "load.note": ODD, "score.limit": 0.125, "score.weights": {"a": 1.5}}
EXPECTED = [["load", 3, ODD], ["score", 3, 0.125, {"a": 1.5}]]
DEFAULTS = [["load", 5, "none"], ["score", 5, 0.75, None]]


@pytest.mark.parametrize(
    ("version", "settings"),
    [
        pytest.param("3.3", {}, id="3.3"),
        pytest.param("2.11", {}, id="2.11"),
        pytest.param("3.3", {"render_template_as_native_obj": True}, id="3.3-native"),
    ],
)
def test_airflow_hands_parameters_to_the_functions(
    version: str, settings: Mapping[str, Any], tmp_path: Path
) -> None:
    root = make_project(tmp_path, python=sys.executable, **settings)
    variables = {**worker(tmp_path, root, None), "SEEN": str(tmp_path / "seen")}
    airflow = make_airflow(version, tmp_path / "airflow", variables)
    dag = compiled(
        root, airflow.dags, pipelines=("scoring",), target="airflow", airflow_version=version
    )
    airflow.airflow("dags", "test", dag.dag_id, "2026-01-01", "--conf", json.dumps(GIVEN))
    assert seen(tmp_path / "seen") == EXPECTED
    if not settings:
        (tmp_path / "seen").unlink()
        airflow.airflow("dags", "test", dag.dag_id, "2026-01-02")
        assert seen(tmp_path / "seen") == DEFAULTS


def test_prefect_keeps_parameters(server: str, tmp_path: Path) -> None:
    root = make_project(tmp_path)
    kept = {
        "n": {"from_variable": "rows"},
        "score_weights": {"from_block": {"type": "team.blocks.JsonConfig", "name": "weights"}},
    }
    (root / "conf/base/prefect.yml").write_text(json.dumps({"default": {"parameters": kept}}))
    variables = {**worker(tmp_path, root, None), "SEEN": str(tmp_path / "seen")}
    variables["PYTHONPATH"] = str(MODULES)
    programs = program(tmp_path / "bin", python_of("prefect"), install(tmp_path / "wheel"))
    variables["PATH"] = f"{programs}:{variables['PATH']}"
    compiled(root, tmp_path / "flows", pipelines=("scoring",), target="prefect")
    [file] = (tmp_path / "flows").iterdir()
    (tmp_path / "home").mkdir()
    keep = {"variables": {"rows": 2}, "blocks": {"weights": {"b": 2.5}}}
    ask("prefect_keep.py", keep, tmp_path / "home", server, **variables)
    runs = [{"file": str(file), "environment": {}, "parameters": given} for given in ({}, {"n": 4})]
    for said in ask("prefect_run.py", {"runs": runs}, tmp_path / "home", server, **variables):
        assert said["state"]["type"] == "COMPLETED", said
    weights = {"b": 2.5}
    assert seen(tmp_path / "seen") == [
        ["load", 2, "none"],
        ["score", 2, 0.75, weights],
        ["load", 4, "none"],
        ["score", 4, 0.75, weights],
    ]


def test_prefect_hands_parameters_to_the_functions(server: str, tmp_path: Path) -> None:
    root = make_project(tmp_path)
    variables = {**worker(tmp_path, root, None), "SEEN": str(tmp_path / "seen")}
    programs = program(tmp_path / "bin", python_of("prefect"), install(tmp_path / "wheel"))
    variables["PATH"] = f"{programs}:{variables['PATH']}"
    compiled(root, tmp_path / "flows", pipelines=("scoring",), target="prefect")
    [file] = (tmp_path / "flows").iterdir()
    (tmp_path / "home").mkdir()
    given = {name.replace(".", "_"): value for name, value in GIVEN.items()}
    runs = [
        {"file": str(file), "environment": {}, "parameters": given},
        {"file": str(file), "environment": {}, "parameters": {"n": "three"}},
    ]
    good, refused = ask("prefect_run.py", {"runs": runs}, tmp_path / "home", server, **variables)
    assert good["state"]["type"] == "COMPLETED", good
    assert seen(tmp_path / "seen") == EXPECTED
    # The signature's types hold.
    assert refused["state"]["type"] == "FAILED"
    assert "n" in refused["state"]["message"]
