"""One task, executed in this process, with the functions of `tests.runtime.work`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dagforge.errors import Origin, SourceLocation
from dagforge.ir import Dataset, Node, Pipeline, Work
from dagforge.runtime.execute import TaskRun, execute
from dagforge.runtime.files import Files
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import TaskRecord, read_record
from dagforge.runtime.store import Store

MODULE = "tests.runtime.work"


class Definition:
    """Where the nodes of the tests say that they are from."""

    file = "pipelines.yml"

    def locate(self, path: tuple[str | int, ...], *, key: bool = False) -> SourceLocation:
        """Return one place for everything."""
        del path, key
        return SourceLocation(self.file, 3, 9)


ORIGIN = Origin(Definition())


def node(name: str, func: str | None = None, /, **options: Any) -> Node:
    """Return a node that calls a function of `tests.runtime.work`, its namesake by default."""
    inputs = options.pop("inputs", ())
    command = options.pop("command", ())
    arguments = inputs if isinstance(inputs, dict) else {}
    module, _, function = (func or name).rpartition(":")
    target = f"{module or MODULE}:{function}"
    work = Work("command", command=command) if command else Work("function", target, (), arguments)
    return Node(
        name,
        work,
        ORIGIN,
        inputs=tuple(inputs.values()) if isinstance(inputs, dict) else tuple(inputs),
        outputs=tuple(options.pop("outputs", ())),
        module=None if command else module or MODULE,
        **options,
    )


def dataset(name: str, uri: str | Path | None = None, **options: Any) -> Dataset:
    """Return what the catalog declares of a dataset."""
    return Dataset(name, ORIGIN, uri=None if uri is None else str(uri), **options)


@dataclass
class Bench:
    """A pipeline whose tasks are executed one by one.

    Attributes:
        lines: what the tasks said.
    """

    root: Path
    nodes: list[Node]
    url: str
    datasets: list[Dataset] = field(default_factory=list)
    run_id: str = "r"
    env: str | None = None
    project: str = "team"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @property
    def place(self) -> RunPlace:
        """The run."""
        return RunPlace(self.project, self.env, "dag", self.run_id)

    @property
    def store(self) -> Store:
        """The datasets of the run."""
        return Store(Files(self.url), self.place)

    def task(self, *names: str, task_id: str | None = None) -> TaskRun:
        """Return the task of these nodes, all when there are none."""
        chosen = [each for each in self.nodes if not names or each.name in names]
        task = TaskRun(
            pipeline=Pipeline(
                "p", tuple(self.nodes), ORIGIN, {each.name: each for each in self.datasets}
            ),
            nodes=tuple(chosen),
            place=self.place,
            task_id=task_id or "+".join(each.name for each in chosen),
            root=self.root,
            store_url=self.url,
            parameters=self.parameters,
        )
        return replace(task, **self.options)

    def run(self, *names: str, task_id: str | None = None) -> TaskRecord:
        """Execute the task of these nodes and return its record."""
        return execute(self.task(*names, task_id=task_id), self.lines.append)

    def record(self, task_id: str) -> TaskRecord:
        """Return the record that a task left."""
        found = read_record(Files(self.url), self.place, task_id)
        assert found is not None, task_id
        return found

    def value(self, name: str) -> Any:
        """Return a dataset's value."""
        return self.store.load(name)[0]


def bench(root: Path, *nodes: Node, **options: Any) -> Bench:
    """Return a pipeline with its store below `root`, unless a `url` says otherwise."""
    return Bench(root, list(nodes), **{"url": str(root / "store"), **options})
