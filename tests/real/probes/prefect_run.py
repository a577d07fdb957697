"""Run flows of generated files in the real Prefect and print, as JSON, what became of them.

Standard input is `{"runs": [{"file": path, "environment": {name: text}, "parameters": {...}}]}`.
The answer is a list with, for each run, the flow's settings, the final state, and for each task
its settings, state and what it logged.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any


def load(path: str) -> Any:
    """Return the module of a file and the only flow in it."""
    from prefect import Flow

    loader = importlib.machinery.SourceFileLoader("generated", path)
    module = importlib.util.module_from_spec(
        importlib.machinery.ModuleSpec("generated", loader, origin=path)
    )
    module.__file__ = path
    sys.modules["generated"] = module
    loader.exec_module(module)
    [flow] = {id(each): each for each in vars(module).values() if isinstance(each, Flow)}.values()
    return module, flow


def describe(state: Any) -> dict[str, Any]:
    """Return a state as JSON data."""
    return {"type": state.type.value, "name": state.name, "message": state.message}


class Kept(logging.Handler):
    """Keeps the messages of tasks by the id of their run."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        run = str(getattr(record, "task_run_id", None))
        self.messages.setdefault(run, []).append(record.getMessage())


def run(path: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what became of one run of the flow in a file."""
    from prefect import Task

    submitted = []
    submit = Task.submit

    def noted(task: Any, *args: Any, **kwargs: Any) -> Any:
        future = submit(task, *args, **kwargs)
        submitted.append((task, future))
        return future

    kept = Kept()
    logging.getLogger("prefect.task_runs").addHandler(kept)
    Task.submit = noted
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            _, flow = load(path)
            state = flow(**parameters, return_state=True)
    finally:
        Task.submit = submit
        logging.getLogger("prefect.task_runs").removeHandler(kept)
    return {
        "flow": {
            "name": flow.name,
            "retries": flow.retries,
            "timeout": flow.timeout_seconds,
            "description": flow.description,
        },
        "state": describe(state),
        "run_id": str(state.state_details.flow_run_id),
        "warnings": [str(each.message) for each in caught if each.filename == path],
        "tasks": [
            {
                "name": task.name,
                "retries": task.retries,
                "delay": task.retry_delay_seconds,
                "timeout": task.timeout_seconds,
                "state": describe(future.state),
                "log": kept.messages.get(str(future.task_run_id), []),
            }
            for task, future in submitted
        ],
        "files": [path.name for path in Path(os.environ["PREFECT_HOME"]).glob("storage/*")],
    }


def main() -> None:
    """Answer the question on standard input."""
    # Commands and Prefect write to standard output; the answer must be alone there.
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answers = []
    for each in json.load(sys.stdin)["runs"]:
        os.environ.update(each["environment"])
        answers.append(run(each["file"], each.get("parameters", {})))
    json.dump(answers, answer)
    answer.close()


if __name__ == "__main__":
    main()
