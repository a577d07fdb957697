"""Run the tasks of a DAG by their real operators, some at a time; prints what each took as JSON.

Arguments: the DAG's file, its id, the number of slots. A scheduler of Airflow would add seconds of
its own to each task, which differ from machine to machine; here only the operators are at work.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag

file, dag_id, slots = sys.argv[1], sys.argv[2], int(sys.argv[3])
bag = DagBag(file)
assert not bag.import_errors, bag.import_errors
dag = bag.dags[dag_id]


def rank(task: Any, known: dict[str, int]) -> int:
    """Return how many tasks lie on the longest path behind a task."""
    if task.task_id not in known:
        known[task.task_id] = 1 + max([rank(each, known) for each in task.downstream_list] or [0])
    return known[task.task_id]


def run(task: Any) -> tuple[float, float]:
    """Execute an operator as a worker does, and return when it began and ended."""
    ti = SimpleNamespace(
        dag_id=dag_id,
        task_id=task.task_id,
        run_id="measured",
        map_index=-1,
        try_number=1,
        start_date=None,
        xcom_push=lambda **_: None,
    )
    context = {"ti": ti, "task_instance": ti, "task": task, "dag": dag, "run_id": "measured"}
    context |= {
        "params": dag.params.dump(),
        "ds": "2026-01-01",
        "dag_run": SimpleNamespace(conf={}),
    }
    begin = time.monotonic()
    task.render_template_fields(context)
    task.execute(context)
    return begin, time.monotonic()


ranks: dict[str, int] = {}
waiting = {task.task_id: set(task.upstream_task_ids) for task in dag.tasks}
times: dict[str, tuple[float, float]] = {}
running: dict[Any, str] = {}
with ThreadPoolExecutor(slots) as pool:
    while waiting or running:
        ready = [name for name, upstream in waiting.items() if not upstream]
        ready.sort(key=lambda name: (-rank(dag.get_task(name), ranks), name))
        for name in ready[: slots - len(running)]:
            del waiting[name]
            running[pool.submit(run, dag.get_task(name))] = name
        for done in wait(running, return_when=FIRST_COMPLETED).done:
            name = running.pop(done)
            times[name] = done.result()
            for upstream in waiting.values():
                upstream.discard(name)
first = min(begin for begin, _ in times.values())
answer = {name: [begin - first, end - first] for name, (begin, end) in times.items()}
print("\n" + json.dumps(answer))
