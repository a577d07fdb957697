"""Whether a task of an earlier attempt still stands: same code, same inputs, outputs complete."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from dagforge.ir import Node
from dagforge.plan import DagPlan, Task
from dagforge.runtime.errors import RunError
from dagforge.runtime.files import Files
from dagforge.runtime.functions import make_importable
from dagforge.runtime.inputs import load_stat
from dagforge.runtime.places import RunPlace
from dagforge.runtime.records import SUCCESS, read_record
from dagforge.runtime.store import DatasetRecord, Store


def is_up_to_date(files: Files, place: RunPlace, task: Task, dag: DagPlan, root: Path) -> bool:
    """Say whether running the task again could only give what the store already has.

    Its last attempt succeeded with the same contract and the same modules, its inputs are the
    ones of today, and every output is complete. Data outside of the store count as unchanged
    while their size and time (or version) are.
    """
    record = read_record(files, place, task.task_id)
    if record is None or record.status != SUCCESS or record.contract != task.contract:
        return False
    nodes = {node.name: node for node in dag.pipeline.nodes}
    if record.code is None or record.code != _code_hash([nodes[name] for name in task.nodes], root):
        return False
    store = Store(files, place)
    return all(
        _is_current(store, DatasetRecord.from_data(each), dag, root)
        for each in (*record.inputs, *record.outputs)
    )


def _is_current(store: Store, then: DatasetRecord, dag: DagPlan, root: Path) -> bool:
    declared = dag.pipeline.datasets.get(then.name)
    if then.file:
        now = store.record(then.name)
        folder = store.place.dataset(then.name)
        return (
            now is not None
            and now.sha256 == then.sha256
            and store.files.exists(f"{folder}/{now.file}")
        )
    if declared is None or declared.uri is None:
        return False
    try:
        stat, sha256 = load_stat(declared, root)
    except RunError:
        return False
    if sha256 is not None and then.sha256 is not None:
        return sha256 == then.sha256
    return stat is not None and (stat.modified, stat.version) == (
        then.facts.get("modified"),
        then.facts.get("version"),
    )


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
