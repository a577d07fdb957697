"""With what `dagforge migrate` proposes, a real Airflow finds the ids that kedro-airflow's had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.projects import run
from tests.real.kedro_projects import run_kedro, write_kedro_project
from tests.real.test_target_facts import ask
from tests.test_migrate import CATALOG, DAGS, GROUPED, ONE_RUN, PIPELINES

# The DAG files of kedro-airflow import Kedro, which no environment of Airflow here has; loading
# them calls nothing of it.
STAND_IN = {
    "kedro/__init__.py": "",
    "kedro/framework/__init__.py": "",
    "kedro/framework/project.py": "configure_project = None\n",
    "kedro/framework/session.py": "KedroSession = None\n",
}
REGISTRY = """
    from kedro.pipeline import node, pipeline


    def work(*inputs):
        return inputs


    def split(*inputs):
        return inputs, inputs


    def register_pipelines():
        clean = pipeline(
            [
                node(work, "companies", "clean_companies", name="companies"),
                node(work, "clean_companies", "table", name="table"),
            ],
            namespace="prepare",
            inputs={"companies"},
            outputs={"table"},
        )
        train = pipeline(
            [
                node(split, ["table", "params:size"], ["train", "test"], name="split.data"),
                node(work, "train", "regressor", name="train_model_node"),
                node(work, ["regressor", "test"], "metrics", name="evaluate_model_node"),
            ]
        )
        return {"__default__": clean + train, "train": train}
    """
KEDRO = {
    "src/shop/pipeline_registry.py": REGISTRY,
    "conf/base/catalog.yml": """
        companies: {type: json.JSONDataset, filepath: data/companies.json}
        table: {type: json.JSONDataset, filepath: data/table.json}
        """,
    "conf/base/parameters.yml": "size: 1\n",
    "conf/base/airflow.yml": "default: {max_active_runs: 1, schedule: '@daily'}\n",
}


@pytest.fixture
def kedro_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Airflow find the names that the old files import from Kedro."""
    for name, text in STAND_IN.items():
        (tmp_path / "stand-in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "stand-in" / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stand-in"))


def loaded(environment: str, folder: Path, home: Path) -> dict[str, Any]:
    """Return tasks and edges of every DAG of a folder, by dag_id."""
    found = ask(environment, "loaded_dags.py", {"folder": str(folder)}, home)
    assert found["errors"] == {}
    return {
        dag_id: (sorted(dag["tasks"]), sorted(dag["edges"]))
        for dag_id, dag in found["dags"].items()
    }


@pytest.mark.usefixtures("kedro_to_import")
def test_files_of_earlier_releases_keep_their_ids_in_airflow_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    for release in ("0.8.0", "0.9.2", "0.10.0", "0.10.0-memory"):
        name = f"space-{release.replace('.', '-')}"
        root = tmp_path / name
        airflow = ONE_RUN["conf/base/airflow.yml"]
        grouped = release.endswith("memory")
        for path, text in {
            "pyproject.toml": f'[tool.dagforge]\nproject = "{name}"\nairflow-version = "2.11"\n',
            "conf/base/pipelines.yml": GROUPED if grouped else PIPELINES,
            "conf/base/catalog.yml": CATALOG,
            "conf/base/parameters.yml": "size: 1\n",
            "conf/base/airflow.yml": airflow.replace("data_science", "_none")
            if grouped
            else airflow,
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        # One DAG folder cannot hold two DAGs with one id.
        text = (DAGS / release / "space_flights_dag.py").read_text()
        for file in (root / "airflow_dags/space_flights_dag.py", old / f"{name}.py"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.replace("space-flights", name))
        monkeypatch.chdir(root)
        assert run("migrate", "--write").code == 0
        assert run("create", "-p", "__default__", "-o", str(new), "--quiet").code == 0
    expected = loaded("airflow-2.11", old, tmp_path / "home")
    assert len(expected) == 4
    assert loaded("airflow-2.11", new, tmp_path / "home") == expected


@pytest.mark.usefixtures("kedro_to_import")
def test_files_of_the_installed_release_keep_their_ids_in_airflow_3(tmp_path: Path) -> None:
    """By both programs, in real Kedro projects, with every grouping that kedro-airflow has."""
    old, new = tmp_path / "old", tmp_path / "new"
    for how in ("none", "memory", "namespace"):
        files = {name.replace("shop", f"shop_{how}"): text for name, text in KEDRO.items()}
        root = write_kedro_project(tmp_path / how, files)
        package = f"shop_{how}"
        (root / "src/shop/pipeline_registry.py").unlink()
        for file in (root / "src/shop").glob("*.py"):
            file.rename(root / "src" / package / file.name)
        facts = root / "pyproject.toml"
        facts.write_text(facts.read_text().replace('"shop"', f'"{package}"'))
        options = () if how == "none" else ("--group-by", how)
        made = run_kedro(root, "airflow", "create", *options, "-t", str(old), program="kedro")
        assert made.code == 0, made.err
        told = run_kedro(root, "migrate", "--dags", str(old), "--write")
        assert told.code == 0, told.err
        created = run_kedro(root, "create", "-p", "__default__", "-o", str(new))
        assert created.code == 0, created.err
    expected = loaded("airflow-3.3", old, tmp_path / "home")
    assert sorted(expected) == ["shop-memory", "shop-namespace", "shop-none"]
    assert len({str(dag) for dag in expected.values()}) == 3
    assert loaded("airflow-3.3", new, tmp_path / "home") == expected
