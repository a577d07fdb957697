"""The examples: how much has to be written, and that they run with data through the store."""

from __future__ import annotations

import ast
import csv
import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.runtime.projects import dagforge

EXAMPLES = Path(__file__).parents[1] / "examples"
AQUEDUCT_LINES = 22
"""What the same pipeline takes in Aqueduct, without a check and a metric; in plain Airflow 80."""


def lines_of(text: str) -> int:
    """Return how many lines hold something besides comments."""
    return sum(1 for line in text.splitlines() if line.strip() and line.strip()[0] != "#")


def called(node: ast.expr) -> str | None:
    """Return the name of the function that an expression calls."""
    function = node.func if isinstance(node, ast.Call) else None
    return function.id if isinstance(function, ast.Name) else None


def without(source: str, *names: str) -> str:
    """Return a module without its docstring, some of its functions, and what calls them."""
    tree = ast.parse(source)
    drop = {0: tree.body[0].end_lineno}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            drop[node.decorator_list[0].lineno - 1] = node.end_lineno
        elif isinstance(node, ast.Expr) and called(node.value) in names:
            drop[node.lineno - 1] = node.end_lineno
    gone = {line for start, end in drop.items() for line in range(start, end or start)}
    return "\n".join(line for number, line in enumerate(source.splitlines()) if number not in gone)


def test_churn_takes_no_more_lines_than_in_aqueduct() -> None:
    folder = EXAMPLES / "churn"
    code = without((folder / "churn.py").read_text(), "are_probabilities", "at_risk")
    assert "at_risk" not in code
    written = [code, *(path.read_text() for path in sorted((folder / "conf").rglob("*.yml")))]
    assert sum(map(lines_of, written)) <= AQUEDUCT_LINES


def test_churn_gives_what_plain_calls_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pandas

    project = shutil.copytree(EXAMPLES / "churn", tmp_path / "churn")
    ran = dagforge(project, "run", "churn", "--jobs", "2")
    assert ran.returncode == 0, ran.stderr
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.chdir(project)
    monkeypatch.delitem(sys.modules, "churn", raising=False)
    churn = importlib.import_module("churn")
    model = churn.model(pandas.read_csv("data/history.csv"))
    expected = churn.predict(pandas.read_csv("data/customers.csv"), model)
    with (project / "data/predictions.csv").open() as file:
        scores = [float(row["score"]) for row in csv.DictReader(file)]
    assert scores == pytest.approx(list(expected["score"]), rel=1e-12)
    shown = dagforge(project, "runs", "show", "churn", "--format", "json")
    tasks = json.loads(shown.stdout)["tasks"]
    assert tasks["at_risk"]["metrics"] == {"at_risk": churn.at_risk(expected)}
    assert [check["passed"] for check in tasks["are_probabilities"]["checks"]] == [True]


def test_resnet_trains_here_and_refuses_a_model_that_is_not_good_enough(tmp_path: Path) -> None:
    project = shutil.copytree(EXAMPLES / "resnet", tmp_path / "resnet")
    ran = dagforge(project, "run", "training", "--env", "local", "--jobs", "2")
    assert ran.returncode == 0, ran.stderr
    shown = dagforge(project, "runs", "show", "training", "--env", "local", "--format", "json")
    assert json.loads(shown.stdout)["tasks"]["evaluate"]["metrics"]["accuracy"] > 0.9
    assert (project / "data/candidate.joblib").is_file()
    small = ("--params", "model.width=8")
    ran = dagforge(project, "run", "training", "--env", "local", *small)
    assert ran.returncode == 1
    assert "check 'good_enough' failed [check-failed]" in ran.stderr
    # In the whole pipeline what publishes the model waits for the check.
    shown = dagforge(project, "show", "--stage", "plan", "--format", "json")
    tasks = {task["task_id"]: task for task in json.loads(shown.stdout)["pipelines"][0]["tasks"]}
    assert "evaluate" in tasks["publish"]["upstream"]


@pytest.mark.parametrize("example", ["absenteeism", "churn", "resnet"])
def test_a_project_from_an_example_compiles(tmp_path: Path, example: str) -> None:
    made = dagforge(tmp_path, "init", "--example", example, "new")
    assert made.returncode == 0, made.stderr
    assert "next: cd new && dagforge create" in made.stderr
    assert "new/README.md says what it needs and how it runs" in made.stderr
    for command in ["validate"], ["create"], ["create", "--check"]:
        done = dagforge(tmp_path / "new", *command)
        assert done.returncode == 0, done.stderr
