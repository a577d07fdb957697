"""A Kedro project as the real Kedro gives it: pipelines, places, configuration, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.real.kedro_projects import CATALOG, NODES, VERSIONS, run_kedro, write_kedro_project

STORED = """
    table: {type: json.JSONDataset, filepath: data/table.json}
    """


def shown(root: Path, *arguments: str, environment: str = "kedro-1.7") -> Any:
    ran = run_kedro(root, "show", *arguments, "--format", "json", environment=environment)
    assert ran.code == 0, ran.err
    (pipeline,) = json.loads(ran.out)["pipelines"]
    return pipeline


@pytest.mark.parametrize("environment", VERSIONS)
def test_registered_pipelines_are_compiled(tmp_path: Path, environment: str) -> None:
    root = write_kedro_project(tmp_path, environment=environment)
    default = shown(root, "--stage", "pipeline", environment=environment)
    etl = shown(root, "etl", "--stage", "pipeline", environment=environment)
    assert [default["pipeline"], etl["pipeline"]] == ["__default__", "etl"]
    assert etl["at"] == "src/shop/pipelines/etl/pipeline.py:7:12"
    assert default["at"].startswith("src/shop/pipeline_registry.py:6")
    companies, shuttles, both = etl["nodes"]
    assert companies["name"] == "add_companies"
    assert companies["at"] == "src/shop/pipelines/etl/pipeline.py:9:13"
    assert companies["tags"] == ["airflow.prepare", "etl", "machine.small"]
    assert companies["action"]["target"] == "shop.pipelines.etl.nodes:add"
    assert shuttles["at"] == "src/shop/pipelines/etl/pipeline.py:16:13"
    assert (both["inputs"], both["outputs"]) == (["more_companies", "more_shuttles"], ["table"])
    datasets = {dataset["name"]: dataset for dataset in etl["datasets"]}
    assert datasets["more_shuttles"]["uri"] == "data/more_shuttles.json"
    assert datasets["more_shuttles"]["at"] == "conf/base/catalog.yml:3:16"
    assert "table" not in datasets


def test_the_lock_of_an_editor_is_no_module(tmp_path: Path) -> None:
    root = write_kedro_project(tmp_path)
    (root / "src/shop/.#nodes.py").symlink_to("me@here.1234")
    ran = run_kedro(root, "list")
    assert (ran.code, ran.err) == (0, "")


@pytest.mark.parametrize("environment", VERSIONS)
@pytest.mark.parametrize("target", ["airflow", "airflow-k8s", "airflow-gke", "prefect"])
def test_every_target(tmp_path: Path, environment: str, target: str) -> None:
    settings = """
        default:
          {image: "shop:1", project_id: p, location: l, cluster_name: c, machines: {small: {}}}
        """
    root = write_kedro_project(
        tmp_path, {"conf/base/dagforge.yml": settings}, environment=environment
    )
    ran = run_kedro(root, "create", "--all", "--target", target, environment=environment)
    assert (ran.code, ran.out.count("created")) == (0, 2), ran.err


@pytest.mark.parametrize("environment", VERSIONS)
def test_tasks_run_in_a_session_of_kedro(tmp_path: Path, environment: str) -> None:
    catalog = CATALOG.replace(", credentials: secret", "") + STORED
    root = write_kedro_project(
        tmp_path, {"conf/base/catalog.yml": catalog}, environment=environment
    )
    ran = run_kedro(root, "run", "etl", environment=environment)
    assert ran.code == 0, ran.err
    assert json.loads((root / "data/table.json").read_text()) == [2, 3, 4, 5]
    history = run_kedro(root, "runs", "show", "etl", "--format", "json", environment=environment)
    tasks = json.loads(history.out)["tasks"]
    assert {name: task["status"] for name, task in tasks.items()} == dict.fromkeys(
        ["prepare", "add_shuttles", "join_both"], "success"
    )


def test_a_node_that_fails_says_where(tmp_path: Path) -> None:
    nodes = NODES.replace("return one + other", "return one + 1")
    catalog = CATALOG.replace(", credentials: secret", "") + STORED
    files = {"conf/base/catalog.yml": catalog, "src/shop/pipelines/etl/nodes.py": nodes}
    ran = run_kedro(write_kedro_project(tmp_path, files), "run", "etl")
    assert ran.code == 1
    assert "src/shop/pipelines/etl/pipeline.py:17:13: error: node 'join_both' failed" in ran.err
    assert 'nodes.py", line 6, in join' in ran.err
    assert "Traceback (most recent call last)" not in ran.err


UNNAMED = """
    from functools import partial

    from kedro.pipeline import node, pipeline

    from .nodes import add, join


    def create_pipeline():
        return pipeline(
            [
                node(lambda values: values, "companies", "more_companies"),
                node(partial(add), "shuttles", "more_shuttles"),
                node(join, {"one": "more_companies", "other": "more_shuttles"}, "table"),
            ]
        )
    """


@pytest.mark.parametrize("environment", VERSIONS)
def test_nodes_without_names_run_by_their_own_command(tmp_path: Path, environment: str) -> None:
    files = {
        "src/shop/pipelines/etl/pipeline.py": UNNAMED,
        "conf/base/catalog.yml": CATALOG.replace(", credentials: secret", "") + STORED,
        "conf/base/dagforge.yml": "default: {image: shop:1}",
    }
    root = write_kedro_project(tmp_path, files, environment=environment)
    plan = shown(root, "etl", "--stage", "plan", "--target", "airflow-k8s", environment=environment)
    for task in plan["tasks"]:
        command = task["command"]
        assert command[:2] == ["kedro", "run"]
        ran = run_kedro(root, *command[1:], environment=environment, program="kedro")
        assert ran.code == 0, ran.err
    assert json.loads((root / "data/table.json").read_text()) == [1, 2, 4, 5]


MAIN = """
    from pathlib import Path

    from kedro.framework.cli.utils import find_run_command
    from kedro.framework.project import configure_project


    def main(*arguments, **named):
        package = Path(__file__).parent.name
        configure_project(package)
        return find_run_command(package)(*arguments, **named)


    if __name__ == "__main__":
        main()
    """


@pytest.mark.parametrize("environment", VERSIONS)
def test_a_packaged_project_runs_by_its_own_program(tmp_path: Path, environment: str) -> None:
    """As Kedro's template writes it; somewhere else, with the configuration beside it."""
    project, image = tmp_path / "project", tmp_path / "image"
    files = {
        "src/shop/__main__.py": MAIN,
        "conf/base/catalog.yml": CATALOG.replace(", credentials: secret", "") + STORED,
        "conf/base/dagforge.yml": f"""
            default:
              image: shop:1
              entrypoint: [python, -m, shop]
              conf_source: {image}/conf
              machines: {{small: {{}}}}
            """,
    }
    write_kedro_project(project, files, environment=environment)
    plan = shown(
        project, "etl", "--stage", "plan", "--target", "airflow-k8s", environment=environment
    )
    image.mkdir()
    for folder in ("conf", "data"):
        (project / folder).rename(image / folder)
    for task in plan["tasks"]:
        command = task["command"]
        assert command[:3] == ["python", "-m", "shop"]
        ran = run_kedro(
            image, *command[3:], environment=environment, program="shop", path=project / "src"
        )
        assert ran.code == 0, ran.err
    assert json.loads((image / "data/table.json").read_text()) == [2, 3, 4, 5]
