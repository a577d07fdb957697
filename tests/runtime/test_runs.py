"""`dagforge runs`: what is told of past runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.runtime.projects import WORK, dagforge, write_files

CHECKED = """
    sums:
      nodes:
        - {name: make, func: "work:make", inputs: params:size, outputs: numbers}
        - {name: count, func: "work:count", inputs: numbers, metric: true}
        - {name: enough, func: "work:enough", inputs: numbers, check: warning}
    """
CHECKING = (
    WORK
    + """
    def count(numbers):
        return len(numbers)

    def enough(numbers):
        return len(numbers) > 10, f"only {len(numbers)}"
    """
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with two runs: one of four numbers, one of three."""
    root = write_files(tmp_path_factory.mktemp("project"), {})
    assert dagforge(root, "run", "sums", "--run-id", "first").returncode == 0
    assert dagforge(root, "run", "sums", "--run-id", "second", "--params", "size=3").returncode == 0
    return root


def told(project: Path, *arguments: str) -> str:
    """Return what `dagforge runs` prints."""
    done = dagforge(project, "runs", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_list(project: Path) -> None:
    lines = told(project, "list", "sums").splitlines()
    assert lines[0].split() == ["run", "status", "tasks", "started", "seconds"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["first", "success", "4"],
        ["second", "success", "4"],
    ]
    found = json.loads(told(project, "list", "sums", "--format", "json"))
    assert [run["run_id"] for run in found] == ["first", "second"]


def test_show_tells_tasks_and_datasets(project: Path) -> None:
    page = told(project, "show", "sums", "first")
    assert page.startswith("run first of sums-sums: success, began ")
    rows = {line.split()[0]: line.split() for line in page.splitlines() if line}
    assert rows["add"][1] == "success"
    assert rows["add"][5:] == ["double,", "square", "add"]
    assert rows["total"][1:4] == ["json", "2", "-"]
    assert rows["numbers"][1:5] == ["json", "12", "4", "make"]


def test_diff_tells_what_differs(project: Path) -> None:
    page = told(project, "diff", "sums", "first", "second")
    assert page.splitlines() == [
        "first -> second",
        "add: other inputs: doubled, squared",
        "add: other outputs: total",
        "double: other inputs: numbers",
        "double: other outputs: doubled",
        "make: other outputs: numbers",
        "square: other inputs: numbers",
        "square: other outputs: squared",
    ]
    same = told(project, "diff", "sums", "first", "first")
    assert same.splitlines() == ["first -> first", "nothing differs"]


def test_lineage_goes_back_to_what_came_from_outside(project: Path) -> None:
    assert told(project, "lineage", "sums", "total", "--run-id", "first").splitlines() == [
        "total <- add (add) <- doubled, squared",
        "doubled <- double (double) <- numbers",
        "squared <- square (square) <- numbers",
        "numbers <- make (make) <- nothing",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("show", "sums", "frist"),
            "has no run 'frist' of 'sums-sums' [no-run]\n  fix: did you mean 'first'?",
        ),
        (
            ("lineage", "sums", "totl"),
            "error: run 'second' has no dataset 'totl' [unknown-dataset]\n"
            "  fix: did you mean 'total'?",
        ),
        (
            ("show", "sum"),
            "error: there is no pipeline 'sum' [unknown-pipeline]\n  fix: did you mean 'sums'?",
        ),
    ],
)
def test_what_there_is_not(project: Path, arguments: tuple[str, ...], message: str) -> None:
    done = dagforge(project, "runs", *arguments)
    assert done.returncode in (1, 2)
    assert message in done.stderr


def test_gc_keeps_the_newest(tmp_path: Path) -> None:
    write_files(tmp_path, {})
    for name in ("a", "b", "c"):
        assert dagforge(tmp_path, "run", "sums", "--run-id", name).returncode == 0
    [runs] = (tmp_path / ".dagforge" / "store").glob("*/base/*")
    for name in ("a", "c"):
        # As an overlay of Kedro's catalog names it.
        (runs / f"r-{name}").mkdir()
        (runs / f"r-{name}" / "kept.pkl").touch()
    assert told(tmp_path, "gc", "sums", "--keep", "1", "--dry-run").split() == [
        "would", "remove", "a", "would", "remove", "b",
    ]  # fmt: skip
    assert told(tmp_path, "gc", "sums", "--keep", "1").split() == ["removed", "a", "removed", "b"]
    found = json.loads(told(tmp_path, "list", "sums", "--format", "json"))
    assert [run["run_id"] for run in found] == ["c"]
    assert "structure_hash" in found[0]
    assert sorted(path.name for path in runs.iterdir()) == ["_structures", "c", "r-c"]


def test_checks_and_metrics_are_told(tmp_path: Path) -> None:
    files = {"conf/base/pipelines.yml": CHECKED, "work.py": CHECKING}
    write_files(tmp_path, files)
    assert dagforge(tmp_path, "run", "sums", "--run-id", "r").returncode == 0
    page = told(tmp_path, "show", "sums", "r")
    assert "metric count = 4" in page
    assert "check enough failed (warning)" in page
    write_files(tmp_path, {**files, "conf/base/pipelines.yml": CHECKED.replace("warning", "error")})
    done = dagforge(tmp_path, "run", "sums", "--run-id", "s")
    assert done.returncode == 1
    assert "error: check 'enough' failed: only 4 [check-failed]" in done.stderr
