"""Print, as JSON, what the real Airflow makes of DAG files.

Runs inside a real Airflow, so it uses nothing but that and the standard library. Standard input is

    {"files": [path], "arguments": {"dag": [name], "task": [name]}, "context": {name: value},
     "pods": bool}

The answer holds for each file the errors of loading it, the warnings that it raised itself and its
DAGs: the named arguments, the next runs, and for each task its class, what follows it, the named
arguments as they were loaded (`loaded`) and when Airflow has rendered its fields with `context`
(`rendered`), and with `pods` the pod that it would request. `encode` says how values are written.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import functools
import json
import re
import sys
import types
import warnings
from typing import Any

# Where an object keeps an argument under another name.
KEPT_AS = {
    "dag_display_name": "_dag_display_property_value",
    "logger_name": "_logger_name",
    "post_execute": "_post_execute_hook",
    "pre_execute": "_pre_execute_hook",
    "task_display_name": "_task_display_property_value",
    "templates_exts": "template_ext",
}
MISSING = {"missing": True}


def encode(value: Any) -> Any:
    """Return a value as JSON; what JSON has not becomes an object that says what it is."""
    if isinstance(value, enum.Enum):
        return encode(value.value)
    if value is None or isinstance(value, (bool, int, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return value if value - value == 0 else {"float": repr(value)}
    if isinstance(value, datetime.timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, datetime.datetime):
        return {"utc": utc(value)}
    if isinstance(value, dict):
        return {str(key): encode(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(inner) for inner in value]
    if isinstance(value, (set, frozenset)):
        return sorted((encode(inner) for inner in value), key=str)
    return encode_object(value)


def encode_object(value: Any) -> Any:
    """Return an object as its class and its fields."""
    name = type(value).__name__
    if isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType)):
        return {"import": f"{value.__module__}.{value.__qualname__}"}
    if hasattr(value, "openapi_types"):
        fields = {key: getattr(value, key) for key in value.openapi_types}
        given = {key: encode(inner) for key, inner in fields.items() if inner is not None}
        return {"model": name, "fields": given}
    if name in ("LiteralValue", "literal"):
        return {"literal": value.value}
    if name == "ParamsDict":
        return {key: encode_param(value.get_param(key)) for key in value}
    if name.endswith("WeightStrategy") or name.endswith("WeightRule"):
        return re.sub(r"^_|Priority.*$", "", name).lower()
    fields = vars(value) if hasattr(value, "__dict__") else {}
    return {"call": name, "args": {key: encode_shallow(inner) for key, inner in fields.items()}}


def encode_param(param: Any) -> Any:
    """Return a run parameter as its default and its schema."""
    return {"value": encode(param.value), "schema": encode(param.schema)}


def encode_shallow(value: Any) -> Any:
    """Return plain values as they are and objects as their class, lest they lead everywhere."""
    plain = (type(None), bool, int, float, str, list, dict, datetime.timedelta)
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        if isinstance(value, plain):
            json.dumps(value)
            return encode(value)
    return {"call": type(value).__name__}


def argument(holder: Any, name: str) -> Any:
    """Return what a DAG or operator holds of an argument."""
    for kept_as in (KEPT_AS.get(name, name), name):
        value = getattr(holder, kept_as, MISSING)
        if value is not MISSING:
            return encode(value)
    return MISSING


def new_bag() -> Any:
    """Return an empty DagBag; the module moved in Airflow 3.2."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    return DagBag(dag_folder="/dev/null", collect_dags=False)


def timetable_of(dag: Any) -> Any:
    """Return the timetable with which the scheduler works."""
    try:
        from airflow.serialization.encoders import coerce_to_core_timetable
    except ImportError:
        return dag.timetable
    return coerce_to_core_timetable(dag.timetable)


def next_runs(dag: Any, count: int = 3) -> list[dict[str, str]]:
    """Return the first runs since the DAG's start, as if it caught up."""
    from airflow.timetables.base import TimeRestriction

    timetable = timetable_of(dag)
    since = TimeRestriction(earliest=dag.start_date, latest=None, catchup=True)
    runs: list[dict[str, str]] = []
    last = None
    while len(runs) < count:
        if hasattr(timetable, "next_dagrun_info_v2"):
            info = timetable.next_dagrun_info_v2(last_dagrun_info=last, restriction=since)
        else:
            interval = last.data_interval if last else None
            info = timetable.next_dagrun_info(
                last_automated_data_interval=interval, restriction=since
            )
        if info is None:
            break
        interval = info.data_interval
        runs.append(
            {
                "run_after": utc(info.run_after),
                "start": utc(interval.start) if interval else "",
                "end": utc(interval.end) if interval else "",
            }
        )
        last = info
    return runs


def utc(moment: Any) -> str:
    """Return a moment as text, in UTC."""
    return str(moment.astimezone(datetime.timezone.utc).replace(tzinfo=None).isoformat())


def context_of(task: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Return a context for one run of a task, of plain values where Airflow has objects."""
    instance = types.SimpleNamespace(
        task_id=task.task_id,
        dag_id=task.dag.dag_id,
        run_id=values["run_id"],
        try_number=1,
        map_index=-1,
        task=task,
    )
    run = types.SimpleNamespace(run_id=values["run_id"], dag_id=task.dag.dag_id, conf={})
    variables = {"value": types.SimpleNamespace(**values.get("variables", {}))}
    return {
        **values,
        "dag": task.dag,
        "task": task,
        "ti": instance,
        "task_instance": instance,
        "dag_run": run,
        "var": variables,
        "params": {name: task.dag.params[name] for name in task.dag.params}
        | values.get("params", {}),
    }


class Hook:
    """A stand-in for the connection to a cluster."""

    is_in_cluster = False

    def get_namespace(self) -> None:
        """Return None: the connection names no namespace."""

    def get_xcom_sidecar_container_image(self) -> None:
        """Return None: the connection names no image."""

    get_xcom_sidecar_container_resources = get_namespace
    get_xcom_sidecar_container_security_context = get_namespace


def pod_of(task: Any, context: dict[str, Any]) -> Any:
    """Return the pod that a rendered operator would request, as the API server would get it."""
    from kubernetes.client import ApiClient

    if task.pod_template_file:
        return None
    task.__dict__["hook"] = Hook()
    pod = task.build_pod_request_obj(context)
    return ApiClient().sanitize_for_serialization(pod)


def describe_task(task: Any, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a task is, before and after Airflow has rendered its fields."""
    names = asked["arguments"]["task"]
    found: dict[str, Any] = {
        "operator": type(task).__name__,
        "downstream": sorted(task.downstream_task_ids),
        "loaded": {name: argument(task, name) for name in names},
    }
    context = context_of(task, asked["context"])
    try:
        task.render_template_fields(context)
    except Exception:
        fields = {name: argument(task, name) for name in task.template_fields}
        raise RuntimeError(f"{task!r} has a field that cannot be rendered: {fields}") from None
    found["rendered"] = {name: argument(task, name) for name in names}
    in_pod = asked["pods"] and hasattr(task, "build_pod_request_obj")
    found["pod"] = pod_of(task, context) if in_pod else None
    return found


def describe(path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a file holds."""
    bag = new_bag()
    dags = bag.process_file(path, only_if_updated=False)
    names = asked["arguments"]
    own = f"{path}:"
    return {
        "errors": list(bag.import_errors.values()),
        "warnings": [w for w in bag.captured_warnings.get(path, ()) if w.startswith(own)],
        "dags": {
            dag.dag_id: {
                "arguments": {name: argument(dag, name) for name in names["dag"]},
                "timetable": type(dag.timetable).__name__,
                "runs": next_runs(dag),
                "tasks": {task.task_id: describe_task(task, asked) for task in dag.tasks},
            }
            for dag in dags
        },
    }


def main() -> None:
    """Answer the question on standard input."""
    # Airflow writes to standard output when it is imported; the answer must be alone there.
    answer, sys.stdout = sys.stdout, sys.stderr
    asked = json.load(sys.stdin)
    new_bag()
    warnings.simplefilter("always")
    tell = functools.partial(describe, asked=asked)
    json.dump({path: tell(path) for path in asked["files"]}, answer)


if __name__ == "__main__":
    main()
