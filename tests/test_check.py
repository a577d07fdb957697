"""What only several DAGs together get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects import AIRFLOW, PIPELINES, build_project, problems_of

NODES = "{nodes: [{name: n, func: 'm:f'}]}"


def settings(first: str, second: str) -> dict[str, str]:
    """Return two pipelines with these dag_ids."""
    return {
        PIPELINES: f"one: {NODES}\ntwo: {NODES}\n",
        AIRFLOW: f"default: {{image: i}}\none: {{dag_id: {first}}}\ntwo: {{dag_id: {second}}}\n",
    }


def test_two_dags_of_one_id(tmp_path: Path) -> None:
    assert problems_of(tmp_path, settings("sales", "sales"), every=True) == [
        "conf/base/pipelines.yml:2:1: error: pipelines 'one' (conf/base/pipelines.yml:1:1) and "
        "'two' would both be the DAG 'sales' [id-collision]\n"
        "  fix: rename one, or give it a `dag_id` under its name in the settings"
    ]


@pytest.mark.parametrize(
    ("first", "second", "file"),
    [
        ("a.b", "a_b", "'a_b.py'"),
        ("a-b", "a.b", "'a_b.py'"),
        ("Sales", "sales", "'sales.py' where a disk does not tell capitals apart"),
    ],
)
def test_two_dags_in_one_file(first: str, second: str, file: str, tmp_path: Path) -> None:
    assert problems_of(tmp_path, settings(first, second), every=True) == [
        f"conf/base/pipelines.yml:2:1: error: the DAGs '{first}' and '{second}' would both be "
        f"written to {file} [file-collision]\n"
        "  fix: give one of them another `dag_id` under its name in the settings"
    ]


def test_three_of_one_id_are_told_of_with_the_first(tmp_path: Path) -> None:
    files = settings("sales", "sales")
    files[PIPELINES] += f"three: {NODES}\n"
    files[AIRFLOW] += "three: {dag_id: sales}\n"
    told = problems_of(tmp_path, files, every=True)
    assert [text.partition(" would")[0].partition("error: ")[2] for text in told] == [
        "pipelines 'one' (conf/base/pipelines.yml:1:1) and 'two'",
        "pipelines 'one' (conf/base/pipelines.yml:1:1) and 'three'",
    ]


def test_names_of_pipelines_that_become_one_id(tmp_path: Path) -> None:
    files = {PIPELINES: f"a.b: {NODES}\na_b: {NODES}\n", AIRFLOW: "default: {image: i}"}
    (told,) = problems_of(tmp_path, files, every=True)
    assert "[id-collision]" in told


def test_what_differs_passes_and_so_does_one_alone(tmp_path: Path) -> None:
    found = build_project(tmp_path, settings("sales", "sales2"), every=True)
    assert [dag.stem for dag in found.dags] == ["sales", "sales2"]
    found = build_project(tmp_path, settings("sales", "sales"), pipelines=("two",))
    assert [dag.dag_id for dag in found.dags] == ["sales"]
