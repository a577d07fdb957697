"""The example project on the real Kedro: compiled, loaded, and run as `kedro run` runs it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import SUCCESS, TaskRecord, read_record
from tests.real.airflow_home import make_airflow
from tests.real.environments import python_of
from tests.real.kedro_project import copy_example, ran, results, variables
from tests.real.run_project import install

MODEL = ("split_data_node", "train_model_node", "evaluate_model_node")
# The nodes of each task with the tags of the example.
GROUPED = {
    "companies": ["preprocess_companies_node"],
    "shuttles": ["preprocess_shuttles_node"],
    "create_model_input_table_node": ["create_model_input_table_node"],
    "active_model": [f"active_modelling.{name}" for name in MODEL],
    "candidate_model": [f"candidate_modelling.{name}" for name in MODEL],
    "reports": ["compare_passenger_capacity_node", "plot_prices_node"],
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with this checkout installed."""
    return install(tmp_path_factory.mktemp("wheel"))


def plain(folder: Path, version: str) -> Mapping[str, bytes]:
    """Return what one `kedro run` of the whole project writes, DagForge nowhere near."""
    root = copy_example(folder / "plain", version)
    ran(root, version, "run", env=variables())
    found = results(root)
    assert len(found) == 9
    return found


def dagforge(root: Path, version: str, packages: Path, *arguments: str) -> str:
    """Return what `dagforge` says in a project, on stdout and then on stderr."""
    done = subprocess.run(
        [str(python_of(f"kedro-{version}")), "-m", "dagforge", *arguments],
        cwd=root,
        env=variables(packages),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def records(store: Path, place: RunPlace, tasks: Mapping[str, list[str]]) -> dict[str, TaskRecord]:
    """Return the records of a run, each a success of exactly the nodes of its task."""
    found = {name: read_record(Files(str(store)), place, name) for name in tasks}
    for name, nodes in tasks.items():
        record = found[name]
        assert record is not None, name
        assert (record.status, list(record.nodes)) == (SUCCESS, nodes)
        assert record.contract
        assert record.structure
        assert record.warnings == []
    return {name: record for name, record in found.items() if record is not None}


def check_lineage(kept: Mapping[str, TaskRecord]) -> None:
    """Hold inputs against outputs: what was read is what another task of the run wrote."""
    written = {each["name"]: each for record in kept.values() for each in record.outputs}
    read = [each for record in kept.values() for each in record.inputs]
    for each in read:
        before = written.get(each["name"])
        if before is None:
            assert "/01_raw/" in each["uri"]
        else:
            assert (each["sha256"], each["producer"]) == (before["sha256"], before["producer"])
    assert {each["name"] for each in read} > {"companies", "preprocessed_shuttles"}


CREATED = [
    # target, Airflow (None: Prefect), grouping
    ("airflow", "3.3", "tags"),
    ("airflow-k8s", "2.11", "tags"),
    ("airflow-gke", "3.3", "tags"),
    ("prefect", None, "tags"),
]


@pytest.mark.parametrize(("target", "airflow", "grouping"), CREATED)
def test_every_pipeline_loads(
    target: str, airflow: str | None, grouping: str, packages: Path, tmp_path: Path
) -> None:
    root = copy_example(tmp_path, "1.7")
    words = ["create", "--all", "--target", target, "--group-by", grouping, "--verify"]
    words += ["--python", str(python_of(f"airflow-{airflow}" if airflow else "prefect"))]
    words += ["--airflow-version", airflow] if airflow else []
    words += ["--env", "cloud"] if target in ("airflow-k8s", "airflow-gke") else []
    words += ["--fix-borders"] if grouping == "none" else []
    said = dagforge(root, "1.7", packages, *words)
    tasks = 12 if grouping == "tags" else 22
    where = f"Airflow {airflow}" if airflow else "Prefect"
    assert f"with {tasks} tasks for {target} in {where}" in said
    assert "all there, in the planned order" in said
    assert len(list((root / "dags").glob("*.py"))) == 4


@pytest.mark.parametrize(("version", "airflow_version"), [("1.7", "3.3"), ("0.19", "2.11")])
def test_airflow_runs_each_task_in_a_process_of_its_own(
    version: str, airflow_version: str, packages: Path, tmp_path: Path
) -> None:
    root = copy_example(tmp_path, version)
    store = tmp_path / "store"
    python = python_of(f"kedro-{version}")
    airflow = make_airflow(
        airflow_version,
        tmp_path / "airflow",
        variables(packages, DAGFORGE_STORE_URL=str(store)),
    )
    words = ["--airflow-version", airflow_version, "-o", str(airflow.dags)]
    params = f"python={python},project_dir={root},retries=0"
    dagforge(root, version, packages, "create", *words, "--params", params)
    log = airflow.airflow("dags", "test", "spaceflights", "2026-01-01")
    [(run_id, state)] = airflow.run_ids("spaceflights").items()
    assert state == "success", log[-4000:]
    assert airflow.states("spaceflights", run_id) == dict.fromkeys(GROUPED, "success")
    assert results(root) == plain(tmp_path, version)
    place = RunPlace("spaceflights", None, "spaceflights", run_id)
    kept = records(store, place, GROUPED)
    check_lineage(kept)
    assert {record.versions["kedro"][: len(version)] for record in kept.values()} == {version}
