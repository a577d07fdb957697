"""One task: its nodes in order, with their inputs from the store and their outputs to it."""

from __future__ import annotations

import dataclasses
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagforge import __version__
from dagforge.errors import Problem
from dagforge.ir import Node, Pipeline, Work, is_parameter
from dagforge.runtime.errors import CheckError, NodeError, RunError
from dagforge.runtime.files import Files
from dagforge.runtime.functions import (
    Failure,
    UserError,
    call,
    code_hash,
    function_of,
    make_importable,
    outputs_of,
)
from dagforge.runtime.inputs import load_dataset, parameter, save_dataset
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import FAILED, RUNNING, SUCCESS, CheckResult, TaskRecord, write_record
from dagforge.runtime.store import DatasetRecord, Store, now

Say = Callable[[str], None]
_LIBRARIES = ("pandas", "numpy", "pyarrow", "polars", "sklearn", "xgboost", "lightgbm")


@dataclass(frozen=True, slots=True)
class TaskRun:
    """What a task is to do.

    Attributes:
        pipeline: the whole one; what it holds beside `nodes` says which outputs others need.
        nodes: of the task, in order.
        place: the run.
        root: the project's folder.
        store_url: base of the store.
        parameters: of the project, the run's own laid over them.
        structure: hash of the plan that the DAG was generated from; None when it has none.
        contract: hash of what the DAG expects of the task; None when it has none.
        warnings: what differs from that, to be recorded.
    """

    pipeline: Pipeline
    nodes: tuple[Node, ...]
    place: RunPlace
    task_id: str
    root: Path
    store_url: str
    parameters: Mapping[str, Any]
    allow_pickle: bool | Collection[str] = True
    preview_rows: int = 0
    structure: str | None = None
    contract: str | None = None
    warnings: tuple[str, ...] = ()
    store_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Progress:
    """What an attempt has done so far."""

    inputs: list[DatasetRecord] = field(default_factory=list)
    outputs: list[DatasetRecord] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: Mapping[str, Any] | None = None


def execute(task: TaskRun, say: Say) -> TaskRecord:
    """Run a task's nodes, keep what they give and a record of it, and return the record.

    Args:
        task: what to do.
        say: takes a line for the log.

    Raises:
        NodeError: a node's function failed.
        CheckError: a check of severity `error` failed; the outputs were saved.
        RunError: anything else; a record says so wherever the store can be written.
    """
    started = now()
    make_importable(task.root)
    store = Store(
        Files(task.store_url, **task.store_options),
        task.place,
        task.allow_pickle,
        task.preview_rows,
    )
    progress = _Progress(warnings=list(task.warnings))
    record = _record(task, progress, started, RUNNING)
    write_record(store.files, task.place, record)
    for warning in task.warnings:
        say(f"warning: {warning}")
    try:
        _run_nodes(task, store, started, progress, say)
    except BaseException as error:
        if progress.error is None:
            progress.error = {"type": type(error).__name__, "message": str(error)}
        _keep(store, _record(task, progress, started, FAILED), error)
        raise
    failed = [check for check in progress.checks if not check.passed and check.severity == "error"]
    record = _record(task, progress, started, FAILED if failed else SUCCESS)
    write_record(store.files, task.place, record)
    if failed:
        nodes = {node.name: node for node in task.nodes}
        raise CheckError(
            Problem(
                "check-failed",
                f"check '{check.node}' failed"
                + ("" if check.value is None else f": {check.value}"),
                nodes[check.node].origin,
            )
            for check in failed
        )
    return record


def _keep(store: Store, record: TaskRecord, error: BaseException) -> None:
    """Write the record of a failure; a store that is the failure itself cannot take it."""
    try:
        write_record(store.files, store.place, record)
    except RunError as second:
        error.__context__ = second


def _run_nodes(task: TaskRun, store: Store, started: str, progress: _Progress, say: Say) -> None:
    values: dict[str, Any] = {}
    inside = {dataset for node in task.nodes for dataset in node.outputs}
    kept = _kept_outputs(task)
    last_use = {dataset: index for index, node in enumerate(task.nodes) for dataset in node.inputs}
    records: dict[str, DatasetRecord] = {}
    for index, node in enumerate(task.nodes):
        for dataset in node.inputs:
            if dataset not in values and (dataset not in inside):
                values[dataset] = _input(task, store, dataset, records, progress, say)
        begin = time.perf_counter()
        say(f"node {node.name}")
        try:
            result = _do(node, values, task)
        except UserError as error:
            progress.seconds[node.name] = round(time.perf_counter() - begin, 6)
            failure = error.failure
            progress.error = {"node": node.name, **dataclasses.asdict(failure)}
            raise _node_error(node, failure, records) from error
        progress.seconds[node.name] = round(time.perf_counter() - begin, 6)
        _judge(node, result, progress, say)
        for dataset, value in outputs_of(node, result).items():
            if dataset in kept:
                progress.outputs.append(_output(task, store, dataset, value, started, say))
            if last_use.get(dataset, -1) > index:
                values[dataset] = value
        result = None
        for dataset in node.inputs:
            if last_use.get(dataset) == index:
                # A task may handle more data than fit into memory at once.
                values.pop(dataset, None)


def _kept_outputs(task: TaskRun) -> set[str]:
    """Return the outputs that outlive the task: read by others, declared, or read by nobody."""
    mine = {node.name for node in task.nodes}
    read_by_others = {
        dataset for node in task.pipeline.nodes if node.name not in mine for dataset in node.inputs
    }
    read_here = {dataset for node in task.nodes for dataset in node.inputs}
    kept: set[str] = set()
    for node in task.nodes:
        for dataset in node.outputs:
            declared = task.pipeline.datasets.get(dataset)
            is_stored = declared is not None and declared.persisted
            if is_stored or dataset in read_by_others or dataset not in read_here:
                kept.add(dataset)
    return kept


def _input(
    task: TaskRun,
    store: Store,
    dataset: str,
    records: dict[str, DatasetRecord],
    progress: _Progress,
    say: Say,
) -> Any:
    if is_parameter(dataset):
        return parameter(dataset, task.parameters)
    declared = task.pipeline.datasets.get(dataset)
    writer = next((node for node in task.pipeline.nodes if dataset in node.outputs), None)
    if declared is not None and declared.persisted and declared.uri is not None:
        value, record, _ = load_dataset(declared, task.root, task.allow_pickle)
        if writer is not None:
            _warn_if_old(store, record, progress, say)
    else:
        value, record = store.load(dataset)
    records[dataset] = record
    progress.inputs.append(record)
    return value


def _warn_if_old(store: Store, record: DatasetRecord, progress: _Progress, say: Say) -> None:
    """Warn of an input at a fixed path that was not written in this run."""
    begun = _run_begun(store)
    if begun is not None and record.written and record.written < begun:
        warning = (
            f"dataset '{record.name}' at {record.uri} was written {record.written}, before this "
            f"run began ({begun}): it is another run's"
        )
        progress.warnings.append(warning)
        say(f"warning: {warning}")


def _run_begun(store: Store) -> str | None:
    """Return when the first task of the run began, as far as records say."""
    from dagforge.runtime.history import task_records

    begun = [record.started for record in task_records(store.files, store.place)]
    return min(begun, default=None)


def _output(
    task: TaskRun, store: Store, dataset: str, value: Any, started: str, say: Say
) -> DatasetRecord:
    declared = task.pipeline.datasets.get(dataset)
    if declared is not None and declared.persisted and declared.uri is not None:
        record = save_dataset(declared, value, task.root, producer=task.task_id, started=started)
    else:
        chosen = declared.format if declared is not None else None
        record = store.save(
            dataset, value, producer=task.task_id, started=started, format_name=chosen
        )
    say(f"saved {dataset} ({record.format}, {record.size:,} bytes) to {record.uri}")
    return record


def _do(node: Node, values: Mapping[str, Any], task: TaskRun) -> Any:
    assert isinstance(node.action, Work), node.name
    if node.action.runner == "command":
        _run_command(node)
        return None
    missing = [dataset for dataset in node.inputs if dataset not in values]
    if missing:
        raise RunError.of(
            "no-data",
            f"node '{node.name}' runs before '{missing[0]}' is written",
            at=node.origin,
        )
    del task
    return call(node, function_of(node), values)


def _run_command(node: Node) -> None:
    assert isinstance(node.action, Work)
    try:
        done = subprocess.run(node.action.command, check=False)
    except OSError as error:
        raise RunError.of(
            "no-command",
            f"node '{node.name}': '{node.action.command[0]}' cannot be started: {error.strerror}",
            at=node.origin / "command",
        ) from error
    if done.returncode != 0:
        failure = Failure("CommandError", f"exit code {done.returncode}", "")
        raise UserError(failure)


def _judge(node: Node, result: Any, progress: _Progress, say: Say) -> None:
    """Keep what a check or a metric says."""
    if node.metric:
        value = result.item() if hasattr(result, "item") else result
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RunError.of(
                "wrong-outputs",
                f"node '{node.name}' is a metric, but its function gave a {type(value).__name__}",
                at=node.origin,
                fix="return a number",
            )
        progress.metrics[node.name] = value
        say(f"metric {node.name} = {value}")
    if node.check is not None:
        passed, detail = (result[0], result[1]) if _is_pair(result) else (result, None)
        if type(passed).__name__ not in ("bool", "bool_"):
            raise RunError.of(
                "wrong-outputs",
                f"node '{node.name}' is a check, but its function gave a {type(passed).__name__}",
                at=node.origin,
                fix="return True or False, or a pair of that and what to tell",
            )
        check = CheckResult(node.name, bool(passed), node.check, detail)
        progress.checks.append(check)
        word = "passed" if check.passed else f"failed ({check.severity})"
        say(f"check {node.name} {word}" + ("" if detail is None else f": {detail}"))


def _is_pair(result: Any) -> bool:
    return isinstance(result, tuple) and len(result) == 2


def _node_error(node: Node, failure: Failure, records: Mapping[str, DatasetRecord]) -> NodeError:
    assert isinstance(node.action, Work)
    lines = [f"node '{node.name}' failed: {failure.type}: {failure.message}"]
    if node.action.target:
        lines.append(f"  function {node.action.target}")
    lines += [
        f"  input {dataset}: {records[dataset].uri}"
        for dataset in node.inputs
        if dataset in records
    ]
    if failure.frames:
        lines.append("  traceback of your code:")
        lines += [f"  {line}" for line in failure.frames.rstrip("\n").split("\n")]
    return NodeError.of("node-failed", "\n".join(lines), at=node.origin)


def _record(task: TaskRun, progress: _Progress, started: str, status: str) -> TaskRecord:
    return TaskRecord(
        task_id=task.task_id,
        dag_id=task.place.dag_id,
        run_id=task.place.run_id,
        nodes=tuple(node.name for node in task.nodes),
        status=status,
        started=started,
        ended=None if status == RUNNING else now(),
        host=socket.gethostname(),
        structure=task.structure,
        contract=task.contract,
        code=code_hash(task.nodes) if status != RUNNING else None,
        versions=_versions(),
        peak_memory=_peak_memory(),
        seconds=dict(progress.seconds),
        inputs=[dataclasses.asdict(each) for each in progress.inputs],
        outputs=[dataclasses.asdict(each) for each in progress.outputs],
        metrics=dict(progress.metrics),
        checks=[dataclasses.asdict(each) for each in progress.checks],
        warnings=list(progress.warnings),
        error=progress.error,
    )


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "dagforge": __version__}
    for name in _LIBRARIES:
        version = getattr(sys.modules.get(name), "__version__", None)
        if isinstance(version, str):
            found[name] = version
    return found


def _peak_memory() -> int | None:
    """Return the most memory that this process has had, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in kibibytes, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def store_url_of(chosen: str | None, setting: str | None, root: Path) -> str:
    """Return the store's URL: the command line's, the environment's, the settings', a folder."""
    url = chosen or os.environ.get("DAGFORGE_STORE_URL") or setting
    return url or str(root / ".dagforge" / "store")


def sequence_of(nodes: Sequence[Node], names: Sequence[str]) -> tuple[Node, ...]:
    """Return the nodes with these names, in this order; KeyError for one that there is not."""
    by_name = {node.name: node for node in nodes}
    return tuple(by_name[name] for name in names)
