"""`dagforge report --store`: past runs on the page, from what real tasks left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.projects import dagforge, write_files
from tests.test_report_page import Words, data

PIPELINES = """
    sums:
      nodes:
        - {name: make, func: "work:make", inputs: params:size, outputs: numbers}
        - {name: count, func: "work:count", inputs: numbers, metric: true}
        - {name: enough, func: "work:enough", inputs: numbers, check: warning}
        - {name: fall, func: "work:fall", inputs: numbers, outputs: never}
        - {name: last, func: "work:last", inputs: never}
    """
WORK = """
    import os

    def make(size):
        import pandas
        return pandas.DataFrame({"number": range(size), "name": ["</script><b>"] * size})

    def count(numbers):
        return len(numbers)

    def enough(numbers):
        return len(numbers) > 10, f"only {len(numbers)}"

    def fall(numbers):
        if len(numbers) == 3:
            raise ValueError("three <i>is</i> not enough")
        return [len(numbers)]

    def last(never):
        pass
    """
SETTINGS = "default: {preview_rows: 2}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a run that failed, whose pipeline is another one by now."""
    root = write_files(
        tmp_path_factory.mktemp("project"),
        {
            "conf/base/pipelines.yml": PIPELINES,
            "conf/base/dagforge.yml": SETTINGS,
            "work.py": WORK,
        },
    )
    failed = dagforge(root, "run", "sums", "--run-id", "first", "--params", "size=3")
    assert failed.returncode == 1
    changed = PIPELINES.replace("{name: last", "{name: final")
    write_files(
        root,
        {
            "conf/base/pipelines.yml": changed,
            "conf/base/dagforge.yml": SETTINGS,
            "work.py": WORK,
        },
    )
    done = dagforge(root, "run", "sums", "--run-id", "second", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    return root


def report(project: Path, *arguments: str) -> str:
    """Return the page with the runs of the project's own store."""
    done = dagforge(project, "report", "-q", "-o", "-", "--store", ".dagforge/store", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    return report(project)


def of_run(page: str, number: int) -> list[str]:
    """Return the words of one run."""
    return Words(page.split('<details class="run"')[number + 1].split("</section>")[0]).words


def runs(page: str) -> list[Any]:
    """Return what scripts tell of the runs."""
    found: list[Any] = data(page)["pipelines"][0]["runs"]
    return found


def test_the_newest_run_comes_first(page: str) -> None:
    words = Words(page).words
    at = words.index("Runs in the store, the last 2 of 2")
    rows = words[at + 8 :]
    assert [rows[0], rows[1], rows[7], rows[8]] == ["second", "success", "first", "failed"]
    assert rows[4].endswith(", as now")
    assert not rows[11].endswith(", as now")
    assert rows[5:7] == ["count 4", "enough failed"]


def test_a_run_is_drawn_as_its_dag_was(page: str) -> None:
    second, first = runs(page)
    assert "last" in first["view"]["shapes"]
    assert "final" in second["view"]["shapes"]
    shapes = first["view"]["shapes"]
    arrows = {(shapes[start], shapes[end]): by for start, end, by in first["view"]["arrows"]}
    assert arrows["make", "fall"] == ["numbers"]


def test_statuses_and_remarks_of_tasks(page: str) -> None:
    tasks = {name: dict(facts) for name, facts in runs(page)[1]["tasks"].items()}
    assert {name: facts["status"] for name, facts in tasks.items()} == {
        "make": ["success"],
        "count": ["success"],
        "enough": ["success"],
        "fall": ["failed"],
        "last": ["not run"],
    }
    assert tasks["count"]["remarks"] == ["metric count = 3"]
    assert tasks["enough"]["remarks"] == ["check enough failed (warning)"]
    assert tasks["fall"]["remarks"][0] == (
        "node fall failed: ValueError: three <i>is</i> not enough"
    )
    assert re.fullmatch(r"make: \d+\.\d s", tasks["make"]["nodes"][0])


def test_datasets_have_their_first_rows(page: str) -> None:
    words = of_run(page, 0)
    at = words.index("First rows of numbers")
    assert words[at + 1 : at + 7] == ["number", "name", "0", "</script><b>", "1", "</script><b>"]
    assert "[4]" in words[words.index("First rows of never") :]
    assert "First rows of never" not in of_run(page, 1)


def test_fewer_runs(project: Path) -> None:
    assert len(runs(report(project, "--runs", "1"))) == 1
    assert runs(report(project, "--store", "elsewhere")) == []
    assert "The store has none of this DAG." in report(project, "--store", "elsewhere")


def test_without_a_store_there_are_no_runs(project: Path) -> None:
    done = dagforge(project, "report", "-q", "-o", "-")
    assert runs(done.stdout) == []
    assert "<h3>Runs</h3>" not in done.stdout


def test_a_structure_that_cannot_be_read_leaves_the_run(project: Path) -> None:
    [structures] = (project / ".dagforge" / "store").rglob("_structures")
    kept = {file: file.read_bytes() for file in structures.iterdir()}
    for file in kept:
        file.write_bytes(b'{"tasks": [')
    page = report(project)
    for file, content in kept.items():
        file.write_bytes(content)
    assert page.count("The store does not say what the DAG was made of") == 2
    assert [run["view"] for run in runs(page)] == [None, None]
    assert runs(page)[0]["tasks"]["make"][0] == ["status", ["success"]]
