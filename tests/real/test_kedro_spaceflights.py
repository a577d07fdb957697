"""The example project on the real Kedro: compiled, loaded, and run as `kedro run` runs it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import SUCCESS, TaskRecord, read_record
from tests.real.airflow_home import make_airflow
from tests.real.environments import python_of
from tests.real.kedro_runs import copy_example, ran, results, variables
from tests.real.pod_api import Image, PodApi, kubeconfig, serving
from tests.real.prefect_environment import ask, server
from tests.real.run_project import install, program
from tests.runtime.servers import Server

__all__ = ["server"]

NAME = "spaceflights"
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
NODES = [node for nodes in GROUPED.values() for node in nodes]


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


def records(store: str, place: RunPlace, tasks: Mapping[str, list[str]]) -> dict[str, TaskRecord]:
    """Return the records of a run, each a success of exactly the nodes of its task."""
    found = {name: read_record(Files(store), place, name) for name in tasks}
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


def test_the_readme_says_what_happens(packages: Path, tmp_path: Path) -> None:
    root = copy_example(tmp_path, "1.7")
    lines = (root / "README.md").read_text(encoding="utf-8").splitlines()
    found = [line.partition("#")[0].split() for line in lines if line.startswith("    dagforge ")]
    codes = []
    for words in found:
        command = [str(python_of("kedro-1.7")), "-m", *words, "--quiet"]
        done = subprocess.run(command, cwd=root, env=variables(packages), capture_output=True)
        codes.append(done.returncode)
    # The third is the one that DagForge refuses.
    assert codes == [0, 0, 1, 0]
    created = {path.parent.name for path in (root / "dags").glob("*/*.py")}
    assert created == {"local", "cloud", "alone"}
    assert (root / "conf/base/catalog_dagforge.yml").is_file()


CREATED = [
    # target, Airflow (None: Prefect), grouping
    ("airflow", "3.3", "tags"),
    ("airflow", "2.11", "none"),
    ("airflow-k8s", "3.3", "none"),
    ("airflow-k8s", "2.11", "tags"),
    ("airflow-gke", "3.3", "tags"),
    ("airflow-gke", "2.11", "none"),
    ("prefect", None, "tags"),
    ("prefect", None, "none"),
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


RUNS = [
    # Kedro, Airflow, grouping, the nodes of each task
    pytest.param("1.7", "3.3", "tags", GROUPED, id="1.7-3.3-grouped"),
    pytest.param("0.19", "2.11", "none", {node: [node] for node in NODES}, id="0.19-2.11-alone"),
]


@pytest.mark.parametrize(("version", "airflow_version", "grouping", "tasks"), RUNS)
def test_airflow_runs_each_task_in_a_process_of_its_own(
    version: str,
    airflow_version: str,
    grouping: str,
    tasks: Mapping[str, list[str]],
    packages: Path,
    tmp_path: Path,
) -> None:
    root = copy_example(tmp_path, version)
    store = tmp_path / "store"
    airflow = make_airflow(
        airflow_version,
        tmp_path / "airflow",
        variables(packages, DAGFORGE_STORE_URL=str(store)),
    )
    words = ["--airflow-version", airflow_version, "-o", str(airflow.dags)]
    words += ["--group-by", grouping, *(["--fix-borders"] if grouping == "none" else [])]
    words += ["--params", f"python={python_of(f'kedro-{version}')},project_dir={root},retries=0"]
    dagforge(root, version, packages, "create", *words)
    log = airflow.airflow("dags", "test", NAME, "2026-01-01")
    [(run_id, state)] = airflow.run_ids(NAME).items()
    assert state == "success", log[-4000:]
    assert airflow.states(NAME, run_id) == dict.fromkeys(tasks, "success")
    assert results(root) == plain(tmp_path, version)
    kept = records(str(store), RunPlace(NAME, None, NAME, run_id), tasks)
    check_lineage(kept)
    assert {record.versions["kedro"][: len(version)] for record in kept.values()} == {version}


IMAGE = "registry.example/spaceflights:1"


def kedro_program(folder: Path, packages: Path) -> Path:
    """Write `kedro` for an image with Kedro 1.7 and DagForge; return the folder."""
    folder.mkdir()
    file = folder / "kedro"
    file.write_text(
        f"#!{python_of('kedro-1.7')}\nimport sys\n\nsys.path.insert(0, {str(packages)!r})\n"
        "from kedro.framework.cli import main\n\nmain()\n",
        encoding="utf-8",
    )
    file.chmod(0o755)
    return folder


def test_pods_run_kedro_with_all_data_in_a_bucket(
    packages: Path, s3: Server, tmp_path: Path
) -> None:
    expected = plain(tmp_path, "1.7")
    bucket = Files(f"s3://{NAME}")
    bucket.system.mkdir(NAME)
    table = "03_primary/model_input_table.parquet"
    bucket.write(f"data/{table}", expected[table])

    root = copy_example(tmp_path, "1.7")
    config_file = tmp_path / "kubeconfig"
    pods = {
        "docker_image": IMAGE,
        "k8s_namespace": "airflow-ml-jobs",
        "config_file": str(config_file),
        "in_cluster": False,
        "env_vars": dict(s3.where),
        "secrets": [{"deploy_type": "env", "secret": "s3-keys"}],
        "startup_check_interval_seconds": "1s",
        "base_container_status_polling_interval": 0.2,
        "store_url": f"s3://{NAME}/store",
        "machines": {"medium": {"requests": {"cpu": "1"}}},
    }
    (root / "conf/pods").mkdir()
    for name, data in {
        "globals": {"data": f"s3://{NAME}/data"},
        "airflow": {"default": pods},
    }.items():
        (root / f"conf/pods/{name}.yml").write_text(json.dumps(data), encoding="utf-8")
    own = variables()
    own = {name: text for name, text in own.items() if not name.startswith("AWS")}
    airflow = make_airflow("3.3", tmp_path / "airflow", own)
    words = ["--target", "airflow-k8s", "--env", "pods", "-p", "data_science"]
    words += ["--group-by", "none", "--fix-borders", "-o", str(airflow.dags)]
    dagforge(root, "1.7", packages, "create", *words)

    # The image has the project as it was compiled, and no data.
    shutil.rmtree(root / "data")
    api = PodApi(
        {IMAGE: Image(root, kedro_program(tmp_path / "bin", packages))}, {"s3-keys": s3.keys}
    )
    dag_id = f"{NAME}-data-science"
    with serving(api) as url:
        kubeconfig(url, config_file)
        log = airflow.airflow("dags", "test", dag_id, "2026-01-01")
    [(run_id, state)] = airflow.run_ids(dag_id).items()
    assert state == "success", log[-4000:] + "\n".join(pod.log for pod in api.created)
    for name, content in expected.items():
        if name.startswith(("06_models", "08_reporting/active", "08_reporting/candidate")):
            assert bucket.read(f"data/{name}") == content, name
    assert not (root / "data").exists()
    assert not (root / ".dagforge").exists()

    tasks = {node: [node] for node in NODES if "_modelling." in node}
    place = RunPlace(NAME, "pods", dag_id, run_id)
    kept = records(f"s3://{NAME}/store", place, tasks)
    # What would have been lost in memory has a place that no other run has.
    split = {each["name"]: each["uri"] for each in kept[f"active_modelling.{MODEL[0]}"].outputs}
    assert set(split) == {
        f"active_modelling.{each}" for each in ("X_train", "X_test", "y_train", "y_test")
    }
    assert all(uri.startswith(f"s3://{NAME}/store/") and run_id in uri for uri in split.values())


def test_a_flow_runs_the_nodes(server: str, packages: Path, tmp_path: Path) -> None:
    root = copy_example(tmp_path, "1.7")
    dagforge(root, "1.7", packages, "create", "-p", "data_processing", "--target", "prefect")
    [file] = (root / "dags").iterdir()
    programs = program(tmp_path / "bin", python_of("kedro-1.7"), packages)
    own = variables(DAGFORGE_PROJECT=str(root), DAGFORGE_STORE_URL=str(tmp_path / "store"))
    own["PATH"] = f"{programs}:{own['PATH']}"
    (tmp_path / "home").mkdir()
    runs = [{"file": str(file), "environment": {}}]
    [said] = ask("prefect_run.py", {"runs": runs}, tmp_path / "home", server, **own)
    assert said["state"]["type"] == "COMPLETED", said
    expected = plain(tmp_path, "1.7")
    found = results(root)
    assert found == {name: expected[name] for name in found}
    assert len(found) == 3
    place = RunPlace(NAME, None, f"{NAME}-data-processing", said["run_id"])
    tasks = {name: GROUPED[name] for name in list(GROUPED)[:3]}
    check_lineage(records(str(tmp_path / "store"), place, tasks))
