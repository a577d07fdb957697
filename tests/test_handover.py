"""What pods hand each other must be where the next one finds it; where tasks find their project."""

from __future__ import annotations

from pathlib import Path

import pytest

from dagforge.cli import invoke
from dagforge.errors import UsageError
from dagforge.values import Literal
from tests.projects import build_project, problems_of, task_of

CATALOG = "conf/base/catalog.yml"
AIRFLOW = "conf/base/airflow.yml"
# Takes away the store that other tests' pods have.
PIPELINES = {
    "conf/base/pipelines.yml": """
        etl:
          nodes:
            - {name: load, func: "team.etl:load", outputs: raw}
            - {name: clean, func: "team.etl:clean", inputs: raw, outputs: tidy}
        """
}
NO_STORE = {**PIPELINES, "conf/base/dagforge_store.yml": "default: {}"}
FIX = (
    "\n  fix: set `store_url: s3://bucket/path` (or gs://...), or DAGFORGE_STORE_URL in "
    "`env_vars`; or give the data a place in the catalog, or group the nodes"
)


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ("", "no store is set that all of them reach"),
        ("store_url: /mnt/store", "the store /mnt/store is on each one's own disk"),
        ("store_url: 'file:///mnt/store'", "the store file:///mnt/store is on each one's own disk"),
        ("store_url: 'memory://store'", "the store memory://store is on each one's own disk"),
        ("env_vars: {DAGFORGE_STORE_URL: store}", "the store store is on each one's own disk"),
        ("env_vars: {DAGFORGE_STORE_URL: {literal: 'a{{'}}", "the store a{{ is on each one's own"),
        (
            "store_url: 's3://b/p'\n  env_vars: {DAGFORGE_STORE_URL: store}",
            "the store store is on each one's own disk",
        ),
        ("env_vars: {OTHER: 's3://b/p'}", "no store is set"),
        ("secrets: [{deploy_type: env, deploy_target: OTHER, secret: s}]", "no store is set"),
        ("store_url: 's3://bucket/path'", None),
        ("store_url: /mnt/store\n  volumes: [{name: v, emptyDir: {}}]", None),
        ("store_url: /mnt/store\n  pod_template_file: pod.yaml", None),
        ("env_vars: {DAGFORGE_STORE_URL: 'gs://bucket/path'}", None),
        ("env_vars: {DAGFORGE_STORE_URL: '{{ var.value.store }}'}", None),
        (
            "env_vars: {DAGFORGE_STORE_URL: {valueFrom: {secretKeyRef: {name: s, key: k}}}}",
            None,
        ),
        ("env_from: [{configMapRef: {name: store}}]", None),
        ("configmaps: [store]", None),
        ("secrets: [{deploy_type: env, deploy_target: DAGFORGE_STORE_URL, secret: s}]", None),
        ("secrets: [{deploy_type: env, secret: s}]", None),
        ("run_in: worker", None),
        ("grouping: {all: [load, clean]}", None),
    ],
)
def test_a_store_that_pods_do_not_share(settings: str, refused: str | None, tmp_path: Path) -> None:
    files = {**NO_STORE, AIRFLOW: f"default:\n  image: registry/image\n  {settings}\n"}
    found = [each for each in problems_of(tmp_path, files) if "[local-store]" in each]
    assert len(found) == (refused is not None), found
    if refused is not None:
        assert refused in found[0]
        assert found[0].endswith(FIX)


def test_the_error_stands_where_the_store_is_set(tmp_path: Path) -> None:
    files = {**NO_STORE, AIRFLOW: "default: {image: i, store_url: there}"}
    [found] = problems_of(tmp_path, files)
    assert found.startswith(
        "conf/base/airflow.yml:1:32: error: tasks of 'etl' hand over 'raw' and run in pods, where "
    )
    [found] = problems_of(tmp_path, {**NO_STORE, AIRFLOW: "default: {image: i}"})
    assert found.startswith("conf/base/pipelines.yml:3:52: error: tasks of 'etl' hand over 'raw'")


def test_what_does_not_go_through_the_store_needs_none(tmp_path: Path) -> None:
    pipelines = """
        etl:
          nodes:
            - {name: load, command: [load], outputs: raw}
            - {name: clean, func: "team.etl:clean", inputs: raw}
            - {name: after, func: "team.etl:after", after: clean}
        """
    files = {**NO_STORE, "conf/base/pipelines.yml": pipelines, AIRFLOW: "default: {image: i}"}
    assert problems_of(tmp_path, files) == []


@pytest.mark.parametrize(
    ("path", "settings", "warned"),
    [
        ("data/raw.parquet", "", True),
        ("s3://bucket/raw.parquet", "", False),
        ("data/raw.parquet", "\n  volumes: [{name: v, emptyDir: {}}]", False),
        ("data/raw.parquet", "\n  run_in: worker", False),
    ],
)
def test_a_path_that_pods_do_not_share(
    path: str, settings: str, warned: bool, tmp_path: Path
) -> None:
    files = {
        **NO_STORE,
        CATALOG: f"raw: {{path: '{path}', format: parquet}}",
        AIRFLOW: f"default:\n  image: i{settings}\n",
    }
    expected = (
        "conf/base/catalog.yml:1:1: warning: tasks of 'etl' hand over 'raw' at data/raw.parquet "
        "and run in pods, each with a disk of its own [local-path]\n"
        "  fix: give it a URL such as s3://bucket/path, or mount a volume (`volumes`)"
    )
    found = [each for each in problems_of(tmp_path, files) if "[local-path]" in each]
    assert found == ([expected] if warned else [])


def test_a_worker_may_have_another_interpreter(tmp_path: Path) -> None:
    settings = "default: {python: /opt/etl/bin/python, project_dir: /opt/etl}"
    [dag] = build_project(tmp_path, {AIRFLOW: settings}, target="airflow").dags
    task = task_of(dag, "load")
    assert task.runs == "command"
    assert task.command[:9] == (
        "/opt/etl/bin/python", "-m", "dagforge", "run", "etl", "--nodes", "load", "--project",
        "/opt/etl",
    )  # fmt: skip


def test_a_pod_has_the_interpreter_of_its_image(tmp_path: Path) -> None:
    settings = "default: {image: i, python: /opt/etl/bin/python}"
    [dag] = build_project(tmp_path, {**PIPELINES, AIRFLOW: settings}).dags
    assert task_of(dag, "load").command[:3] == ("dagforge", "run", "etl")


@pytest.mark.parametrize(
    ("name", "in_a_pod"),
    [("a$b", "a$b"), ("a$(b)", "a$$(b)"), ("a$$b", "a$$$$b"), ("{{ a }}$(b)", "{{ a }}$$(b)")],
)
def test_kubernetes_hands_names_on_as_they_are(name: str, in_a_pod: str, tmp_path: Path) -> None:
    pipelines = f'etl:\n  nodes:\n    - {{name: "{name}", func: "team.etl:load"}}\n'
    files = {"conf/base/pipelines.yml": pipelines, AIRFLOW: "default: {image: i}"}
    for target, expected in (("airflow-k8s", in_a_pod), ("airflow", name)):
        [dag] = build_project(tmp_path, files, target=target).dags
        word = dag.tasks[0].command[4]
        assert (word.text if isinstance(word, Literal) else word) == expected


@pytest.mark.parametrize("folder", [None, "elsewhere"])
def test_a_task_without_a_project_says_how_to_give_it_one(
    folder: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if folder is not None:
        monkeypatch.setenv("DAGFORGE_PROJECT", str(tmp_path / folder))
    with pytest.raises(UsageError) as caught:
        invoke(["run", "etl", "--nodes", "load", "--task", "p/etl/load", "--run-id", "one"])
    root = tmp_path if folder is None else tmp_path / folder
    assert str(caught.value) == (
        f"error: task p/etl/load finds no project in {root} [no-project]\n"
        "  fix: set DAGFORGE_PROJECT to the project's folder where tasks run, or `project_dir` in "
        "the settings"
    )
