"""The examples in real orchestrators, with their data: `churn`, and `resnet` with its operators."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.commands.init import init_project
from dagforge.planning.model import DagPlan
from dagforge.runtime.files import Files
from dagforge.runtime.places import TASKS, RunPlace, slug
from tests.real.airflow_home import make_airflow
from tests.real.environments import python_of
from tests.real.pod_api import Image, PodApi, kubeconfig, serving
from tests.real.run_project import compiled, install, worker
from tests.runtime.servers import Server

DAY = "2026-01-01"


def records(store: str, project: str, dag: DagPlan, run_id: str) -> dict[str, dict[str, Any]]:
    """Return what every task that DagForge ran left in the store."""
    files = Files(store)
    place = RunPlace(project, dag.env, dag.dag_id, run_id)
    found = {}
    for task in dag.tasks:
        content = files.read(f"{place.path}/{TASKS}/{slug(task.task_id)}.json")
        if content is not None:
            found[str(task.task_id)] = json.loads(content)
    return found


def of_plain_calls(root: Path, code: str) -> Any:
    """Return what a process without DagForge prints that imports the project's modules."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


# --- churn

PREDICT = """
import json
import pandas
from churn import model, predict

fitted = model(pandas.read_csv("data/history.csv"))
print(json.dumps(list(predict(pandas.read_csv("data/customers.csv"), fitted)["score"])))
"""


def test_churn_in_airflow(tmp_path: Path) -> None:
    root = tmp_path / "churn"
    init_project(root, force=False, example="churn")
    variables = worker(tmp_path, root, install(tmp_path / "wheel"))
    airflow = make_airflow("3.3", tmp_path / "airflow", variables)
    dag = compiled(root, airflow.dags, pipelines=("churn",), target="airflow")
    log = airflow.airflow("dags", "test", dag.dag_id, DAY)
    [(run_id, state)] = airflow.run_ids(dag.dag_id).items()
    assert state == "success", log[-3000:]
    with (root / "data/predictions.csv").open() as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert scores == pytest.approx(of_plain_calls(root, PREDICT), rel=1e-9)
    found = records(variables["DAGFORGE_STORE_URL"], "customers", dag, run_id)
    assert found.keys() == {"model", "predict", "are_probabilities", "at_risk"}
    [model] = found["model"]["outputs"]
    assert f"/{RunPlace('customers', None, dag.dag_id, run_id).path}/model/" in model["uri"]
    assert model["sha256"] in {each["sha256"] for each in found["predict"]["inputs"]}
    assert [check["passed"] for check in found["are_probabilities"]["checks"]] == [True]
    assert found["at_risk"]["metrics"]["at_risk"] == sum(s > 0.5 for s in scores) / len(scores)
    assert airflow.exchanged(dag.dag_id) == []


# --- resnet

IMAGE = "registry.example.com/resnet:1.0"
TRAIN = """
import json
import sys
sys.path.insert(0, "src")
import numpy
import yaml
from resnet.images import prepare
from resnet.model import accuracy, fit

given = yaml.safe_load(open("conf/base/parameters.yml"))
train, train_labels, test, test_labels = prepare(
    numpy.load("data/images.npy"), numpy.load("data/labels.npy"), given["test_share"]
)
print(json.dumps(accuracy(fit(train, train_labels, given["model"]), test, test_labels)))
"""


def image_of(root: Path, folder: Path, variables: Mapping[str, str]) -> Image:
    """Return the image of the example: its modules, and a `python` that has its libraries."""
    shutil.copytree(root / "src", folder / "src")
    programs = folder / "programs"
    programs.mkdir()
    given = " ".join(f"{name}={text}" for name, text in sorted(variables.items()))
    (programs / "python").write_text(
        f'#!/bin/sh\nexec env {given} PYTHONPATH=src {sys.executable} "$@"\n', encoding="utf-8"
    )
    (programs / "python").chmod(0o755)
    return Image(folder, programs)


def test_resnet_in_airflow(tmp_path: Path, s3: Server) -> None:
    for bucket in "example-images", "example-models":
        Files(f"s3://{bucket}").system.mkdir(bucket)
    root = tmp_path / "resnet"
    init_project(root, force=False, example="resnet")
    for name in "images.npy", "labels.npy":
        content = (root / "data" / name).read_bytes()
        Files("s3://example-images").system.pipe_file(f"example-images/{name}", content)
    api = PodApi({IMAGE: image_of(root, tmp_path / "image", s3.environment)})
    variables = worker(tmp_path, root, install(tmp_path / "wheel"))
    # What an administrator gives Airflow; the DAG names the connections only.
    del variables["DAGFORGE_STORE_URL"]
    database = tmp_path / "models.db"
    with serving(api) as url:
        config = kubeconfig(url, tmp_path / "kubeconfig")
        cluster = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(config)}}
        variables |= {
            "AIRFLOW_CONN_AWS_DEFAULT": json.dumps({"conn_type": "aws"}),
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(cluster),
            "AIRFLOW_CONN_MODELS": json.dumps({"conn_type": "sqlite", "host": str(database)}),
        }
        airflow = make_airflow("3.3-aws", tmp_path / "airflow", variables)
        dag = compiled(root, airflow.dags, pipelines=("resnet",), target="airflow")
        log = airflow.airflow("dags", "test", dag.dag_id, DAY)
    [(run_id, state)] = airflow.run_ids(dag.dag_id).items()
    assert state == "success", log[-6000:] + "\n".join(pod.log for pod in api.created)
    assert airflow.states(dag.dag_id, run_id) == {task.task_id: "success" for task in dag.tasks}

    found = records("s3://example-images/dagforge", "images", dag, run_id)
    assert found.keys() == {"prepare", "fit", "evaluate"}
    assert found["evaluate"]["metrics"] == {"accuracy": of_plain_calls(root, TRAIN)}
    stored = Files("s3://example-models").system
    published = f"example-models/{DAY}/model.joblib"
    assert stored.cat(published) == stored.cat("example-models/candidate.joblib")
    assert json.loads(stored.cat("example-models/serving.json")) == {
        "model": f"s3://{published}",
        "side": 12,
        "classes": 3,
    }
    [pod] = api.created
    assert pod.body["spec"]["containers"][0]["image"] == IMAGE
    assert f"served: s3://{published}" in pod.log
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select day, model from served").fetchall()
    connection.close()
    assert rows == [(DAY, f"s3://{published}")]
    assert f"the model of {DAY} is served since" in log
    handed_over = {key for key, _ in airflow.exchanged(dag.dag_id)}
    assert handed_over == {"pod_name", "pod_namespace", "return_value"}


# --- loaded


@pytest.mark.parametrize(
    ("example", "words", "environment", "said"),
    [
        ("churn", ["--target", "prefect"], "prefect", "1 flow with 4 tasks"),
        (
            "resnet",
            ["-p", "training", "--target", "prefect", "--env", "local"],
            "prefect",
            "1 flow with 3 tasks",
        ),
        ("resnet", ["--target", "airflow-k8s"], "airflow-3.3-aws", "1 DAG with 8 tasks"),
    ],
)
def test_other_targets_load(
    example: str, words: list[str], environment: str, said: str, tmp_path: Path
) -> None:
    init_project(tmp_path, force=False, example=example)
    create = ["create", *words, "-o", "made", "--verify", "--python", str(python_of(environment))]
    done = subprocess.run(
        [sys.executable, "-m", "dagforge", *create], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert said in done.stdout + done.stderr


def test_an_operator_where_an_article_still_finds_it(tmp_path: Path) -> None:
    init_project(tmp_path, force=False, example="resnet")
    definitions = tmp_path / "conf/base/pipelines.yml"
    text = definitions.read_text(encoding="utf-8")
    old = text.replace("providers.standard.operators.bash", "operators.bash_operator")
    assert old != text
    definitions.write_text(old, encoding="utf-8")
    python = str(python_of("airflow-3.3-aws"))
    done = subprocess.run(
        [sys.executable, "-m", "dagforge", "create", "--verify", "--python", python],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    assert "No module named 'airflow.operators.bash_operator' [not-loaded]" in done.stderr
