"""Whether a task of an earlier attempt still stands: same code, same inputs, outputs complete."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dagforge.conf import read_conf, read_project
from dagforge.frontends.parameters import parameters_of
from dagforge.ir import Node, is_parameter
from dagforge.planning.model import DagPlan, Task
from dagforge.runtime.errors import RunError
from dagforge.runtime.files import Files
from dagforge.runtime.inputs import find_dataset, is_same_file, parameter
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import SUCCESS, TaskRecord, as_json, read_record
from dagforge.runtime.store import DatasetRecord, Store
from dagforge.user_code import make_importable


def is_up_to_date(
    files: Files,
    place: RunPlace,
    task: Task,
    dag: DagPlan,
    root: Path,
    parameters: Mapping[str, Any] | None = None,
) -> bool:
    """Say whether running the task again could only give what the store already has.

    Its last attempt succeeded with the same contract, parameters and modules, its inputs are the
    ones of today, and every output is complete. Data in object stores outside of the store count
    as unchanged while their size and time or version are.

    Args:
        files: of the store's base.
        place: the run that is resumed.
        task: of the plan.
        dag: the plan.
        root: of the project.
        parameters: of the project, the run's own laid over them; when None the project's are read.
    """
    record = read_record(files, place, task.task_id)
    if record is None or record.status != SUCCESS or record.contract != task.contract:
        return False
    nodes = {node.name: node for node in dag.pipeline.nodes}
    mine = [nodes[name] for name in task.nodes]
    if record.code is None or record.code != _code_hash(mine, root):
        return False
    if not _has_parameters(record, mine, dag, root, parameters):
        return False
    store = Store(files, place)
    return all(
        _is_current(store, DatasetRecord.from_data(each), dag, root)
        for each in (*record.inputs, *record.outputs)
    )


def _has_parameters(
    record: TaskRecord,
    nodes: Iterable[Node],
    dag: DagPlan,
    root: Path,
    parameters: Mapping[str, Any] | None,
) -> bool:
    names = {name for node in nodes for name in node.inputs if is_parameter(name)}
    if not names:
        return not record.parameters
    if parameters is None:
        conf = read_conf(root, env=dag.env, project=read_project(root))
        parameters = parameters_of(dag.pipeline, conf)
    try:
        today = {name: as_json(parameter(name, parameters)) for name in names}
    except RunError:
        return False
    return today == record.parameters


def _is_current(store: Store, then: DatasetRecord, dag: DagPlan, root: Path) -> bool:
    declared = dag.pipeline.datasets.get(then.name)
    try:
        if not then.file:
            if declared is None or declared.uri is None:
                return False
            return is_same_file(then, find_dataset(declared, root))
        now = store.record(then.name)
        if now is None or now.sha256 != then.sha256:
            return False
        stat = store.files.stat(f"{store.place.dataset(then.name)}/{now.file}")
        return stat is not None and stat.size == now.size
    except RunError:
        return False


def _code_hash(nodes: list[Node], root: Path) -> str | None:
    """Return what `functions.code_hash` would say, without importing the modules."""
    make_importable(root)
    digest = hashlib.sha256()
    for name in sorted({node.module for node in nodes if node.module is not None}):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None:
            return None
        try:
            digest.update(name.encode() + b"\0" + Path(spec.origin).read_bytes() + b"\0")
        except OSError:
            return None
    return digest.hexdigest()[:16]
