"""DAGs that were imported from dag-factory are those that dag-factory makes, in one Airflow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.projects import run
from tests.real.environments import python_of

HERE = Path(__file__).parent
SOURCES = sorted(
    path for path in (HERE / "dag_factory").rglob("*.yml") if path.name != "defaults.yml"
)


def asked(sources: list[Path], folder: Path, modules: Path) -> list[dict[str, Any]]:
    """Return what dag-factory and our files hold, for each source.

    Args:
        sources: files of dag-factory.
        folder: an empty one, for the projects.
        modules: what they import.
    """
    question = []
    for number, source in enumerate(sources):
        project = folder / str(number)
        imported = run("import", "dag-factory", str(source), "-o", str(project))
        assert imported.code == 0, imported.err
        created = run("create", "--project", str(project), "--message-format", "json")
        assert created.code == 0, created.out
        question.append({"yaml": str(source), "dags": str(project / "dags")})
    (folder / "question.json").write_text(json.dumps(question))
    home = folder / "airflow"
    home.mkdir()
    subprocess.run(
        [
            str(python_of("dag-factory")),
            str(HERE / "probes/dag_factory.py"),
            str(folder / "question.json"),
            str(folder / "answer.json"),
        ],
        cwd=home,
        stdout=subprocess.DEVNULL,
        env={
            **os.environ,
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "DO_NOT_TRACK": "1",
            "MODULES": str(modules),
            "PYTHONPATH": str(modules),
        },
        check=True,
    )
    answer: list[dict[str, Any]] = json.loads((folder / "answer.json").read_text())
    return answer


def test_imported_dags_are_those_of_dag_factory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = asked(SOURCES, tmp_path, HERE / "modules")
    assert [answer["error"] or answer.get("failed") for answer in answers] == [None] * len(SOURCES)
    theirs = {dag_id: dag for answer in answers for dag_id, dag in answer["theirs"].items()}
    ours = {dag_id: dag for answer in answers for dag_id, dag in answer["ours"].items()}
    assert len(theirs) == 16
    for dag_id, dag in theirs.items():
        assert ours[dag_id]["tasks"].keys() == dag["tasks"].keys(), dag_id
        for task_id, task in dag["tasks"].items():
            assert ours[dag_id]["tasks"][task_id] == task, (dag_id, task_id)
        assert ours[dag_id] == dag, dag_id
    assert ours.keys() == theirs.keys()
