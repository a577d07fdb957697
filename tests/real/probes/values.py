"""Print, as JSON, what a real Airflow or Prefect says to the values of settings and templates.

Standard input is

    {"paths": {name: dotted path of DAG, literal and the operators, or of flow and task},
     "constructed": [[class, argument, value], ...],
     "rendered": [[class, argument, value], ...]}

A value is JSON; `{"!": kind, ...}` stands for what JSON has not, see `build`. The answer holds, for
each of `constructed`, the error and the deprecation warnings, and for each of `rendered`, the text
of the argument after Airflow rendered it with `ds` = 2024-01-01.
"""

from __future__ import annotations

import datetime
import importlib
import json
import sys
import warnings
from typing import Any

Row = tuple[str, str, Any]
LOGICAL_DATE = "2024-01-01"
REQUIRED: dict[str, dict[str, Any]] = {
    "DAG": {"dag_id": "dag", "schedule": None, "start_date": datetime.datetime(2023, 1, 1)},
    "PythonOperator": {"task_id": "task", "python_callable": print},
    "KubernetesPodOperator": {"task_id": "task", "name": "pod", "image": "image"},
    "GKEStartPodOperator": {
        "task_id": "task", "name": "pod", "image": "image", "project_id": "project",
        "location": "region", "cluster_name": "cluster",
    },
}  # fmt: skip
DECORATORS = ("flow", "task")


def find(path: str) -> Any:
    """Return what a dotted path names in a module."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def build(value: Any, paths: dict[str, str]) -> Any:
    """Return the value with each `{"!": kind}` in it replaced by an object of that kind."""
    if isinstance(value, list):
        return [build(item, paths) for item in value]
    if not isinstance(value, dict):
        return value
    if "!" not in value:
        return {key: build(item, paths) for key, item in value.items()}
    kind = value["!"]
    if kind == "timedelta":
        return datetime.timedelta(seconds=value["seconds"])
    if kind == "date":
        return datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
    if kind == "object":
        return find(value["path"])
    if kind == "model":
        fields = {key: build(item, paths) for key, item in value["fields"].items()}
        return find(f"kubernetes.client.models.{value['model']}")(**fields)
    assert kind == "literal", kind
    return find(paths["literal"])(value["text"])


def construct(row: Row, paths: dict[str, str]) -> Any:
    """Return what has this argument: a DAG, the only operator of a DAG, or a flow or task."""
    name, argument, value = row
    if name in DECORATORS:
        return find(paths[name])(**{argument: build(value, paths)})(lambda: None)
    arguments = {**REQUIRED[name], argument: build(value, paths)}
    if name == "DAG":
        return find(paths["DAG"])(**arguments)
    with find(paths["DAG"])(**REQUIRED["DAG"]):
        return find(paths[name])(**arguments)


def try_construct(row: Row, paths: dict[str, str]) -> dict[str, Any]:
    """Return the error of a construction, or None, and the deprecation warnings that it gave."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            construct(row, paths)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {error}", "deprecations": []}
    kinds = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    found = {str(each.message) for each in caught if issubclass(each.category, kinds)}
    return {"error": None, "deprecations": sorted(found)}


def render(row: Row, paths: dict[str, str]) -> str:
    """Return an argument as Airflow has rendered it, as text."""
    operator = construct(row, paths)
    operator.render_template_fields({"ds": LOGICAL_DATE})
    return str(getattr(operator, row[1]))


def main() -> None:
    """Answer the question on standard input."""
    # Airflow writes to standard output when it is imported; the answer must be alone there.
    answer, sys.stdout = sys.stdout, sys.stderr
    asked: dict[str, Any] = json.load(sys.stdin)
    # The first construction imports much, and what that warns of is not the value's doing.
    paths = asked["paths"]
    for name in REQUIRED.keys() & paths.keys():
        try_construct((name, "doc_md", "text"), paths)
    result = {
        "constructed": [try_construct(row, paths) for row in asked["constructed"]],
        "rendered": [render(row, paths) for row in asked["rendered"]],
    }
    json.dump(result, answer)


if __name__ == "__main__":
    main()
