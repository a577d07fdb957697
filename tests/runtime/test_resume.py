"""What a resumed run leaves: tasks whose code, parameters, inputs and outputs are unchanged."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dagforge.build import Request, build
from dagforge.errors import DagForgeError
from dagforge.planning.model import DagPlan, Task
from dagforge.runtime.execute import TaskRun, execute
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.resume import is_up_to_date
from tests.runtime.projects import write_files

MODULE = "resumed_nodes"
FILES = {
    "conf/base/pipelines.yml": f"""
        sums:
          nodes:
            - {{name: make, func: "{MODULE}:make", inputs: [params:size, raw], outputs: numbers}}
            - {{name: add, func: "{MODULE}:add", inputs: numbers, outputs: total}}
            - {{name: keep, func: "{MODULE}:keep", inputs: total, outputs: kept}}
        """,
    "conf/base/parameters.yml": "size: 4",
    "conf/base/catalog.yml": """
        raw: {path: raw.txt, format: text}
        kept: {path: kept.json, format: json}
        """,
    "dagforge.toml": 'project = "sums"',
    "raw.txt": "1",
    f"{MODULE}.py": """
        def make(size, raw):
            return list(range(size)) + [int(raw)]

        def add(numbers):
            return sum(numbers)

        def keep(total):
            return total
        """,
}


class Project:
    """A project that has been run once."""

    def __init__(self, root: Path) -> None:
        self.root = write_files(root, FILES)
        self.place = RunPlace("sums", None, "sums", "r")
        self.files = Files(str(root / "store"))

    @property
    def dag(self) -> DagPlan:
        """The plan as the files have it now."""
        request = Request(root=self.root, pipelines=("sums",), target="airflow", params={})
        return build(request, render_files=False).dags[0]

    def run(self, parameters: Mapping[str, Any]) -> None:
        """Execute every task."""
        sys.modules.pop(MODULE, None)
        dag = self.dag
        nodes = {node.name: node for node in dag.pipeline.nodes}
        for task in dag.tasks:
            execute(
                TaskRun(
                    pipeline=dag.pipeline,
                    nodes=tuple(nodes[name] for name in task.nodes),
                    place=self.place,
                    task_id=task.task_id,
                    root=self.root,
                    store_url=self.files.url,
                    parameters=parameters,
                    contract=task.contract,
                ),
                lambda _: None,
            )

    def left(self, parameters: Mapping[str, Any] | None = None) -> list[str]:
        """Return the tasks that a resumed run would leave."""
        dag = self.dag

        def is_left(task: Task) -> bool:
            return is_up_to_date(self.files, self.place, task, dag, self.root, parameters)

        return [task.task_id for task in dag.tasks if is_left(task)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    found = Project(tmp_path)
    found.run({"size": 4})
    yield found
    sys.modules.pop(MODULE, None)


def test_nothing_has_changed(project: Project) -> None:
    assert project.left() == ["make", "add", "keep"]
    assert project.left({"size": 4, "other": 1}) == ["make", "add", "keep"]


def _replace(name: str, old: str, new: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        path = project.root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def _unlink(dataset: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        folder = project.root / "store" / project.place.dataset(dataset)
        for path in folder.iterdir():
            path.unlink()

    return change


def _truncate(dataset: str) -> Callable[[Project], None]:
    def change(project: Project) -> None:
        folder = project.root / "store" / project.place.dataset(dataset)
        for path in folder.iterdir():
            if not path.name.startswith("_"):
                path.write_bytes(b"")

    return change


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (_replace("raw.txt", "1", "2"), ["add", "keep"]),
        (_replace("conf/base/parameters.yml", "4", "5"), ["add", "keep"]),
        (_replace(f"{MODULE}.py", "sum(numbers)", "sum(numbers) + 1"), []),
        (_replace("conf/base/pipelines.yml", f"{MODULE}:keep", f"{MODULE}:add"), ["make", "add"]),
        (_unlink("total"), ["make"]),
        (_truncate("numbers"), ["keep"]),
        (_replace("kept.json", "7", "8"), ["make", "add"]),
        (lambda project: (project.root / "kept.json").unlink(), ["make", "add"]),
        (lambda project: (project.root / "raw.txt").unlink(), ["add", "keep"]),
        (lambda project: (project.root / f"{MODULE}.py").unlink(), []),
    ],
    ids=[
        "an input outside",
        "a parameter",
        "the code",
        "a function's name",
        "a dataset that is gone",
        "a dataset that was cut short",
        "an output outside",
        "an output outside that is gone",
        "an input outside that is gone",
        "the module is gone",
    ],
)
def test_what_has_changed_is_run_again(
    project: Project, change: Callable[[Project], None], left: list[str]
) -> None:
    change(project)
    assert project.left() == left


def test_the_runs_own_parameters_count(project: Project) -> None:
    assert project.left({"size": 5}) == ["add", "keep"]
    assert project.left({}) == ["add", "keep"]
    project.run({"size": 5})
    assert project.left({"size": 5}) == ["make", "add", "keep"]
    assert project.left() == ["add", "keep"]


def test_a_task_that_failed_is_run_again(project: Project) -> None:
    _replace(f"{MODULE}.py", "return total", "raise ValueError")(project)
    with pytest.raises(DagForgeError):
        project.run({"size": 4})
    assert project.left() == ["make", "add"]


def test_a_record_that_cannot_be_read_counts_as_none(project: Project) -> None:
    for path in (project.root / "store" / project.place.dataset("total")).iterdir():
        path.write_bytes(b"{")
    assert project.left() == ["make"]
