"""The record of a task whose nodes Kedro runs, put together from what its hooks tell."""

from __future__ import annotations

import atexit
import dataclasses
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagforge.errors import DagForgeError, UsageError
from dagforge.frontends.kedro import plain_names
from dagforge.ir import is_parameter
from dagforge.planning.contract import hash_of_names, must_stop
from dagforge.planning.variables import CONTRACT, RUN_ID, STRUCTURE, TASK
from dagforge.runtime.errors import image_differs
from dagforge.runtime.execute import error_of, store_url_of
from dagforge.runtime.files import Files, checksum, stat_of
from dagforge.runtime.formats import describe
from dagforge.runtime.functions import code_hash, stopped_by_signal
from dagforge.runtime.inputs import is_same_file, moment_of
from dagforge.runtime.places import RunPlace
from dagforge.runtime.process import peak_memory, versions
from dagforge.runtime.records import (
    FAILED,
    RUNNING,
    SUCCESS,
    TaskRecord,
    as_json,
    next_start,
    read_record,
    write_record,
)
from dagforge.runtime.store import DatasetRecord, Store, now
from dagforge.user_code import failure_of, type_name


@dataclass(slots=True)
class KedroTask:
    """One attempt of a task, and what its hooks have told so far.

    Attributes:
        started: later than every attempt before it, whatever the clocks say.
        nodes: in the order in which Kedro runs them.
        modules: of the nodes' functions.
        catalog: Kedro's own.
        begun: when each node began, by the performance counter.
    """

    task_id: str
    store: Store
    started: str
    contract: str | None = None
    structure: str | None = None
    nodes: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()
    catalog: Any = None
    begun: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    inputs: dict[str, DatasetRecord] = field(default_factory=dict)
    outputs: dict[str, DatasetRecord] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: Mapping[str, Any] | None = None
    stopped: BaseException | None = None
    signals: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def begin(cls, environ: Mapping[str, str], env: str | None, root: Path) -> KedroTask:
        """Return the task that the environment variables name, its record begun.

        Args:
            environ: the environment variables.
            env: of Kedro's configuration; None for none in particular.
            root: the project's folder.

        Raises:
            UsageError: they name no task.
            StoreError: its record cannot be written.
        """
        parts = environ[TASK].split("/")
        if len(parts) != 3 or not all(parts):
            raise UsageError.of("bad-task", f"{TASK}={environ[TASK]} is not project/dag_id/task_id")
        project, dag_id, task_id = parts
        place = RunPlace(project, env, dag_id, environ[RUN_ID])
        files = Files(store_url_of(None, None, root))
        task = cls(
            task_id=task_id,
            store=Store(files, place),
            started=next_start(now(), read_record(files, place, task_id)),
            contract=environ.get(CONTRACT) or None,
            structure=environ.get(STRUCTURE) or None,
        )
        task.keep(RUNNING)
        # A pod that is deleted ends its process with a signal.
        task.signals.enter_context(stopped_by_signal(task.stop))
        atexit.register(task.break_off)
        return task

    def take(self, nodes: Sequence[Any], asked: Sequence[str] | None, catalog: Any) -> None:
        """Take the nodes that Kedro is going to run, and the catalog.

        Args:
            nodes: of Kedro, in its order.
            asked: their names as the task's command has them; None where it names none.
            catalog: Kedro's own.

        Raises:
            RunError: they have other inputs or outputs than the DAG says.
        """
        self.nodes = tuple(node.name for node in nodes)
        modules = (getattr(node.func, "__module__", None) for node in nodes)
        self.modules = frozenset(module for module in modules if module)
        self.catalog = catalog
        if self.contract is None:
            return
        by_name = {node.name: node for node in nodes}
        shapes = [
            (name, plain_names(by_name[name].inputs), plain_names(by_name[name].outputs))
            for name in asked or self.nodes
        ]
        found = hash_of_names(shapes)
        if must_stop(self.contract, found):
            raise image_differs(self.task_id, self.contract, found, shapes)

    def node_begins(self, name: str) -> None:
        """Look at the clock."""
        self.begun[name] = time.perf_counter()

    def node_ends(self, name: str) -> None:
        """Keep how long the node took."""
        if name in self.begun:
            self.seconds[name] = round(time.perf_counter() - self.begun[name], 6)

    def node_fails(self, node: Any, error: BaseException) -> None:
        """Keep what a node's function raised, with the user's own frames."""
        self.node_ends(node.name)
        failure = failure_of(error, getattr(node.func, "__module__", "") or "")
        self.error = {"node": node.name, **dataclasses.asdict(failure)}

    def loaded(self, name: str, value: Any) -> None:
        """Record what a node has read, unless this task wrote it itself."""
        if is_parameter(name):
            self.parameters[name] = value
            return
        record = self._record(name, value, written=False)
        if record is None or record.name in self.outputs:
            return
        ours = self.store.record(record.name)
        if ours is not None and is_same_file(ours, record):
            record = dataclasses.replace(record, producer=ours.producer, started=ours.started)
        elif ours is not None:
            self.warnings.append(
                f"dataset '{record.name}' at {record.uri} is not what task '{ours.producer}' of "
                f"this run wrote there at {ours.written}: another run has written it since"
            )
        self.inputs[record.name] = record

    def saved(self, name: str, value: Any) -> None:
        """Record what a node has written to a place that outlives the process."""
        record = self._record(name, value, written=True)
        if record is None:
            return
        record = dataclasses.replace(
            record, producer=self.task_id, started=self.started, written=now()
        )
        self.store.point(record)
        self.outputs[record.name] = record

    def end(self, error: BaseException | None = None) -> None:
        """Keep the record of how the task ended."""
        atexit.unregister(self.break_off)
        self.signals.close()
        if error is not None and self.error is None:
            own = isinstance(error, DagForgeError)
            self.error = error_of(error) if own else dataclasses.asdict(failure_of(error))
        self.keep(SUCCESS if error is None else FAILED)

    def stop(self, error: BaseException) -> None:
        """Keep what the process is being stopped by."""
        self.stopped = error

    def break_off(self) -> None:
        """Keep the record of a process that ends before Kedro has told how the task did."""
        error = self.stopped or getattr(sys, "last_value", None)
        self.end(error or InterruptedError("the process ended before Kedro did"))

    def drop(self) -> None:
        """Forget the task, which another one in this process takes the place of."""
        atexit.unregister(self.break_off)
        self.signals.close()

    def keep(self, status: str) -> None:
        """Write the record as it stands."""
        place = self.store.place
        record = TaskRecord(
            task_id=self.task_id,
            dag_id=place.dag_id,
            run_id=place.run_id,
            nodes=self.nodes,
            status=status,
            started=self.started,
            ended=None if status == RUNNING else now(),
            host=socket.gethostname(),
            structure=self.structure,
            contract=self.contract,
            code=code_hash(self.modules) if status != RUNNING else None,
            parameters=as_json(self.parameters),
            versions=versions(),
            peak_memory=peak_memory(),
            seconds=dict(self.seconds),
            inputs=[dataclasses.asdict(each) for each in self.inputs.values()],
            outputs=[dataclasses.asdict(each) for each in self.outputs.values()],
            warnings=tuple(self.warnings),
            error=self.error,
        )
        write_record(self.store.files, place, record)

    def _record(self, name: str, value: Any, *, written: bool) -> DatasetRecord | None:
        """Return the record of a dataset, None for one that lives in memory."""
        dataset = _dataset(self.catalog, name)
        if dataset is None or getattr(dataset, "_EPHEMERAL", False):
            return None
        # `table@pandas` and `table@spark` are one dataset, read in two ways.
        record = DatasetRecord(
            name=name.partition("@")[0],
            uri="",
            format=_format(dataset),
            type=type_name(value),
            facts=describe(value),
        )
        path, system = _path(dataset, written), getattr(dataset, "_fs", None)
        return record if path is None or system is None else _found(record, system, path)


def _dataset(catalog: Any, name: str) -> Any:
    """Return a dataset of Kedro's catalog, what a cache is in front of where it is one."""
    get = getattr(catalog, "_get_dataset", None) or catalog.get
    dataset = get(name)
    return getattr(dataset, "_dataset", dataset) if _is_cache(dataset) else dataset


def _is_cache(dataset: Any) -> bool:
    return type(dataset).__name__ == "CachedDataset"


def _format(dataset: Any) -> str:
    """Return a dataset's type as a catalog has it, such as `pandas.ParquetDataset`."""
    words = type(dataset).__module__.split(".")
    if words[0] == "kedro_datasets":
        return f"{words[1]}.{type(dataset).__name__}"
    return f"{'.'.join(words)}.{type(dataset).__name__}"


def _path(dataset: Any, written: bool) -> str | None:
    """Return the path that a dataset was just read from or written to, on its file system."""
    path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
    if path is not None and getattr(dataset, "_version", None):
        path = dataset._get_versioned_path(
            dataset.resolve_save_version() if written else dataset.resolve_load_version()
        )
    return None if path is None else str(path)


def _found(record: DatasetRecord, system: Any, path: str) -> DatasetRecord:
    """Return the record with what the file system says of the content."""
    full = system._strip_protocol(path)
    uri = system.unstrip_protocol(full)
    system.invalidate_cache()
    stat = stat_of(system.info(full))
    if stat is None:
        # A folder of many files; each of them is the dataset's own business.
        return dataclasses.replace(record, uri=uri)
    protocols = system.protocol
    is_local = "file" in ({protocols} if isinstance(protocols, str) else protocols)
    return dataclasses.replace(
        record,
        uri=uri,
        sha256=checksum(Path(full))[0] if is_local else None,
        size=stat.size,
        written=moment_of(stat.modified) or "",
        facts={**record.facts, "modified": stat.modified, "version": stat.version},
    )
