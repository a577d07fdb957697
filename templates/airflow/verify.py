"""Load DAG files in the real Airflow, without its database, and say what is in them.

Runs in the interpreter that `dagforge verify` is given, so it uses nothing but Airflow and the
standard library. Its two arguments are files: one that holds the question, `{"folder": path,
"files": [path]}`, and one that takes the answer, a JSON document a line. The first says which
Airflow this is:

    {"name": "Airflow", "version": "3.3.2"}     {"name": "Airflow", "version": null, "error": text}

Then come two for each file, so that it is known which one was being loaded when everything ended:

    {"loading": path}
    {"loaded": path, "errors": [text], "warnings": [{"line", "category", "message"}],
     "dags": {dag_id: {"tasks": [task_id], "edges": [[upstream, downstream]]}}}
"""

from __future__ import annotations

import json
import re
import sys
import traceback
import warnings
from pathlib import Path


def open_bag():
    """Return the version of Airflow and an empty DagBag, whose module moved in Airflow 3.2."""
    import airflow

    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag
    return airflow.__version__, DagBag(dag_folder="/dev/null", collect_dags=False)


def serialize(dag):
    """Return what Airflow would keep in its database, as the DAG processor does after loading."""
    from airflow.serialization import serialized_objects

    # Airflow 3.2 took the writing half of SerializedDAG apart.
    serializer = getattr(serialized_objects, "DagSerialization", None)
    if serializer is None:
        serializer = serialized_objects.SerializedDAG
    return serializer.to_dict(dag)


def load(path, bag):
    """Return what a file holds and what is wrong with it."""
    bag.import_errors.clear()
    dags = bag.process_file(path, only_if_updated=False)
    errors = [str(text) for text in bag.import_errors.values()]
    for dag in dags:
        try:
            serialize(dag)
        except Exception as error:  # noqa: PERF203
            errors.append(f"{type(error).__name__}: {error}")
    return {
        "errors": errors,
        "warnings": list(own_warnings(path, bag.captured_warnings.get(path, ()))),
        "dags": {dag.dag_id: describe(dag) for dag in dags},
    }


def describe(dag):
    """Return the tasks of a DAG and their order."""
    edges = [
        (task.task_id, downstream) for task in dag.tasks for downstream in task.downstream_task_ids
    ]
    return {"tasks": sorted(dag.task_ids), "edges": sorted(edges)}


def own_warnings(path, texts):
    """Yield the warnings that the file itself raised; texts are `path:line: category: message`."""
    for text in texts:
        match = re.match(re.escape(path) + r":(\d+): ([\w.]+): (.*)", text, re.DOTALL)
        if match:
            line, category, message = match.groups()
            yield {"line": int(line), "category": category, "message": message}


def main():
    """Answer the question."""
    asked, answer = sys.argv[1:]
    question = json.loads(Path(asked).read_text(encoding="utf-8"))
    # The folder of this file is no place to import from, that of the files is: the last one, so
    # that a file called like a module hides none.
    sys.path[:] = [*sys.path[1:], question["folder"]]
    with Path(answer).open("w", encoding="utf-8") as out:

        def say(**line):
            out.write(json.dumps(line) + "\n")
            out.flush()

        try:
            version, bag = open_bag()
        except Exception as error:
            say(name="Airflow", version=None, error=f"{type(error).__name__}: {error}")
            return
        say(name="Airflow", version=version)
        warnings.simplefilter("always")
        for path in question["files"]:
            say(loading=path)
            try:
                found = load(path, bag)
            except BaseException:
                found = {"errors": [traceback.format_exc()], "warnings": [], "dags": {}}
            say(loaded=path, **found)


if __name__ == "__main__":
    main()
