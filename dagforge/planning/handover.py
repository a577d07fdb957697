"""How tasks on different machines hand each other data: can the next find what one writes?

A pod has a disk of its own that ends with it. What crosses the border of a task there needs a
store, or a place in the catalog, that is not on that disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dagforge.errors import Origin, Problem, Problems
from dagforge.frozen import frozen
from dagforge.ir import GroupLink, Node, NodeGroup, Pipeline, Work
from dagforge.resolve import Layer, Settings

KEDRO = "kedro"
STORE = "DAGFORGE_STORE_URL"
# What can give a pod a disk that others see too.
VOLUMES = ("volumes", "pod_overrides", "pod_template_file", "full_pod_spec")
# What can set the variable in a way that only the cluster knows.
OUT_OF_SIGHT = ("env_from", "configmaps", "pod_template_file")
PODS_YAML = ("pod_overrides", "full_pod_spec")


@frozen
class Apart:
    """A task that runs on a machine of its own, with its settings."""

    group: NodeGroup
    settings: Mapping[str, Any]


def check_handover(
    pipeline: Pipeline,
    apart: Sequence[Apart],
    links: Iterable[GroupLink],
    settings: Settings,
    problems: Problems,
    kept: Sequence[str] = (),
) -> None:
    """Report data that a task hands over on a disk that no other task sees.

    Args:
        pipeline: the nodes and their datasets.
        apart: the tasks that run on machines of their own.
        links: between all tasks.
        settings: of the pipeline, for their places.
        problems: takes `local-store` errors and `local-path` warnings, one of each a pipeline.
        kept: what Kedro's nodes hand over through the store.
    """
    borders: dict[str, set[str]] = {}
    for link in links:
        for name in (link.upstream, link.downstream):
            borders.setdefault(name, set()).update(link.datasets)
    if not apart:
        return
    writers = {dataset: node for node in pipeline.nodes for dataset in node.outputs}
    of_functions = {dataset for dataset, node in writers.items() if _is_function(node)}
    handed = [(task, sorted(of_functions & borders.get(task.group.name, set()))) for task in apart]
    by_kedro = {name for name in of_functions if is_kedro(writers[name])}.difference(kept)
    stored = [
        (task, [name for name in names if name not in by_kedro and not _has_place(pipeline, name)])
        for task, names in handed
    ]
    _check_store(pipeline, stored, writers, settings, problems)
    _check_paths(pipeline, handed, "hand over", problems)
    # Results that only people read. DagForge's own functions can leave theirs in the store.
    read = {dataset for node in pipeline.nodes for dataset in node.inputs}
    at_end = [(task, sorted(_outputs_of_kedro(task.group) - read)) for task in apart]
    _check_paths(pipeline, at_end, "write", problems)


def is_kedro(node: Node) -> bool:
    """Say whether Kedro runs a node, and handles what it reads and writes."""
    return isinstance(node.action, Work) and node.action.runner == KEDRO


def _outputs_of_kedro(group: NodeGroup) -> set[str]:
    return {dataset for node in group.nodes if is_kedro(node) for dataset in node.outputs}


def _is_function(node: Node) -> bool:
    """Say whether DagForge handles a node's outputs; a command and an operator do so themselves."""
    return isinstance(node.action, Work) and node.action.runner != "command"


def _check_store(
    pipeline: Pipeline,
    stored: Sequence[tuple[Apart, Sequence[str]]],
    writers: Mapping[str, Node],
    settings: Settings,
    problems: Problems,
) -> None:
    """Report what goes through the store of a pod that has none, or one on its own disk."""
    faults: dict[str, tuple[Apart, str | None]] = {}
    for task, datasets in stored:
        if not datasets:
            continue
        url = store_of(task.settings)
        if url is ... or (url is not None and not _is_near(url, task.settings)):
            continue
        for name in datasets:
            faults.setdefault(name, (task, url))
    if not faults:
        return
    name = min(faults)
    task, url = faults[name]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    if url is None:
        why = "no store is set that all of them reach"
        at: Origin | None = writers[name].origin / "outputs"
    else:
        why = f"the store {url} is on each one's own disk"
        at = _place(task, settings) or writers[name].origin
    problems.error(
        "local-store",
        f"tasks of '{pipeline.name}' hand over '{name}'{more} and run in pods, where {why}",
        at,
        fix="set `store_url: s3://bucket/path` (or gs://...), or DAGFORGE_STORE_URL in `env_vars`; "
        "or give the data a place in the catalog, or group the nodes",
    )


def _check_paths(
    pipeline: Pipeline,
    handed: Sequence[tuple[Apart, Sequence[str]]],
    verb: str,
    problems: Problems,
) -> None:
    """Warn of a dataset whose path in the catalog is on a pod's own disk."""
    near = sorted(
        {
            name
            for task, datasets in handed
            for name in datasets
            if _has_place(pipeline, name)
            and _is_near(str(pipeline.datasets[name].uri), task.settings)
        }
    )
    if near:
        dataset = pipeline.datasets[near[0]]
        more = f" (and {len(near) - 1} more)" if len(near) > 1 else ""
        problems.warn(
            Problem(
                "local-path",
                f"tasks of '{pipeline.name}' {verb} '{near[0]}'{more} at {dataset.uri} and run "
                "in pods, each with a disk of its own",
                dataset.origin,
                fix="give it a URL such as s3://bucket/path, or mount a volume (`volumes`)",
                at_key=True,
            )
        )


def _has_place(pipeline: Pipeline, name: str) -> bool:
    dataset = pipeline.datasets.get(name)
    return dataset is not None and dataset.persisted and dataset.uri is not None


def store_of(settings: Mapping[str, Any]) -> Any:
    """Return the URL of a pod's store, None without one, `...` when only the cluster knows it."""
    variables = settings.get("env_vars") or {}
    if STORE in variables:
        value = variables[STORE]
        if isinstance(value, dict):
            return value.get("literal", ...)
        return ... if "{{" in str(value) else str(value)
    if any(settings.get(name) for name in OUT_OF_SIGHT):
        return ...
    for secret in settings.get("secrets") or ():
        if secret.get("deploy_type") == "env" and secret.get("deploy_target") in (None, STORE):
            return ...
    if any(STORE in repr(settings.get(name)) for name in PODS_YAML):
        return ...
    return settings.get("store_url")


def _is_near(url: str, settings: Mapping[str, Any]) -> bool:
    """Say whether a URL is on the disk, or in the memory, of the pod alone."""
    scheme, separator, _ = url.partition("://")
    if separator and scheme not in ("file", "local"):
        return scheme == "memory"
    return not any(settings.get(name) for name in VOLUMES)


def _place(task: Apart, settings: Settings) -> Origin | None:
    layers: tuple[Layer, ...] = settings.task_layers(
        task.group.name, task.group.nodes, task.group.tags
    )
    in_variables = settings.explain(("env_vars", STORE), layers)
    return in_variables[0].at if in_variables else settings.place(("store_url",), layers)
