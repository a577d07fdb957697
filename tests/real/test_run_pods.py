"""KubernetesPodOperator runs the pipeline: real operator and client, strict API, data in S3."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.runtime.files import Files
from tests.real.airflow_home import make_airflow
from tests.real.pod_api import Image, PodApi, Refused, kubeconfig, serving
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
from tests.runtime.servers import Server

IMAGE = "registry.example/spaceflights:1"
NAMESPACE = "airflow-ml-jobs"


def cloud(root: Path, variables: Mapping[str, str], config_file: Path) -> None:
    """Give the project an environment in which pods find their data in S3."""
    folder = root / "conf/s3"
    folder.mkdir()
    table = "s3://spaceflights/03_primary/model_input_table.parquet"
    texts: dict[str, Any] = {
        "catalog.yml": {
            "model_input_table": {
                "type": "pandas.ParquetDataset",
                "filepath": table,
                "shared": True,
            }
        },
        "airflow.yml": {
            "default": {
                "docker_image": IMAGE,
                "k8s_namespace": NAMESPACE,
                "config_file": str(config_file),
                "in_cluster": False,
                "env_vars": {**variables, "DAGFORGE_STORE_URL": "s3://spaceflights/store"},
                "secrets": [{"deploy_type": "env", "secret": "s3-keys"}],
                "startup_check_interval_seconds": "1s",
                "base_container_status_polling_interval": 0.2,
            }
        },
    }
    for name, data in texts.items():
        (folder / name).write_text(json.dumps(data), encoding="utf-8")


def test_pods_run_the_pipeline(tmp_path: Path, s3: Server) -> None:
    root = make_project(tmp_path)
    Files("s3://spaceflights").system.mkdir("spaceflights")
    (tmp_path / "fails").mkdir()
    config_file = tmp_path / "kubeconfig"
    variables = {
        **s3.where,
        "RUN_COUNTS": str(tmp_path / "counts"),
        "RUN_FAILS": str(tmp_path / "fails"),
        # Kubernetes reads it as a reference to nothing, Airflow as no template.
        "ODD": "$(NOTHING) {% raw %}{{ it }}{% endraw %}",
    }
    cloud(root, variables, config_file)
    # The image has the project, without what only the DAG's side needs.
    image = tmp_path / "image"
    shutil.copytree(root, image)
    programs = program(tmp_path / "programs", sys.executable, install(tmp_path / "wheel"))
    api = PodApi({IMAGE: Image(image, programs)}, {"s3-keys": s3.keys})
    own = worker(tmp_path / "airflow-worker", tmp_path, None)
    own = {name: text for name, text in own.items() if not name.startswith(("AWS", "RUN", "DAG"))}
    with serving(api) as url:
        kubeconfig(url, config_file)
        airflow = make_airflow("3.3", tmp_path / "airflow", own)
        dag = compiled(root, airflow.dags, target="airflow-k8s", env="s3")
        log = airflow.airflow("dags", "test", dag.dag_id, "2026-01-01")
    [(run_id, state)] = airflow.run_ids(dag.dag_id).items()
    assert state == "success", log[-4000:] + "\n".join(pod.log for pod in api.created)
    assert airflow.states(dag.dag_id, run_id) == {task.task_id: "success" for task in dag.tasks}

    run = Run("s3://spaceflights/store", "s3", dag.dag_id, run_id)
    check_records(dag, run)
    assert run.score == pytest.approx(score_of_one_process(root), rel=1e-12)
    assert calls_in(tmp_path / "counts") == calls_of(dag, retried=1)

    assert [each for each in api.refused if not each.startswith("404")] == []
    names = [pod.body["metadata"]["name"] for pod in api.created]
    assert len(set(names)) == len(names) == len(dag.tasks) + 1
    for pod in api.created:
        [container] = pod.body["spec"]["containers"]
        assert {entry["name"] for entry in container["env"]} == {*variables, "DAGFORGE_STORE_URL"}
        assert container["args"][container["args"].index("--run-id") + 1] == run_id
        assert "node " in pod.log
        assert all(line in log for line in pod.log.splitlines() if line.startswith("node "))
    assert any(f"node {ODD}" in pod.log for pod in api.created)
    # What the operator keeps to find its pod again.
    assert {key for key, _ in airflow.exchanged(dag.dag_id)} == {"pod_name", "pod_namespace"}
    assert [folder.name for folder in (image / "data").iterdir()] == ["01_raw"]


def a_pod(name: str = "pod", **container: Any) -> dict[str, Any]:
    """Return a pod that does nothing."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"task": "t"}},
        "spec": {
            "containers": [{"name": "base", "image": IMAGE, "command": ["true"], **container}]
        },
    }


def test_the_server_refuses_what_kubernetes_refuses(tmp_path: Path) -> None:
    api = PodApi({IMAGE: Image(tmp_path, tmp_path)})
    api.create("here", a_pod())
    api.create("there", a_pod())
    assert all(pod.ended.wait(30) for pod in api.created)
    assert {pod.body["status"]["phase"] for pod in api.created} == {"Succeeded"}
    wrong: dict[str, dict[str, Any]] = {
        "409": a_pod(),
        "422 name": a_pod("a_b"),
        "422 unknown field": a_pod("b", comand=["true"]),
        "422 wrong type": a_pod("c", args="true"),
        "422 a variable twice": a_pod("d", env=[{"name": "A", "value": "1"}] * 2),
        "422 a number": a_pod("e", env=[{"name": "A", "value": 1}]),
        "422 label": a_pod("f"),
    }
    wrong["422 label"]["metadata"]["labels"]["run"] = "a:b"
    for what, body in wrong.items():
        with pytest.raises(Refused) as caught:
            api.create("here", body)
        assert caught.value.code == int(what[:3]), what
    api.delete("here", "pod")
    api.create("here", a_pod())
    assert len(api.created) == 3
