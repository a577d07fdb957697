"""One task: its nodes in order, with their inputs from the store and their outputs to it.

Nothing that is read is silently stale. A dataset in the store is compared with the record of the
task that wrote it: a value of an earlier attempt, or one made from inputs that have changed since,
is warned of. A dataset at a fixed path is compared with what this run wrote there.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagforge.conf import Conf
from dagforge.errors import DagForgeError, Problem
from dagforge.frontends import registry
from dagforge.frontends.failures import fix_of_import
from dagforge.frontends.hamilton.nodes import EXTRA_OUTPUTS
from dagforge.frozen import frozen
from dagforge.ir import Dataset, Node, Pipeline, Work, is_parameter
from dagforge.runtime.errors import CheckError, IncompleteError, NodeError, RunError, StoreError
from dagforge.runtime.files import Files
from dagforge.runtime.functions import (
    call,
    code_hash,
    function_of,
    outputs_of,
    stopped_by_signal,
)
from dagforge.runtime.hamilton import NodeFailed, Told, asked_for, is_hamilton, run_part
from dagforge.runtime.inputs import (
    find_dataset,
    is_same_file,
    load_dataset,
    parameter,
    save_dataset,
)
from dagforge.runtime.places import RunPlace
from dagforge.runtime.process import peak_memory, versions
from dagforge.runtime.records import (
    FAILED,
    RUNNING,
    SUCCESS,
    CheckResult,
    TaskRecord,
    as_json,
    next_start,
    read_record,
    write_record,
)
from dagforge.runtime.store import DatasetRecord, Store, now, superseded
from dagforge.user_code import Failure, UserError, make_importable, type_name

Say = Callable[[str], None]


@frozen
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
        conf: of the project, which a runner with definitions of its own needs.
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
    conf: Conf | None = None


def execute(task: TaskRun, say: Say) -> TaskRecord:
    """Run a task's nodes, keep what they give and a record of it, and return the record.

    Args:
        task: what to do.
        say: takes a line for the log.

    Raises:
        NodeError: a node's function failed.
        CheckError: a check of severity `error` failed; the outputs were saved.
        Terminated: the process was asked to end.
        RunError: anything else; a record says so wherever the store can be written.
    """
    make_importable(task.root)
    store = Store(Files(task.store_url), task.place, task.allow_pickle, task.preview_rows)
    before = read_record(store.files, task.place, task.task_id)
    attempt = _Attempt(task, store, next_start(now(), before), say)
    attempt.warnings += task.warnings
    with stopped_by_signal():
        # Also tells attempts that began earlier that they are no longer wanted.
        write_record(store.files, task.place, attempt.record(RUNNING))
        for warning in task.warnings:
            say(f"warning: {warning}")
        try:
            _run_nodes(attempt)
        except BaseException as error:
            if attempt.error is None:
                attempt.error = error_of(error)
            _keep(attempt, error)
            raise
        failed = [
            check for check in attempt.checks if not check.passed and check.severity == "error"
        ]
        if failed:
            names = ", ".join(f"'{check.node}'" for check in failed)
            attempt.error = {"type": "CheckError", "message": f"failed: {names}"}
        record = attempt.record(FAILED if failed else SUCCESS)
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


@dataclass(slots=True)
class _Attempt:
    """One attempt of a task, and what it has done so far.

    Attributes:
        started: later than every attempt before it, whatever the clocks say.
        writers: records of the tasks that wrote the inputs, by task_id.
    """

    task: TaskRun
    store: Store
    started: str
    say: Say
    inputs: list[DatasetRecord] = field(default_factory=list)
    outputs: list[DatasetRecord] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    checks: list[CheckResult] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: Mapping[str, Any] | None = None
    writers: dict[str, TaskRecord | None] = field(default_factory=dict)

    def warn(self, warning: str) -> None:
        """Keep a warning and say it."""
        self.warnings.append(warning)
        self.say(f"warning: {warning}")

    def check_current(self) -> None:
        """Stop when a later attempt of the task has begun.

        Raises:
            StoreError: one has.
        """
        task = self.task
        last = read_record(self.store.files, task.place, task.task_id)
        if last is not None and last.started > self.started:
            raise superseded(f"task '{task.task_id}'", last.started, self.started)

    def writer(self, task_id: str) -> TaskRecord | None:
        """Return the record of the task that wrote an input, None where there is none."""
        if task_id not in self.writers:
            self.writers[task_id] = read_record(self.store.files, self.task.place, task_id)
        return self.writers[task_id]

    def record(self, status: str) -> TaskRecord:
        """Return the record of the attempt as it stands."""
        task = self.task
        modules = [node.module for node in task.nodes if node.module is not None]
        return TaskRecord(
            task_id=task.task_id,
            dag_id=task.place.dag_id,
            run_id=task.place.run_id,
            nodes=tuple(node.name for node in task.nodes),
            status=status,
            started=self.started,
            ended=None if status == RUNNING else now(),
            host=socket.gethostname(),
            structure=task.structure,
            contract=task.contract,
            code=code_hash(modules) if status != RUNNING else None,
            parameters=as_json(self.parameters),
            versions=versions(),
            peak_memory=peak_memory(),
            seconds=dict(self.seconds),
            inputs=[dataclasses.asdict(each) for each in self.inputs],
            outputs=[dataclasses.asdict(each) for each in self.outputs],
            metrics=as_json(self.metrics),
            checks=[as_json(dataclasses.asdict(each)) for each in self.checks],
            warnings=list(self.warnings),
            error=self.error,
        )


def error_of(error: BaseException) -> dict[str, Any]:
    """Return what a record says of an error that no function of the user raised."""
    name = type(error).__name__
    if isinstance(error, DagForgeError):
        first = error.problems[0]
        return {"type": name, "code": first.code, "message": first.message, "fix": first.fix}
    return {"type": name, "message": str(error)}


def _keep(attempt: _Attempt, error: BaseException) -> None:
    """Write the record of a failure; a store that is the failure itself cannot take it."""
    try:
        write_record(attempt.store.files, attempt.task.place, attempt.record(FAILED))
    except RunError as second:
        error.__context__ = second


def _run_nodes(attempt: _Attempt) -> None:
    task = attempt.task
    if is_hamilton(task.nodes[0]):
        _run_hamilton(attempt)
        return
    values: dict[str, Any] = {}
    inside = {dataset for node in task.nodes for dataset in node.outputs}
    kept = _kept_outputs(task)
    last_use = {dataset: index for index, node in enumerate(task.nodes) for dataset in node.inputs}
    for index, node in enumerate(task.nodes):
        if _is_command(node):
            _run_command(attempt, node)
            # What it wrote lies at a path of its own, where the others read it.
            inside.difference_update(node.outputs)
            continue
        for dataset in node.inputs:
            if dataset not in values and dataset not in inside:
                values[dataset] = _input(attempt, dataset)
        _check_order(node, values)
        # Nothing here outlives its last use: a task may handle more than fits into memory at once.
        made = _call(attempt, node, values)
        for dataset in node.inputs:
            if last_use.get(dataset) == index:
                values.pop(dataset, None)
        for dataset in node.outputs:
            if dataset in kept:
                _save(attempt, node, dataset, made[dataset])
            if last_use.get(dataset, -1) > index:
                values[dataset] = made[dataset]
            del made[dataset]


def _run_hamilton(attempt: _Attempt) -> None:
    """Run a task whose nodes Hamilton computes, all at once."""
    task = attempt.task
    assert task.conf is not None
    nodes = {node.name: node for node in task.nodes}
    asked = task.parameters.get(EXTRA_OUTPUTS, [])
    # A saver runs when somebody asks for it; the others run always.
    skipped = {
        node.name
        for node in task.nodes
        if f"params:{EXTRA_OUTPUTS}" in node.inputs and node.name not in asked
    }
    mine = tuple(node for node in task.nodes if node.name not in skipped)
    inside = {dataset for node in mine for dataset in node.outputs}
    values: dict[str, Any] = {}
    for node in mine:
        for dataset in node.inputs:
            if dataset not in values and dataset not in inside:
                values[dataset] = _input(attempt, dataset)
    pipelines = registry(task.conf)
    wanted = _kept_outputs(dataclasses.replace(task, nodes=mine)) | asked_for(mine, pipelines)
    told = Told(attempt.say, attempt.seconds, attempt.checks)
    try:
        made = run_part(mine, values, wanted, conf=task.conf, registry=pipelines, told=told)
    except NodeFailed as failed:
        node = nodes.get(failed.node, task.nodes[0])
        raise _node_error(attempt, node, failed.error.failure, failed.error.cause) from failed
    for node in mine:
        for dataset in node.outputs:
            if dataset in made:
                _save(attempt, node, dataset, made.pop(dataset))


def _is_command(node: Node) -> bool:
    return isinstance(node.action, Work) and node.action.runner == "command"


def _check_order(node: Node, values: Mapping[str, Any]) -> None:
    missing = [dataset for dataset in node.inputs if dataset not in values]
    if missing:
        raise RunError.of(
            "no-data",
            f"node '{node.name}' runs before '{missing[0]}' is written",
            at=node.origin,
            fix="name the nodes in the order of the pipeline",
        )


def _call(attempt: _Attempt, node: Node, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a node gives for each of its outputs, and keep what it says of the data."""
    attempt.say(f"node {node.name}")
    begin = time.perf_counter()
    try:
        result = call(node, function_of(node), values)
    except UserError as error:
        raise _node_error(attempt, node, error.failure, error.cause) from error
    finally:
        attempt.seconds[node.name] = round(time.perf_counter() - begin, 6)
    _judge(attempt, node, result)
    return outputs_of(node, result)


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


def _fixed(task: TaskRun, dataset: str) -> Dataset | None:
    """Return the dataset if it has a path of its own, None if it goes through the store."""
    declared = task.pipeline.datasets.get(dataset)
    if declared is not None and declared.persisted and declared.uri is not None:
        return declared
    return None


def _input(attempt: _Attempt, dataset: str) -> Any:
    task = attempt.task
    if is_parameter(dataset):
        value = parameter(dataset, task.parameters)
        attempt.parameters[dataset] = value
        # What a function does to it must not change what is recorded.
        return copy.deepcopy(value)
    fixed = _fixed(task, dataset)
    if fixed is not None:
        value, record = load_dataset(fixed, task.root, task.allow_pickle)
        attempt.inputs.append(record)
        _warn_of_other_run(attempt, record)
        return value
    record = _current(attempt, dataset)
    attempt.inputs.append(record)
    _warn_if_stale(attempt, record)
    declared = task.pipeline.datasets.get(dataset)
    return attempt.store.read(record, {} if declared is None else declared.load_args)


def _writer_node(task: TaskRun, dataset: str) -> Node | None:
    return next((node for node in task.pipeline.nodes if dataset in node.outputs), None)


def _current(attempt: _Attempt, dataset: str) -> DatasetRecord:
    """Return the record of a dataset in the store as the last attempt that wrote it left it."""
    try:
        record = attempt.store.current(dataset)
    except IncompleteError as error:
        node = _writer_node(attempt.task, dataset)
        by = "no node writes it" if node is None else f"node '{node.name}' writes it"
        raise IncompleteError(
            dataclasses.replace(
                problem,
                message=f"{problem.message}; {by}",
                at=None if node is None else node.origin,
            )
            for problem in error.problems
        ) from error
    writer = attempt.writer(record.producer or "")
    if writer is not None and writer.status == SUCCESS and writer.started > record.started:
        # A write of an earlier attempt that was long on its way came after the later one's.
        return writer.outputs_by_name().get(dataset, record)
    return record


def _warn_if_stale(attempt: _Attempt, record: DatasetRecord) -> None:
    """Warn of a dataset in the store that its task has not finished writing again since.

    That is so when the task was skipped or failed in a run that was cleared in part, or that was
    deleted and created again under the same id.
    """
    writer = attempt.writer(record.producer or "")
    if writer is None:
        return
    what = f"dataset '{record.name}' is of {record.started}"
    if writer.started > record.started:
        attempt.warn(
            f"{what}: task '{writer.task_id}' has begun again at {writer.started} "
            f"({writer.status}) and has not written it since"
        )
        return
    for source in map(DatasetRecord.from_data, writer.inputs):
        newer = attempt.store.record(source.name) if source.file else None
        if newer is not None and newer.sha256 != source.sha256 and newer.started > record.started:
            attempt.warn(
                f"{what}: '{source.name}', which task '{writer.task_id}' made it from, was "
                f"written again at {newer.written}; '{writer.task_id}' has not run since"
            )


def _warn_of_other_run(attempt: _Attempt, record: DatasetRecord) -> None:
    """Warn of a dataset at a fixed path, written by this pipeline, that this run did not write."""
    node = _writer_node(attempt.task, record.name)
    if node is None:
        return
    ours = attempt.store.record(record.name)
    when = f" (of {record.written})" if record.written else ""
    if ours is None:
        attempt.warn(
            f"dataset '{record.name}' at {record.uri}{when} is older than this run, in which node "
            f"'{node.name}' has not written it"
        )
    elif not is_same_file(ours, record):
        attempt.warn(
            f"dataset '{record.name}' at {record.uri}{when} is not what task '{ours.producer}' of "
            f"this run wrote there at {ours.written}: another run has written it since"
        )


def _save(attempt: _Attempt, node: Node, dataset: str, value: Any) -> None:
    """Keep what a node gave for an output.

    Raises:
        RunError: it cannot be; one of the value says which node gave it.
    """
    try:
        _save_value(attempt, dataset, value)
    except StoreError:
        raise
    except RunError as error:
        raise RunError(
            dataclasses.replace(
                problem,
                message=f"node '{node.name}', output '{dataset}': {problem.message}",
                at=node.origin,
            )
            if problem.at is None
            else problem
            for problem in error.problems
        ) from error


def _save_value(attempt: _Attempt, dataset: str, value: Any) -> None:
    task = attempt.task
    fixed = _fixed(task, dataset)
    if fixed is not None:
        written = save_dataset(fixed, value, task.root, task.allow_pickle, attempt.check_current)
        record = _point(attempt, written)
    else:
        attempt.check_current()
        declared = task.pipeline.datasets.get(dataset)
        record = attempt.store.save(
            dataset,
            value,
            producer=task.task_id,
            started=attempt.started,
            format_name=None if declared is None else declared.format,
            save_args={} if declared is None else declared.save_args,
        )
        attempt.outputs.append(record)
    attempt.say(f"saved {dataset} ({record.format}, {record.size:,} bytes) to {record.uri}")


def _point(attempt: _Attempt, written: DatasetRecord) -> DatasetRecord:
    """Keep what this run wrote to a fixed path, and return its record."""
    record = dataclasses.replace(
        written, producer=attempt.task.task_id, started=attempt.started, written=now()
    )
    attempt.store.point(record)
    attempt.outputs.append(record)
    return record


def _words(action: Work) -> list[str]:
    """Return a command's words as text; one that is no template is marked for Airflow only."""
    return [word if isinstance(word, str) else word["literal"] for word in action.command]


def _run_command(attempt: _Attempt, node: Node) -> None:
    """Run a node that is a command; it reads and writes the datasets at fixed paths by itself.

    Raises:
        NodeError: it ended with an error.
        RunError: it cannot be started, has data in the store, or did not write what it should.
    """
    assert isinstance(node.action, Work)
    task = attempt.task
    for dataset in (*node.inputs, *node.outputs):
        if not is_parameter(dataset) and _fixed(task, dataset) is None:
            raise RunError.of(
                "command-data",
                f"node '{node.name}' is a command, which cannot reach '{dataset}' in the store",
                at=node.origin,
                fix="give the dataset a path in the catalog, or use `after` where only the order "
                "matters",
            )
    attempt.say(f"node {node.name}")
    begin = time.perf_counter()
    try:
        done = subprocess.run(_words(node.action), check=False, cwd=task.root)
    except OSError as error:
        raise RunError.of(
            "no-command",
            f"node '{node.name}': '{node.action.command[0]}' cannot be started: {error.strerror}",
            at=node.origin / "command",
            fix="install it in the image, or give its whole path",
        ) from error
    finally:
        attempt.seconds[node.name] = round(time.perf_counter() - begin, 6)
    if done.returncode != 0:
        code = done.returncode
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise _node_error(attempt, node, Failure("command", how, ""))
    for dataset in node.outputs:
        fixed = _fixed(task, dataset)
        if fixed is not None:
            record = _point(attempt, find_dataset(fixed, task.root))
            attempt.say(f"found {dataset} ({record.size or 0:,} bytes) at {record.uri}")


def _judge(attempt: _Attempt, node: Node, result: Any) -> None:
    """Keep what a check or a metric says."""
    if node.metric:
        value = _scalar(result)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise RunError.of(
                "wrong-outputs",
                f"node '{node.name}' is a metric, but its function gave {_given(result)}",
                at=node.origin,
                fix="return a number",
            )
        attempt.metrics[node.name] = value
        attempt.say(f"metric {node.name} = {value}")
    if node.check is not None:
        passed, detail = result if _is_pair(result) else (result, None)
        passed = _scalar(passed)
        if not isinstance(passed, bool):
            raise RunError.of(
                "wrong-outputs",
                f"node '{node.name}' is a check, but its function gave {_given(result)}",
                at=node.origin,
                fix="return True or False, or a pair of that and what to tell",
            )
        check = CheckResult(node.name, passed, node.check, as_json(detail))
        attempt.checks.append(check)
        word = "passed" if check.passed else f"failed ({check.severity})"
        attempt.say(f"check {node.name} {word}" + ("" if detail is None else f": {check.value}"))


def _given(result: Any) -> str:
    return "None" if result is None else f"a value of type {type_name(result)}"


def _is_pair(result: Any) -> bool:
    return isinstance(result, tuple) and len(result) == 2


def _scalar(value: Any) -> Any:
    """Return the Python number or truth in a scalar of numpy's kind, else the value itself."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return value


def _node_error(
    attempt: _Attempt, node: Node, failure: Failure, cause: BaseException | None = None
) -> NodeError:
    assert isinstance(node.action, Work)
    attempt.error = {"node": node.name, **dataclasses.asdict(failure)}
    first, *more = failure.message.split("\n")
    lines = [
        f"node '{node.name}' failed: {failure.type}: {first}".rstrip(": "),
        *(f"    {line}" for line in more),
    ]
    if node.action.target:
        lines.append(f"  function {node.action.target}")
    if node.action.command:
        lines.append(f"  command {shlex.join(_words(node.action))}")
    uris = {record.name: record.uri for record in (*attempt.inputs, *attempt.outputs)}
    lines += [f"  input {dataset}: {uris[dataset]}" for dataset in node.inputs if dataset in uris]
    if failure.frames:
        lines.append("  traceback of your code:")
        lines += [f"  {line}" for line in failure.frames.rstrip("\n").split("\n")]
    fix = fix_of_import(cause, attempt.task.root, "where the task runs")
    return NodeError.of("node-failed", "\n".join(lines), at=node.origin, fix=fix)


def store_url_of(chosen: str | None, setting: str | None, root: Path) -> str:
    """Return the store's URL: the command line's, the environment's, the settings', a folder.

    A relative path of the settings is the project's; any other is seen from the working folder.
    """
    for url, base in (
        (chosen, Path.cwd()),
        (os.environ.get("DAGFORGE_STORE_URL"), Path.cwd()),
        (setting, root),
    ):
        if url:
            is_path = "://" not in url and "::" not in url
            return str(base / Path(url).expanduser()) if is_path else url
    return str(root / ".dagforge" / "store")
