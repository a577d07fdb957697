"""Print, as JSON, what of the facts on changes between versions holds in this environment.

Runs inside a real Airflow. Standard input is `{"imports": [path, ...], "operators": [path, ...],
"attributes": {"dag_run": [...], "ti": [...]}}`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from typing import Any

from constructors import arguments, try_import  # type: ignore[import-not-found]  # beside this


def find(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def of_the_sdk() -> bool:
    return importlib.util.find_spec("airflow.sdk") is not None


def context_keys() -> list[str]:
    """Return the variables that templates may use."""
    module = "airflow.utils.context"
    if of_the_sdk():
        module = "airflow.sdk.definitions.context"
    found = importlib.import_module(module)
    keys = getattr(found, "KNOWN_CONTEXT_KEYS", None) or found.Context.__annotations__
    return sorted(keys)


def objects() -> dict[str, Any]:
    """Return the classes of the objects in the context."""
    if of_the_sdk():
        generated = find("airflow.sdk.api.datamodels._generated.DagRun")
        task = find("airflow.sdk.execution_time.task_runner.RuntimeTaskInstance")
        return {"dag_run": generated, "ti": task, "task_instance": task}
    task = find("airflow.models.TaskInstance")
    return {"dag_run": find("airflow.models.DagRun"), "ti": task, "task_instance": task}


def has(cls: Any, name: str) -> bool:
    return hasattr(cls, name) or name in getattr(cls, "model_fields", {})


def defaults() -> dict[str, Any]:
    """Return what a DAG is that leaves out what it can."""
    import datetime

    dag = find("airflow.sdk.DAG" if of_the_sdk() else "airflow.models.dag.DAG")
    made = dag("some", start_date=datetime.datetime(2024, 1, 1))
    return {"catchup": made.catchup, "timetable": type(made.timetable).__name__}


def main() -> None:
    """Answer the question on standard input."""
    answer, sys.stdout = sys.stdout, sys.stderr
    asked = json.load(sys.stdin)
    classes = objects()
    base = find("airflow.sdk.BaseOperator" if of_the_sdk() else "airflow.models.BaseOperator")
    taken = {path: sorted(arguments(find(path))) for path in asked["operators"]}
    reply = {
        "imports": {path: try_import(path) for path in asked["imports"]},
        "context": context_keys(),
        "attributes": {
            name: [each for each in wanted if has(classes[name], each)]
            for name, wanted in asked["attributes"].items()
        },
        "operators": {**taken, "*": sorted(arguments(base))},
        "rules": [rule.value for rule in find("airflow.utils.trigger_rule.TriggerRule")],
        "defaults": defaults(),
    }
    json.dump(reply, answer)


if __name__ == "__main__":
    main()
