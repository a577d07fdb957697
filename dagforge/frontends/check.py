"""What is wrong between the nodes of a pipeline, whichever front-end read them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dagforge.errors import DagForgeError, Origin, Problems, SourceLocation, did_you_mean, suggest
from dagforge.frontends.catalog import Declared
from dagforge.frontends.words import shown
from dagforge.ir import Dataset, Node, Pipeline, is_parameter
from dagforge.order import check_acyclic

Writer = tuple[str, Node]
FindWriter = Callable[[str], "Writer | None"]

# Looking for a likely name costs time for each name there is: a file with thousands of unknown
# names gets suggestions for the first of them.
_NAMES_COMPARED = 200_000


def check_nodes(
    pipeline: Pipeline,
    catalog: Declared,
    problems: Problems,
    *,
    catalog_file: str,
    written_elsewhere: FindWriter,
    complete: bool,
) -> None:
    """Report what is wrong between nodes: names, producers, inputs, paths, order.

    Args:
        pipeline: its nodes may share names and may be on a cycle.
        catalog: what the project declares.
        problems: gets what is found.
        catalog_file: where to declare a dataset, for the fix.
        written_elsewhere: finds the pipeline and node that write a dataset, among all pipelines.
        complete: False when nodes or outputs are missing, so that what is not found may be there.
    """
    before = len(problems.found)
    _check_names(pipeline.nodes, problems)
    _check_producers(pipeline.nodes, problems)
    distinct = len(problems.found) == before
    if complete:
        _check_inputs(pipeline, catalog, problems, catalog_file, written_elsewhere)
        _check_after(pipeline.nodes, problems)
    _check_paths(pipeline, problems)
    if distinct:
        try:
            check_acyclic(pipeline)
        except DagForgeError as exc:
            problems.extend(exc.problems)


def datasets_of(nodes: Iterable[Node], catalog: Declared) -> dict[str, Dataset]:
    """Return what the catalog declares of what the nodes read and write."""
    datasets: dict[str, Dataset] = {}
    for node in nodes:
        for name in (*node.inputs, *node.outputs):
            if name not in datasets:
                dataset = catalog.find(name)
                if dataset is not None:
                    datasets[name] = dataset
    return datasets


def place_of(node: Node, key: str, name: str) -> Origin:
    """Return where a node's definition names a dataset or another node."""
    value: Any = getattr(node.origin.source, "data", None)
    if value is None:
        return node.origin / key
    try:
        for part in (*node.origin.path, key):
            value = value[part]
    except (KeyError, IndexError, TypeError):
        return node.origin
    pairs: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, list):
        pairs = enumerate(value)
    elif isinstance(value, dict):
        pairs = value.items()
    for part, item in pairs:
        if item == name:
            return node.origin / key / part
    return node.origin / key


def _check_names(nodes: Sequence[Node], problems: Problems) -> None:
    first: dict[str, Node] = {}
    for node in nodes:
        earlier = first.setdefault(node.name, node)
        if earlier is not node:
            problems.error(
                "duplicate-node",
                f"there are two nodes {shown(node.name)}, the first at {earlier.origin.location()}",
                node.origin / "name",
                fix="rename one of them",
            )


def _check_producers(nodes: Sequence[Node], problems: Problems) -> None:
    first: dict[str, Node] = {}
    for node in nodes:
        for dataset in node.outputs:
            earlier = first.setdefault(dataset, node)
            if earlier is not node:
                at = place_of(earlier, "outputs", dataset).location()
                problems.error(
                    "two-producers",
                    f"nodes {shown(earlier.name)} ({at}) and {shown(node.name)} both write"
                    f" {shown(dataset)}",
                    place_of(node, "outputs", dataset),
                    fix="give one of them another output",
                )


def _check_inputs(
    pipeline: Pipeline,
    catalog: Declared,
    problems: Problems,
    catalog_file: str,
    written_elsewhere: FindWriter,
) -> None:
    """Report inputs that no node writes and nothing declares, parameters among them."""
    writers = {dataset: node for node in pipeline.nodes for dataset in node.outputs}
    declared = {f"params:{name}" for name in pipeline.parameters}
    budget = _NAMES_COMPARED
    for node in pipeline.nodes:
        for name in node.inputs:
            if name in writers or catalog.find(name) is not None:
                continue
            at = place_of(node, "inputs", name)
            if is_parameter(name):
                if name == "parameters" or name in catalog.parameters or name in declared:
                    continue
                fix = did_you_mean(name, catalog.parameters) if budget > 0 else None
                budget -= len(catalog.parameters)
                message = (
                    f"node {shown(node.name)} reads {shown(name)}, which no parameter declares"
                )
                fix = fix or f"declare it in {catalog_file.replace('catalog', 'parameters')}"
                problems.error("unknown-parameter", message, at, fix=fix)
                continue
            elsewhere = written_elsewhere(name)
            if elsewhere is not None:
                other, writer = elsewhere
                there = place_of(writer, "outputs", name).location()
                fix = (
                    f"{shown(writer.name)} of pipeline {shown(other)} writes it ({_line(there)}):"
                    f" declare it in {catalog_file}, so that it outlives that run"
                )
            else:
                near = None
                if budget > 0:
                    near = suggest(name, [*writers, *catalog.names])
                    budget -= len(writers) + len(list(catalog.names))
                fix = _fix_for_unknown(near, writers, catalog, catalog_file)
                meant = _PARAMETER.sub("params:", name)
                if meant != name and meant in catalog.parameters:
                    fix = f"did you mean {shown(meant)}?"
            problems.error(
                "unknown-dataset",
                f"node {shown(node.name)} reads {shown(name)}, which nothing writes",
                at,
                fix=fix,
            )


# How a parameter is written by those who remember it almost.
_PARAMETER = re.compile(r"^(?:params?|parameters?)\s*[:.]\s*")


def _fix_for_unknown(
    near: str | None, writers: dict[str, Node], catalog: Declared, catalog_file: str
) -> str:
    if near is None:
        return f"declare it in {catalog_file}, or let a node write it"
    if near in writers:
        writer = writers[near]
        at = place_of(writer, "outputs", near).location()
        return f"did you mean {shown(near)}, written by {shown(writer.name)} ({_line(at)})?"
    dataset = catalog.find(near)
    assert dataset is not None, near
    return f"did you mean {shown(near)}, declared at {_line(dataset.origin.location(key=True))}?"


def _line(location: SourceLocation) -> str:
    return f"{location.file}:{location.line}" if location.line is not None else location.file


def _check_after(nodes: Sequence[Node], problems: Problems) -> None:
    names = {node.name for node in nodes}
    for node in nodes:
        for name in node.after:
            if name not in names:
                problems.error(
                    "unknown-node",
                    f"node {shown(node.name)} is set to run after {shown(name)}, which is no node"
                    " of this pipeline",
                    place_of(node, "after", name),
                    fix=did_you_mean(name, names),
                )


def _check_paths(pipeline: Pipeline, problems: Problems) -> None:
    """Report two datasets at one path, where one of them is written."""
    used: dict[str, str] = {}
    written = {name for node in pipeline.nodes for name in node.outputs}
    # What is written comes first, so that two that are only read never meet.
    names = dict.fromkeys([name for node in pipeline.nodes for name in node.outputs])
    names.update(dict.fromkeys(name for node in pipeline.nodes for name in node.inputs))
    for name in names:
        dataset = pipeline.datasets.get(name)
        if dataset is None or dataset.uri is None or not dataset.persisted:
            continue
        path = _normal(dataset.uri)
        if name not in written and path not in used:
            continue
        other = used.setdefault(path, name)
        if other != name:
            first = pipeline.datasets[other].origin.location(key=True)
            problems.error(
                "shared-path",
                f"the datasets {shown(other)} ({_line(first)}) and {shown(name)} have one path,"
                f" {dataset.uri}",
                dataset.origin,
                fix="give one of them another path",
                at_key=True,
            )


def _normal(uri: str) -> str:
    protocol, separator, path = uri.rpartition("://")
    return protocol + separator + posixpath.normpath(path)
