"""`dagforge lineage`: what needs what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.projects import run, write_project

FILES = {
    "conf/base/pipelines.yml": """
        etl:
          nodes:
            - {name: load, func: "m:f", inputs: [raw, params:size], outputs: rows,
               tags: [airflow:in]}
            - {name: clean, func: "m:f", inputs: rows, outputs: tidy, tags: [airflow:in]}
            - {name: log, func: "m:f", after: clean}
        model:
          nodes:
            - {name: split, func: "m:f", inputs: tidy, outputs: [train, test]}
            - {name: fit, func: "m:f", inputs: train, outputs: fitted}
            - {name: score, func: "m:f", inputs: [fitted, test]}
        """,
    "conf/base/catalog.yml": "{raw: {path: raw.csv}, tidy: {path: tidy.csv}}",
    "conf/base/parameters.yml": "size: 3",
}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["clean"],
            """\
node clean of pipeline etl, task in
  needs  (0 other tasks before it)
    1  load         task in    rows
    -  params:size  parameter
    -  raw          raw.csv
  is needed by  (1 other task after it)
    1  log  task log
""",
        ),
        (
            ["tidy", "--downstream"],
            """\
dataset tidy of pipeline etl
  is needed by nothing

dataset tidy of pipeline model
  is needed by  (3 other tasks after it)
    1  split  task split  tidy
    2  fit    task fit    train
    2  score  task score  test
""",
        ),
        (
            ["tidy", "--upstream", "-p", "model"],
            """\
dataset tidy of pipeline model
  needs  (0 other tasks before it)
    -  tidy  tidy.csv
""",
        ),
        (
            ["fit", "--upstream"],
            """\
node fit of pipeline model, task fit
  needs  (1 other task before it)
    1  split  task split            train
    -  tidy   written by etl.clean
""",
        ),
        (
            ["params:size", "--upstream"],
            """\
parameter params:size of pipeline etl
  needs nothing
""",
        ),
    ],
)
def test_text(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_project(tmp_path, FILES))
    ran = run("lineage", *arguments)
    assert ran.code == 0, ran.err
    assert "\n".join(line.rstrip() for line in ran.out.split("\n")) == says


def test_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_project(tmp_path, FILES))
    [answer] = json.loads(run("lineage", "score", "--format", "json").out)
    assert answer == {
        "name": "score",
        "kind": "node",
        "pipeline": "model",
        "task": "score",
        "upstream": [
            {"node": "fit", "task": "fit", "steps": 1, "datasets": ["fitted"]},
            {"node": "split", "task": "split", "steps": 1, "datasets": ["test"]},
        ],
        "tasks_upstream": ["fit", "split"],
        "downstream": [],
        "tasks_downstream": [],
        "inputs": {"tidy": "written by etl.clean"},
    }


def test_an_unknown_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_project(tmp_path, FILES))
    ran = run("lineage", "claen")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "error: there is no node, dataset or parameter 'claen' [unknown-node]\n"
        "  fix: did you mean 'clean'?\n"
    )


def test_a_long_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        f'- {{name: n{i}, func: "m:f", inputs: [{f"d{i - 1}" if i else ""}], outputs: d{i}}}'
        for i in range(3000)
    ]
    text = "etl:\n  nodes:\n" + "\n".join(f"    {node}" for node in nodes)
    monkeypatch.chdir(write_project(tmp_path, {"conf/base/pipelines.yml": text}))
    ran = run("lineage", "n2999", "--format", "json")
    assert ran.code == 0, ran.err
    assert len(json.loads(ran.out)[0]["upstream"]) == 2999
