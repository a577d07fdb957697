"""Small pipelines for tests, with places as a YAML file would have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dagforge.errors import Origin, Path, SourceLocation
from dagforge.ir import Dataset, Node, Operator, Pipeline, Work

FILE = "conf/base/pipelines.yml"


@dataclass(frozen=True, slots=True)
class Lines:
    """Node i of the definition stands on line 10 * (i + 1), its tags five lines further down."""

    def locate(self, path: Path, *, key: bool = False) -> SourceLocation:
        """Return the place of `path`; a KeyError for what has none."""
        match path:
            case (int(i),) if not key:
                return SourceLocation(FILE, 10 * (i + 1), 7)
            case (int(i), "tags", int(j)):
                return SourceLocation(FILE, 10 * (i + 1) + 5, 14 + j)
            case ("grouping",):
                return SourceLocation("conf/base/airflow.yml", 2, 13)
            case ("grouping", str(task)):
                return SourceLocation("conf/base/airflow.yml", 3, len(task) + 5)
            case ("grouping", str(task), int(j)):
                return SourceLocation("conf/base/airflow.yml", 3, len(task) + 6 + 4 * j)
            case ():
                return SourceLocation(FILE, 1, 1)
        raise KeyError(path)

    @property
    def file(self) -> str:
        return FILE


GROUPING = Origin(Lines(), ("grouping",))


def node(
    name: str,
    inputs: str = "",
    outputs: str = "",
    *,
    tags: str = "",
    after: str = "",
    namespace: str | None = None,
    module: str | None = None,
    block: str | None = None,
    runner: str = "function",
) -> Node:
    """Return a node; lists are words with spaces between them, runner `operator` makes it one."""
    action = Operator("team.Operator", {}) if runner == "operator" else Work(runner)
    return Node(
        name=name,
        action=action,
        origin=Origin(Lines()),
        inputs=tuple(inputs.split()),
        outputs=tuple(outputs.split()),
        after=tuple(after.split()),
        tags=tuple(tags.split()),
        namespace=namespace,
        module=module,
        block=block,
    )


def pipeline(
    *nodes: Node, persisted: str = "", in_memory: str = "", name: str = "data_science"
) -> Pipeline:
    """Return a pipeline of these nodes; `persisted` and `in_memory` make up its catalog."""
    stored = {dataset: True for dataset in persisted.split()}
    catalog: Mapping[str, bool] = {**stored, **dict.fromkeys(in_memory.split(), False)}
    return Pipeline(
        name=name,
        nodes=tuple(
            replace(node, origin=Origin(Lines(), (position,)))
            for position, node in enumerate(nodes)
        ),
        origin=Origin(Lines()),
        datasets={
            dataset: Dataset(dataset, Origin(Lines()), persisted=is_persisted)
            for dataset, is_persisted in catalog.items()
        },
    )


def with_nodes(pipeline: Pipeline, nodes: Sequence[Node]) -> Pipeline:
    """Return the pipeline with other nodes, which keep their places."""
    return replace(pipeline, nodes=tuple(nodes))
