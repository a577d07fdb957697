"""Print, as JSON, what the real Airflow finds in a folder of DAG files.

Runs inside a real Airflow, so it uses nothing but that and the standard library. Standard input is
`{"folder": path}`.
"""

from __future__ import annotations

import contextlib
import json
import sys

with contextlib.redirect_stdout(sys.stderr):
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag

    folder = json.load(sys.stdin)["folder"]
    try:
        bag = DagBag(dag_folder=folder, include_examples=False)
    except TypeError:  # As of Airflow 3.3 the examples are no concern of the DagBag.
        bag = DagBag(dag_folder=folder)

    dags = {
        dag_id: {
            "tasks": {task.task_id: type(task).__name__ for task in dag.tasks},
            "edges": sorted(
                [task.task_id, later] for task in dag.tasks for later in task.downstream_task_ids
            ),
        }
        for dag_id, dag in bag.dags.items()
    }
print(json.dumps({"errors": {str(k): str(v) for k, v in bag.import_errors.items()}, "dags": dags}))
