"""What dag-factory makes of its YAML, and what DagForge's files hold, in one Airflow.

Runs in the environment of dag-factory. Its two arguments are files: one with the question, a list
of `{"yaml": path, "dags": folder}`, and one that takes the answer, a list of
`{"theirs": {dag_id: {...}}, "ours": {dag_id: {...}}, "error": text}`.
"""

from __future__ import annotations

import datetime
import functools
import json
import sys
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from dagfactory.dagfactory import _DagFactory

OF_TASK = (
    "owner",
    "retries",
    "retry_delay",
    "trigger_rule",
    "pool",
    "queue",
    "execution_timeout",
    "depends_on_past",
    "priority_weight",
    "email",
    "on_execute_callback",
    "on_failure_callback",
    "on_retry_callback",
    "on_success_callback",
    "doc_md",
    "inlets",
    "outlets",
    "start_date",
    "arguments",
    "bash_command",
    "cmds",
    "container_resources",
    "env",
    "execution_date_fn",
    "execution_delta",
    "executor_config",
    "external_dag_id",
    "image",
    "namespace",
    "op_args",
    "op_kwargs",
    "params",
    "poke_interval",
    "python_callable",
    "timeout",
)
OF_DAG = (
    "catchup",
    "dag_display_name",
    "dagrun_timeout",
    "description",
    "end_date",
    "is_paused_upon_creation",
    "max_active_runs",
    "max_active_tasks",
    "on_failure_callback",
    "on_success_callback",
    "render_template_as_native_obj",
    "timezone",
    "user_defined_macros",
)


def plain(value: Any) -> Any:
    """Return a value as JSON data; equal for two objects that are made alike."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, functools.partial):
        return ["partial", plain(value.func), plain(value.keywords)]
    if callable(value) and hasattr(value, "__qualname__"):
        # dag-factory loads a file as a module of the file's name.
        return value.__qualname__
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    if hasattr(value, "uri"):
        return value.uri
    if hasattr(value, "objects"):
        return [type(value).__name__, plain(list(value.objects))]
    if hasattr(value, "dump"):
        return plain(value.dump())
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def describe(dag: Any) -> dict[str, Any]:
    """Return what a DAG is: its tasks with their order, and what it and they are given."""
    tasks = {
        task.task_id: {
            "operator": type(task).__name__.replace("_PythonDecorated", "Python"),
            "downstream": sorted(task.downstream_task_ids),
            **{name: plain(getattr(task, name)) for name in OF_TASK if hasattr(task, name)},
        }
        for task in dag.tasks
    }
    for task in tasks.values():
        # A run parameter of DagForge's own.
        task["params"] = {
            k: v for k, v in (task["params"] or {}).items() if k != "dagforge_structure"
        }
    return {
        "tasks": tasks,
        "timetable": timetable(dag.timetable),
        "tags": sorted(set(dag.tags) - {"dagfactory"}),
        **{name: plain(getattr(dag, name)) for name in OF_DAG},
    }


def timetable(found: Any) -> Any:
    """Return a timetable, with the assets that it waits for."""
    condition = getattr(found, "asset_condition", None)
    inner = getattr(found, "timetable", None)
    return {
        "class": type(found).__name__,
        "summary": str(getattr(found, "summary", "")),
        "assets": plain(condition),
        "inner": None if inner is None else timetable(inner),
    }


def theirs(path: str) -> dict[str, Any]:
    """Return the DAGs that dag-factory makes of a file."""
    folder = str(Path(path).parent)
    dags = _DagFactory(config_filepath=path, defaults_config_path=folder).build_dags()
    return {dag_id: describe(dag) for dag_id, dag in dags.items()}


def ours(folder: str) -> dict[str, Any]:
    """Return the DAGs in DagForge's files."""
    bag = DagBag(dag_folder="/dev/null", collect_dags=False)
    found = {}
    for path in sorted(Path(folder).glob("*.py")):
        for dag in bag.process_file(str(path), only_if_updated=False):
            found[dag.dag_id] = describe(dag)
    if bag.import_errors:
        raise RuntimeError(json.dumps(bag.import_errors))
    return found


def main() -> None:
    """Answer the question."""
    asked, answer = (Path(argument) for argument in sys.argv[1:])
    answers = []
    for each in json.loads(asked.read_text()):
        said: dict[str, Any] = {"theirs": None, "ours": None, "error": None}
        try:
            said["theirs"] = theirs(each["yaml"])
        except Exception as error:
            said["error"] = f"{type(error).__name__}: {error}"
        try:
            said["ours"] = None if each["dags"] is None else ours(each["dags"])
        except Exception as error:
            said["failed"] = str(error)
        answers.append(said)
    answer.write_text(json.dumps(answers))


if __name__ == "__main__":
    main()
